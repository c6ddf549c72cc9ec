"""What each role does with a record: the domain, hosted on the engine."""
