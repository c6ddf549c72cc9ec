"""Verifying that journal, levels, statuses, dead letters and state of a system agree.

Contract section 10, invariants 2, 3 and 7. `partition` reads; the other modules are pure and turn records into
findings. `findings.Check` lists all checks.
"""
