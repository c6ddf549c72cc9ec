"""How a partition starts: topics checked, state restored, and both compared before anything is processed."""
