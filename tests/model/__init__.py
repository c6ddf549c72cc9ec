"""The auditor: a second, independent reading of the contract, to hold the real domain against.

It shares no code with `worker` or `schemas` on purpose, and it is the opposite of the real thing in every way that
matters: it keeps the list of accepted events and recomputes an order from all of them each time, so its result is
a plain reading of the contract's sentences. It is slow.

- `reading`: bytes -> an event as a plain dict, or the code it is refused with
- `facts`: the events of an order -> what is known about it (section 3)
- `units`: facts -> units, statuses, flows and the conditions of alerts (sections 3 and 4)
- `stock`: counts and flows -> levels; two pictures -> the movements between them (section 5)
- `reconcile`: counts in parts (section 6)
- `alerts`: what is raised and cleared (section 8)
- `archive`: eligibility, and what `archive.requested` is answered (section 7)
- `run`: records in, what must come out; identity, dead letters, retention (sections 2, 7 and 8)
"""
