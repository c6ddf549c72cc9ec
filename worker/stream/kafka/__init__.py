"""Code that works below the public interface of aiokafka: producer, requests, batches, fetches and log."""
