"""What the operator sees of a worker: metrics, health and the log."""
