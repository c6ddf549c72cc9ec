"""The pages of a worker over HTTP: what they answer, and the client that asks them."""
