"""What lies below the public interface of aiokafka: its producer, requests, batches, fetches and log."""
