"""Transactions of a partition: the records of each, the breaker, and how each is written and committed."""
