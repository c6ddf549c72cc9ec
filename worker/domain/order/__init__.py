"""What is known of an order and what follows from it: facts, claims, units, statuses, archive eligibility. Pure."""
