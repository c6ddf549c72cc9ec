"""The log of a partition on a node's disk, cut while the node is down: what an unclean election takes away."""

from __future__ import annotations

import struct
from pathlib import Path

_HEAD = struct.Struct(">qi")
_BEFORE_LENGTH_COUNTS = 12
"""A batch begins with its offset (8 bytes) and the length of what follows (4)."""


def cut_log(node_folder: Path, topic: str, partition: int, from_offset: int) -> int:
    """Cut off a partition's batches from one that begins at an offset, or later. Gives how many went.

    The indexes go too: the node makes them anew when it starts.
    """
    (folder,) = node_folder.rglob(f"{topic}-{partition}")
    (log,) = folder.glob("*.log")
    data = log.read_bytes()
    at, gone, end = 0, 0, len(data)
    while at < len(data):
        offset, length = _HEAD.unpack_from(data, at)
        if offset >= from_offset:
            gone, end = gone + 1, min(end, at)
        at += _BEFORE_LENGTH_COUNTS + length
    log.write_bytes(data[:end])
    for other in folder.iterdir():
        if other.suffix in {".index", ".timeindex", ".snapshot", ".txnindex"}:
            other.unlink()
    return gone
