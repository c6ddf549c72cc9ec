"""The judge: what the topics must hold after each transaction, by the independent model."""
