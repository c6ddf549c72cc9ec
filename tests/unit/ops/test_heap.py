"""Large blocks that were freed are found again instead of being mapped anew."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from typing import Final

import pytest

_PROGRAM: Final = """
import resource
from worker.ops.heap import keep_freed

{first}
for turn in range(21):
    blocks = [b"x" * 8 * 2**20 for _ in range(3)]
    del blocks
    if turn == 0:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(first: str) -> int:
    """Of a process of its own that does this first, and then fills and frees 24 MiB twenty times."""
    command = [sys.executable, "-c", _PROGRAM.format(first=first)]
    return int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library is not glibc")
def test_blocks_of_a_size_freed_before_are_not_mapped_page_by_page() -> None:
    assert page_faults("keep_freed()") < page_faults("") / 10
