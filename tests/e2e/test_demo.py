"""The demo as a user starts it: it proves its claims, on any Kafka, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from tests.brokers import Broker
from worker.demo.broker import embedded_broker_installed

needs_embedded = pytest.mark.skipif(not embedded_broker_installed(), reason="noida-db is not installed")

DEMO = [sys.executable, "-m", "worker", "demo", "--events", "700"]
SECONDS_MAX = 120


@contextmanager
def demo(directory: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A demo whose temporary files lie in `directory`."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("STOCKFREEZE_")}
    environ |= {"TMPDIR": str(directory), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [*DEMO, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environ
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """What the demo printed up to the pattern."""
    assert process.stdout is not None
    text = ""
    while (found := re.search(pattern, text)) is None:
        line = process.stdout.readline()
        assert line, f"the demo ended without printing {pattern}:\n{text}"
        text += line
    return found


def children_of(pid: int) -> set[int]:
    """All processes below one."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(child): int(parent) for child, parent in (line.split() for line in listed.splitlines())}
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def assert_gone(pids: set[int]) -> None:
    deadline = time.monotonic() + 10
    left = pids
    while left := {pid for pid in left if Path(f"/proc/{pid}").exists()}:
        assert time.monotonic() < deadline, f"still running: {left}"
        time.sleep(0.05)


@needs_embedded
def test_the_demo_proves_what_it_says_on_the_embedded_broker(tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        text, _ = process.communicate(timeout=SECONDS_MAX)
    assert process.returncode == 0, text
    assert "Proved:" in text
    assert "✗" not in text
    assert "nothing lost, nothing doubled" in text
    assert list(tmp_path.iterdir()) == []


async def test_the_demo_runs_on_a_kafka_that_is_there_and_deletes_its_topics(tmp_path: Path, broker: Broker) -> None:
    with demo(tmp_path, "--bootstrap-servers", broker.bootstrap_servers, "--seed", "2") as process:
        text, _ = process.communicate(timeout=SECONDS_MAX)
    assert process.returncode == 0, text
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
    await admin.start()
    try:
        assert not [topic for topic in await admin.list_topics() if topic.startswith("stockfreeze-demo-")]
    finally:
        await admin.close()


@needs_embedded
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_a_demo_that_is_interrupted_leaves_no_process_and_no_directory(tmp_path: Path, number: signal.Signals) -> None:
    with demo(tmp_path) as process:
        read_until(process, r"[1-9]\d* of \d+ events")
        children = children_of(process.pid)
        assert len(children) >= 2  # the broker and the worker
        process.send_signal(number)
        process.communicate(timeout=20)
        assert process.returncode == 128 + number
        assert_gone(children)
    assert list(tmp_path.iterdir()) == []


@needs_embedded
def test_a_demo_that_stays_serves_its_pages_until_it_is_interrupted(tmp_path: Path) -> None:
    with demo(tmp_path, "--stay") as process:
        url = read_until(process, r"(http://\S+)/health/ready")[1]
        with urllib.request.urlopen(f"{url}/health/ready", timeout=10) as answer:  # noqa: S310 - our own worker's page
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        with pytest.raises(OSError, match="refused"):
            urllib.request.urlopen(f"{url}/health/ready", timeout=10)  # noqa: S310 - the same
    assert list(tmp_path.iterdir()) == []
