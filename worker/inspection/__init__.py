"""A running system, seen from outside: its cluster, topics, state, members and dead letters."""
