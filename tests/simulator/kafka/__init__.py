"""The simulated Kafka: nodes, logs, coordinators, and the network between them and the clients."""
