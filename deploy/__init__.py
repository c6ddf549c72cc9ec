"""What runs Stockfreeze somewhere: images, compose files, and Apache Kafka on this machine for development and tests. Not part of the package."""
