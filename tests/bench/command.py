"""What all commands of benchmarks have in common: progress on stderr, and a clean end by a signal."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable

from rich.console import Console


def start_command() -> Callable[[str], None]:
    """Make this process a benchmark's command. The result prints a line to stderr, with the seconds since the start."""
    began = time.monotonic()
    stderr = Console(stderr=True, highlight=False)

    def note(text: str) -> None:
        stderr.print(f"{time.monotonic() - began:6.1f} s  {text}", style="dim", soft_wrap=True)

    # The client repeats what it retries, such as a leader that new topics do not have yet; what fails raises.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    logging.getLogger("aiokafka").propagate = False
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # both ways of stopping it leave nothing behind
    return note
