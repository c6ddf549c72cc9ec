"""The CPU time that a running process used and the memory it holds, from the kernel (Linux)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads so far, in steps of 10 ms. Raises OSError when the process is gone."""
    # The name, in brackets, may hold anything: what follows the last bracket is numbers; user time is field 14 of all.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND


def resident_bytes(pid: int) -> int:
    """Memory in RAM. Raises OSError when the process is gone."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES


def largest_resident_bytes(pid: int) -> int:
    """Memory in RAM of the largest among a process and its children; what has ended meanwhile counts nothing."""
    try:
        children = [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in _children(task)]
        return max([resident_bytes(pid), *(largest_resident_bytes(child) for child in children)])
    except OSError:
        return 0


def _children(task: Path) -> list[str]:
    return (task / "children").read_text().split()
