"""When Python's garbage collector runs, and what it looks at.

The state of a partition is millions of small objects without a cycle among them: reference counts alone free it, and
a collector that looks through all of it again and again finds nothing. Left as it is, it took a tenth to a fifth of a
worker's CPU under full load, and stood still for 0.1-0.2 s whenever it looked at everything (64 000 stock keys). So it
looks seldom, at what is new, and once only: what outlives that is set apart, be it restored or read. What comes with
every event, and what is remembered of it, it does not even know once the core is compiled: such classes are marked
acyclic, as nothing in them leads back to them.
"""

from __future__ import annotations

import gc
from typing import Final, Literal

NEW_OBJECTS_MAX: Final = 100_000
"""So many new containers that were not freed make the collector look at the new ones. Python's own choice is 700. A
worker under full load holds tens of thousands for a moment, in its buffers and transactions: at 10 000 the collector
took a tenth of its CPU in looking at them. And nothing else goes on while it looks, at 0.3 to 0.8 µs each.
"""


def collect_little() -> None:
    """Let the collector look seldom, at no more than a number of objects, and at none of them twice.

    What is in a cycle, and dies after it was looked at, stays until `set_apart` is called.
    """
    gc.set_threshold(NEW_OBJECTS_MAX, *gc.get_threshold()[1:])
    if _set_apart_survivors not in gc.callbacks:
        gc.callbacks.append(_set_apart_survivors)


def _set_apart_survivors(phase: Literal["start", "stop"], info: dict[str, int]) -> None:
    del info
    if phase == "stop":
        gc.freeze()


def set_apart() -> None:
    """Free the garbage there is, and keep the collector from whatever is alive now.

    What was set apart before is looked at again, so that nothing that died since stays for ever. Takes about 0.3 µs
    an object, 0.1 s for 64 000 stock keys: nothing to be done for each partition anew.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
