"""How a benchmark's command says what it is doing, and is stopped: the same for all of them."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable

from rich.console import Console


def teller() -> Callable[[str], None]:
    """Make this process a benchmark's command; what the result is told goes to stderr, with the seconds since now."""
    began = time.monotonic()
    stderr = Console(stderr=True, highlight=False)

    def tell(text: str) -> None:
        stderr.print(f"{time.monotonic() - began:6.1f} s  {text}", style="dim", soft_wrap=True)

    # The client repeats what it retries, such as a leader that new topics do not have yet; what fails raises.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    logging.getLogger("aiokafka").propagate = False
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # both ways of stopping it leave nothing behind
    return tell
