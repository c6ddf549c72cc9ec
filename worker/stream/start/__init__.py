"""The start of a partition: check the topics, restore the state, and compare both before anything is processed."""
