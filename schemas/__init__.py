"""The wire contracts: types of all events, topics, decoding, encoding, generated schemas, examples."""
