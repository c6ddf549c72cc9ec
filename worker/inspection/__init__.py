"""Reading a running system from outside: its cluster, topics, state, members and dead letters."""
