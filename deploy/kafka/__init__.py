"""Apache Kafka on this machine, from its published Maven artefacts. The standard library only, so that it runs before anything is installed."""
