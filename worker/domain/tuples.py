"""Named tuples at the price of plain ones.

The constructor that `NamedTuple` generates is a Python function. Where one is made for every event, the tuple's own, in
C, is used instead.
"""

from __future__ import annotations

new_tuple = tuple.__new__
"""`new_tuple(Posting, (…))` is `Posting(…)`: all fields, in their order, none by default."""
