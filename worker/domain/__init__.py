"""The rules of the contract: pure functions of facts.

No I/O, no clock, no broker; it imports the standard library, `schemas`, and marks for the compiler alone. Times that
are integers are UTC milliseconds; those that are texts stand as they do in an event.
"""
