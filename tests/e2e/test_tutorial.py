"""The tutorial and the README's quick start, run as a reader does: each command prints the output beside it."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from tests.e2e.system import System, until
from tests.e2e.worker_process import StartWorker
from tests.unit.docs.pages import DOCS, README, blocks, section, text_of
from worker.settings import ENVIRONMENT_PREFIX

TUTORIAL = DOCS / "tutorial.md"
ANSWER_SECONDS_MAX = 60.0
_STEP = re.compile(r"^```sh\n(.*?)^```\n\n^```text\n(.*?)^```", re.DOTALL | re.MULTILINE)
_DAY_ON_PAGE = re.compile(r"\d{4}-\d\d-\d\d")


class Step(NamedTuple):
    """A command of the page and the output beside it."""

    command: str
    expected: str

    @property
    def sends(self) -> bool:
        """Whether the command sends something. Others may be repeated until the worker has read what was sent."""
        return "stockfreeze send" in self.command or "discard" in self.command


def steps() -> list[Step]:
    return [Step(*found) for found in _STEP.findall(text_of(TUTORIAL))]


def test_every_command_of_the_tutorial_has_its_output() -> None:
    text = text_of(TUTORIAL)
    assert len(steps()) == text.count("```sh\n") == text.count("```text\n") >= 15


async def test_the_tutorial_prints_what_it_promises(system: System, start_worker: StartWorker) -> None:
    await start_worker().ready()
    day = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    for step in steps():
        await _follow(step, system, day)


async def test_the_quick_start_shows_frozen_units(system: System, start_worker: StartWorker) -> None:
    await start_worker().ready()
    start, send, why, answer = [block for block in blocks(section(text_of(README), "Quick start")) if block.language]
    assert "stockfreeze run" in start.text
    await asyncio.to_thread(_run, send.text, system, "")
    pattern = "".join(f" {re.escape(word)}" for word in answer.text.split()).replace("…", ".*")

    async def frozen() -> bool:
        printed = await asyncio.to_thread(_run, why.text, system, "")
        return re.fullmatch(pattern, "".join(f" {word}" for word in printed.split())) is not None

    await until(frozen, ANSWER_SECONDS_MAX)


async def _follow(step: Step, system: System, day: str) -> None:
    """Run a step as the page shows it, on the topics of the test. A query is repeated until its answer is right."""
    expected = _words(_DAY_ON_PAGE.sub(day, step.expected))
    printed: list[list[str]] = []

    async def right() -> bool:
        text = await asyncio.to_thread(_run, step.command, system, day)
        printed[:] = _words(text.replace(system.names.prefix, ""))
        return printed == expected or step.sends

    with suppress(TimeoutError):
        await until(right, ANSWER_SECONDS_MAX)
    assert printed == expected, step.command


def _run(command: str, system: System, day: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ENVIRONMENT_PREFIX)}
    own = {
        "DAY": day,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        f"{ENVIRONMENT_PREFIX}BOOTSTRAP_SERVERS": system.broker.bootstrap_servers,
        f"{ENVIRONMENT_PREFIX}APP_ID": system.names.app_id,
        f"{ENVIRONMENT_PREFIX}TOPIC_PREFIX": system.names.prefix,
    }
    done = subprocess.run(
        ["bash", "-c", command.replace(".venv/bin/", "")],
        env=inherited | own,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stdout + done.stderr


def _words(text: str) -> list[list[str]]:
    """The words of each line that has any: the names of a test's topics are longer, so its columns are wider."""
    return [line.split() for line in text.splitlines() if line.strip()]
