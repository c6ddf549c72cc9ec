"""Hashes of strings, the same in every process that runs seeds: aiokafka goes through sets of topics, so with others a
seed is another run, and what one process found another one would not.

This module imports nothing of the worker: what a mutant changes must not have been imported before.
"""

from __future__ import annotations

import os
import sys

FIXED = {"PYTHONHASHSEED": "0"}
"""The environment of a process that runs seeds."""


def fix() -> None:
    """Begin this program anew, unless its hashes are fixed already."""
    if not os.environ.items() >= FIXED.items():
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | FIXED)  # noqa: S606 - no shell
