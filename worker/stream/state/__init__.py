"""The engine's own state of a partition: positions and known topics, with the records that keep them."""
