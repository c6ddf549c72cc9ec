"""Apache Kafka on this machine, from its published Maven artefacts.

Nothing but the standard library is needed, so that it runs before anything is installed.
"""
