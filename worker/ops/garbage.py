"""When Python's garbage collector runs, and what it looks at.

The state of a partition is millions of small objects without a cycle among them: reference counts alone free it, and
a collector that looks through all of it again and again finds nothing. Left as it is, it took a tenth to a fifth of a
worker's CPU under full load, and stood still for 0.1-0.2 s whenever it looked at everything (64 000 stock keys). So it
looks seldom, and never at a state that has been restored. What comes with every event, and what is remembered of it,
it does not even know once the core is compiled: such classes are marked acyclic, as nothing in them leads back to them.
"""

from __future__ import annotations

import gc
from typing import Final

NEW_OBJECTS_MAX: Final = 500_000
"""So many new containers that were not freed make the collector look at the new ones. Python's own choice is 700. A
worker under full load holds tens of thousands for a moment, in its buffers and transactions: at 10 000 the collector
took a tenth of its CPU in looking at them, at 200 000 a fortieth, at 500 000 it hardly ever looks. The garbage that
waits for it is some tens of megabytes at most.
"""


def collect_seldom() -> None:
    """Let the collector look at new objects less often; how seldom it looks at old ones stays as it is."""
    gc.set_threshold(NEW_OBJECTS_MAX, *gc.get_threshold()[1:])


def set_apart() -> None:
    """Free the garbage there is, and keep the collector from whatever is alive now.

    What was set apart before is looked at once more, so that nothing that died since stays for ever. Takes about 0.3 µs
    an object: 0.1 s for 64 000 stock keys.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
