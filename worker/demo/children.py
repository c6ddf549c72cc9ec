"""Child processes that never outlive this one.

A demo that leaves a broker behind is worse than no demo. A child here is ended in three ways: by its context manager,
by `atexit` when an exception skips that, and by the kernel (Linux) when this process is killed in a way that runs no
code at all. It leads a process group of its own, so that Ctrl-C in the terminal reaches only this process, which then
ends its children in order.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_LAUNCH = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the parent is gone")
os.execvp(sys.argv[2], sys.argv[2:])
"""
# A launcher, not a `preexec_fn`: that runs Python between fork and exec, which can deadlock in a process with threads.


@contextmanager
def child_process(
    command: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None, stop_seconds: float = 0.0
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` with its output in `log` until the block ends, then end it and its whole process group.

    With `stop_seconds` it first gets SIGTERM and that long to leave by itself. On Linux the kernel also kills it when
    the *thread* that started it ends: start children from a thread that lives as long as they should.
    """
    launcher = [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid()), *command]
    with log.open("ab") as output:
        process = subprocess.Popen(
            launcher,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if env is None else dict(env),
            process_group=0,
        )
    _running.add(process)
    try:
        yield process
    finally:
        try:
            if stop_seconds > 0 and process.poll() is None:
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(stop_seconds)
        finally:
            _kill(process)
            _running.discard(process)


_running: set[subprocess.Popen[bytes]] = set()


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@atexit.register
def _kill_all() -> None:
    for process in _running:
        _kill(process)
