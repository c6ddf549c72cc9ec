"""What the engine knows of a partition between its transactions, and the state records that it keeps of that."""
