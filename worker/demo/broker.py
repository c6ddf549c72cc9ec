"""The embedded broker: noida-db, one small binary that speaks Kafka with transactions.

It is for the demo and for tests without Java, never for production.

What it does not do, seen with 0.2.3: it does not expire dead members of a consumer group, and it does not long-poll.
"""

from __future__ import annotations

import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

from worker.demo.children import child_process

HOST = "127.0.0.1"
START_SECONDS_MAX = 15.0
ATTEMPTS_MAX = 3

# ApiVersions, version 0, correlation 1, no client id: the one request every Kafka broker answers before anything else.
_API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)


class BrokerUnavailable(RuntimeError):
    """The broker that the demo was given, or the embedded one, cannot be used; the message is one sentence."""


@contextmanager
def embedded_broker(port: int | None = None, data_dir: Path | None = None) -> Iterator[str]:
    """Run the embedded broker for the length of the block and give its bootstrap servers (`host:port`).

    Without `port` it takes a free one, without `data_dir` a temporary directory that is removed at the end. The process
    is killed at the end of the block and does not outlive this process. Raises BrokerUnavailable when noida-db is not
    installed or does not answer in time.
    """
    binary = _binary()
    with ExitStack() as stack:
        directory = data_dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stockfreeze-broker-")))
        log = directory / "noida-db.log"
        for attempt in range(1, ATTEMPTS_MAX + 1):
            chosen = free_port() if port is None else port
            command = [str(binary), "start", "--only", "kafka", "--kafka-port", str(chosen)]
            command += ["--host", HOST, "--data-dir", str(directory / "data")]
            with ExitStack() as running:
                process = running.enter_context(child_process(command, log=log))
                if _answers(chosen, process):
                    stack.push(running.pop_all())
                    break
            # Another process may have taken the free port in between: with a port of our choice, try another.
            if port is not None or attempt == ATTEMPTS_MAX:
                raise BrokerUnavailable(f"the embedded broker did not start on port {chosen}: {_last_words(log)}")
        yield f"{HOST}:{chosen}"


def embedded_broker_installed() -> bool:
    """Return whether noida-db is installed, so that `embedded_broker` can start."""
    return find_spec("noida_db") is not None


def free_port() -> int:
    """Find a TCP port of the loopback interface that is free at this moment."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


def _binary() -> Path:
    spec = find_spec("noida_db")
    if spec is None or spec.origin is None:
        raise BrokerUnavailable(
            "the embedded broker is not installed: pip install stockfreeze[demo], or use a Kafka by --bootstrap-servers"
        )
    binary = Path(spec.origin).with_name("noida-db")
    if not binary.is_file():
        raise BrokerUnavailable(f"the package noida-db has no binary for this platform ({binary} is missing)")
    if not binary.stat().st_mode & 0o100:
        binary.chmod(0o755)  # a wheel unpacked by some installers loses the bit
    return binary


def _answers(port: int, process: subprocess.Popen[bytes]) -> bool:
    """Wait until Kafka answers on `port`; False when the process ended or the time is up."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection((HOST, port), timeout=1.0) as connection:
                connection.sendall(_API_VERSIONS)
                if len(connection.recv(8)) == 8:
                    return process.poll() is None
        except OSError:
            time.sleep(0.02)
    return False


def _last_words(log: Path) -> str:
    """The last lines the broker wrote, without the linker's warning about a glibc older than its build's."""
    lines = [
        line for line in log.read_text(errors="replace").splitlines() if line.strip() and "weak version" not in line
    ]
    return " / ".join(lines[-3:]) or "it wrote nothing"
