"""A real `stockfreeze run` as a process: started, watched over HTTP, killed, paused, or asked to stop."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

from deploy.kafka.local import free_port, freeze
from worker.demo.children import child_process
from worker.settings import ENVIRONMENT_PREFIX

COMMAND = (str(Path(sys.executable).with_name("stockfreeze")), "run")
READY_TIMEOUT_SECONDS = 30.0
# The contract gives it 10 s; a busy machine gets a little more before a test calls it hung.
EXIT_TIMEOUT_SECONDS = 15.0
POLL_INTERVAL_SECONDS = 0.05
_HTTP_TIMEOUT_SECONDS = 2.0
_LOG_LINES_SHOWN = 40


class WorkerNotReadyError(AssertionError):
    """The worker ended, or time was over, before what was waited for. The message ends with its log."""


@dataclass(frozen=True)
class Answer:
    """The answer of a page: the status and the body as text."""

    status: int
    body: str

    def json(self) -> Any:  # noqa: ANN401 - whatever the page answers
        """The body as JSON."""
        return json.loads(self.body)


class WorkerProcess:
    """One worker. The same object may be started again after its end: same settings, same port, its log goes on."""

    def __init__(
        self,
        settings: Mapping[str, str],
        log_path: Path,
        running: ExitStack,
        *,
        command: Sequence[str] = COMMAND,
        imports_from: str | None = None,
    ) -> None:
        """`settings` by their names without the prefix, such as `APP_ID`. `running` ends the process at the latest.

        `imports_from` is a folder with another build of Stockfreeze than this one.
        """
        self.port = int(settings.get("WEB_PORT") or free_port())
        self.log_path = log_path
        self._command = command
        self._settings = {**settings, "WEB_PORT": str(self.port)}
        self._imports_from = {} if imports_from is None else {"PYTHONPATH": imports_from}
        self._running = running
        self._stopping = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id, also of one that has ended."""
        return self._started().pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: ended by that signal."""
        return self._started().poll()

    def start(self) -> None:
        """Start the process; returns immediately."""
        if self._process is not None and self._process.poll() is None:
            raise RuntimeError("this worker runs already")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(ENVIRONMENT_PREFIX)}
        own = {f"{ENVIRONMENT_PREFIX}{name}": value for name, value in self._settings.items()}
        self._stopping.close()
        self._stopping = ExitStack()
        self._running.push(self._stopping)
        self._process = self._stopping.enter_context(
            child_process(self._command, log=self.log_path, env={**inherited, **self._imports_from, **own})
        )

    async def ready(self, timeout_seconds: float = READY_TIMEOUT_SECONDS) -> None:
        """Wait until `/health/ready` answers 200. Raises `WorkerNotReadyError` with the end of the log."""
        await self.until(lambda answer: answer.status == 200, "/health/ready", timeout_seconds)

    async def until(self, wanted: Callable[[Answer], bool], path: str, timeout_seconds: float) -> Answer:
        """Ask for a page until its answer is as wanted, and give that. Raises `WorkerNotReadyError`."""
        deadline = time.monotonic() + timeout_seconds
        last: Answer | None = None
        while True:
            if self.exit_code is not None:
                raise WorkerNotReadyError(f"the worker ended with {self.exit_code}\n{self.log_end()}")
            last = await self.get(path) or last
            if last is not None and wanted(last):
                return last
            if time.monotonic() > deadline:
                raise WorkerNotReadyError(f"{path} answered {last} for {timeout_seconds} s\n{self.log_end()}")
            await asyncio.sleep(POLL_INTERVAL_SECONDS)

    async def get(self, path: str) -> Answer | None:
        """The page at this path, whatever its status; None when nothing answers."""
        return await asyncio.to_thread(_get, f"http://127.0.0.1:{self.port}{path}")

    def kill(self) -> None:
        """End it as a crash would (SIGKILL)."""
        self._started().kill()
        self._started().wait()

    def pause(self) -> None:
        """Freeze it (SIGSTOP): its connections stay and nothing answers."""
        freeze(self._started())

    def resume(self) -> None:
        """Let a frozen worker go on (SIGCONT)."""
        self._started().send_signal(signal.SIGCONT)

    async def terminate(self) -> int:
        """Ask it to stop (SIGTERM) and give its exit code. Raises `WorkerNotReadyError` if it hangs."""
        self._started().terminate()
        return await self.exited()

    async def exited(self, timeout_seconds: float = EXIT_TIMEOUT_SECONDS) -> int:
        """Wait for its end and give the exit code. Raises `WorkerNotReadyError` if it hangs."""
        try:
            return await asyncio.to_thread(self._started().wait, timeout_seconds)
        except subprocess.TimeoutExpired as error:
            raise WorkerNotReadyError(f"the worker still runs after {timeout_seconds} s\n{self.log_end()}") from error

    @property
    def log(self) -> str:
        """All it printed so far, over all its starts."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    @property
    def log_records(self) -> list[dict[str, Any]]:
        """What it logged, each line read as JSON; lines that are none are left out."""
        return [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]

    def log_end(self) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.splitlines()[-_LOG_LINES_SHOWN:])

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("this worker was never started")
        return self._process


StartWorker = Callable[..., WorkerProcess]
"""Starts a worker with settings of its own: `start_worker(BUFFER="2")`."""


@contextmanager
def workers(folder: Path, common: Mapping[str, str], command: Sequence[str] = COMMAND) -> Iterator[StartWorker]:
    """Give a function that starts a worker with the common settings and its own; no worker outlives the block."""
    started: list[WorkerProcess] = []
    with ExitStack() as running:

        def start(**settings: str) -> WorkerProcess:
            log_path = folder / f"worker-{len(started) + 1}.log"
            worker = WorkerProcess({"LOG_FORMAT": "json", **common, **settings}, log_path, running, command=command)
            started.append(worker)
            worker.start()
            return worker

        yield start
    for worker in started:
        # Captured, and so shown with a test that failed.
        print(f"--- the end of {worker.log_path}:\n{worker.log_end()}")  # noqa: T201


_opener = build_opener(ProxyHandler({}))


def _get(url: str) -> Answer | None:
    try:
        with _opener.open(url, timeout=_HTTP_TIMEOUT_SECONDS) as answer:
            return Answer(answer.status, answer.read().decode())
    except HTTPError as error:
        with error:
            return Answer(error.code, error.read().decode())
    except OSError:
        return None
