"""What the C library does with memory that was freed.

A transaction of thousands of records becomes requests of megabytes, each copied a few times on its way to the socket
and freed again. glibc gives such blocks back to the kernel immediately, and the next one is mapped anew, page by page:
25,000 page faults a second under full load, a twentieth of a worker's samples. What is kept instead, it finds again.
"""

from __future__ import annotations

import ctypes
from typing import Final

KEPT_BYTES_MAX: Final = 32 * 2**20
"""So much freed memory stays at the end of the heap, and blocks up to this size come from there instead of a mapping of
their own. It is the most that glibc takes for the latter."""

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
"""Of glibc's `malloc.h`."""


def keep_freed() -> None:
    """Have glibc keep what large blocks leave behind. Another C library is left as it is."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES_MAX)
        mallopt(_M_MMAP_THRESHOLD, KEPT_BYTES_MAX)
