"""The worker.

`domain` has the rules, `stream` the exactly-once engine, `edges` and `ops` speak to the world, `cli` has the commands,
and `app` puts them together.
"""
