"""`stockfreeze run` as a process, before it has begun."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.waiting import eventually
from worker.cli.commands.run import command
from worker.settings import ENVIRONMENT_PREFIX

SETTINGS = {"BOOTSTRAP_SERVERS": "127.0.0.1:1", "WEB_PORT": "0"}


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux whether a process catches a signal")
@pytest.mark.parametrize("after_seconds", [0.0, 0.3])
def test_a_worker_stopped_while_it_imports_leaves_with_0(after_seconds: float) -> None:
    environment = os.environ | {f"{ENVIRONMENT_PREFIX}{name}": value for name, value in SETTINGS.items()}
    command = [sys.executable, "-m", "worker", "run"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as process:
        assert eventually(lambda: _catches(process.pid, signal.SIGTERM), 20)
        time.sleep(after_seconds)
        process.send_signal(signal.SIGTERM)
        _, result = process.communicate(timeout=20)
    assert process.returncode == 0, result.decode()
    assert b"Traceback" not in result


def test_a_role_that_there_is_not_is_one_sentence_and_exit_code_2() -> None:
    result = CliRunner().invoke(command, ["--roles", "ledgr"])
    assert result.exit_code == 2
    assert result.stderr == (
        "Error: option --roles must name roles that there are (ledger), separated by commas, not 'ledgr'\n"
    )


def _catches(pid: int, number: signal.Signals) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt")).split()[1]
    return bool(int(caught, 16) >> (number - 1) & 1)
