"""Facts about Kafka brokers that hold on Apache Kafka and on the simulated cluster alike."""
