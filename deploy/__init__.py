"""What runs Stockfreeze somewhere: the image, a compose file, Apache Kafka on this machine. Not part of the package."""
