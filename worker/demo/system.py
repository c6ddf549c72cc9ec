"""The real thing, as a user would run it: `stockfreeze topics create`, `run` and `verify` as processes of their own.

The demo talks to its worker only through Kafka and the worker's pages. Each demo has topics and a consumer group of its
own name, so that it can run on any Kafka beside whatever is there.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from schemas.topics import Topic
from worker.demo.broker import HOST, BrokerUnavailable, free_port
from worker.demo.children import child_process

PARTITIONS = 4
READY_SECONDS_MAX = 60.0
COMMAND_SECONDS_MAX = 60.0
PAGE_SECONDS_MAX = 5.0
STOP_SECONDS = 11.0
"""A little more than a worker takes at most to leave in order."""

LOG_LINES, LOG_COLUMNS = 15, 400
"""How much of a log is shown when something failed."""

_CONNECTION = re.compile(r"STOCKFREEZE_(SECURITY_PROTOCOL|SASL_.*|SSL_.*|REPLICATION_FACTOR)")
BAD_CONFIGURATION = 2
"""The exit code of a command that was given a broker it cannot use."""


class DemoFailed(RuntimeError):
    """The demo cannot go on; the message gives the reason, with the last lines of the log of what failed."""


class DemoProgress(NamedTuple):
    """The worker's metrics: input records by outcome, and how many it has not processed yet."""

    outcomes: Counter[str]
    lag: int

    @property
    def processed(self) -> int:
        """Records that ended in one way or another."""
        return self.outcomes.total()


class Verdict(NamedTuple):
    """The result of `stockfreeze verify`."""

    ok: bool
    text: str


class DemoSystem:
    """A worker and its topics on some Kafka."""

    def __init__(
        self, bootstrap_servers: str, name: str, directory: Path, environ: Mapping[str, str] = os.environ
    ) -> None:
        """Set the system up; nothing runs yet.

        `name` goes before the topics and is the application id, logs go to `directory`, and `environ` may define how to
        log in to Kafka.
        """
        self.bootstrap_servers = bootstrap_servers
        self.name = name
        self.web_port = free_port()
        self._directory = directory
        self._environ = {
            **{key: value for key, value in environ.items() if not key.startswith("STOCKFREEZE_")},
            **{key: value for key, value in environ.items() if _CONNECTION.fullmatch(key)},
            "STOCKFREEZE_BOOTSTRAP_SERVERS": bootstrap_servers,
            "STOCKFREEZE_APP_ID": name,
            "STOCKFREEZE_TOPIC_PREFIX": f"{name}.",
            "STOCKFREEZE_PARTITIONS": str(PARTITIONS),
            "STOCKFREEZE_WEB_PORT": str(self.web_port),
            "STOCKFREEZE_LOG_FORMAT": "console",
        }

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment of every process of the system, from which its settings come."""
        return self._environ

    @property
    def url(self) -> str:
        """Return the address of the worker's pages, without a slash at the end."""
        return f"http://{HOST}:{self.web_port}"

    def topic(self, topic: Topic) -> str:
        """The full name of a topic."""
        return f"{self.name}.{topic}"

    async def create_topics(self) -> None:
        """Create the topics. Raises DemoFailed, or BrokerUnavailable with the command's words about the broker."""
        code, text = await self._command("topics", "create")
        if code == BAD_CONFIGURATION:
            raise BrokerUnavailable(text.removeprefix("stockfreeze: "))
        if code != 0:
            raise DemoFailed(f"`stockfreeze topics create` ended with {code}:\n{text}")

    async def verify(self) -> Verdict:
        """Have the judge look at everything. Raises DemoFailed if it cannot be judged."""
        code, text = await self._command("verify")
        if code not in {0, 1}:
            raise DemoFailed(f"`stockfreeze verify` ended with {code}:\n{text}")
        return Verdict(code == 0, text)

    @contextmanager
    def worker(self) -> Iterator[DemoWorker]:
        """Run a worker for the length of the block; it is not ready yet."""
        log = self._directory / "worker.log"
        with child_process(_command("run"), log=log, env=self._environ, stop_seconds=STOP_SECONDS) as process:
            yield DemoWorker(process, log, self.url)

    async def _command(self, *arguments: str) -> tuple[int, str]:
        log = self._directory / f"{'-'.join(arguments)}.log"
        with child_process(_command(*arguments), log=log, env=self._environ) as process:
            async with asyncio.timeout(COMMAND_SECONDS_MAX):
                while (code := process.poll()) is None:  # noqa: ASYNC110 - another process sets no event of ours
                    await asyncio.sleep(0.05)
        return code, log.read_text(errors="replace").strip()


class DemoWorker:
    """A running worker, seen through its pages."""

    def __init__(self, process: Popen[bytes], log: Path, url: str) -> None:
        self.pid = process.pid
        self._process = process
        self._log = log
        self._url = url

    async def become_ready(self) -> None:
        """Wait until it processes its partitions. Raises DemoFailed."""
        try:
            async with asyncio.timeout(READY_SECONDS_MAX):
                while not await self._is_ready():  # noqa: ASYNC110 - another process sets no event of ours
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise DemoFailed(self.with_log("the worker was not ready in time")) from None

    async def progress(self) -> DemoProgress:
        """Read what the worker has processed. Raises DemoFailed if it ended, or if a partition has halted."""
        _, health = await self._page("/health/ready")
        halted = [partition for partition in json.loads(health)["partitions"] if partition["state"] == "halted"]
        if halted:
            raise DemoFailed(f"the worker has stopped: {halted[0]['reason']}")
        _, text = await self._page("/metrics")
        outcomes: Counter[str] = Counter()
        lag = 0
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == "stockfreeze_records_total":
                    outcomes[sample.labels["outcome"]] += int(sample.value)
                elif sample.name == "stockfreeze_lag_records":
                    lag += int(sample.value)
        return DemoProgress(outcomes, lag)

    def with_log(self, problem: str) -> str:
        """A problem with the last lines of the worker's log."""
        lines = self._log.read_text(errors="replace").splitlines()[-LOG_LINES:]
        return "\n".join([f"{problem}; the last lines of its log:", *(line[:LOG_COLUMNS] for line in lines)])

    async def _is_ready(self) -> bool:
        try:
            status, text = await self._page("/health/ready")
        except (urllib.error.URLError, ConnectionError):
            return False  # it does not listen yet
        return status == 200 and len(json.loads(text)["partitions"]) == PARTITIONS

    async def _page(self, path: str) -> tuple[int, str]:
        if (code := self._process.poll()) is not None:
            raise DemoFailed(self.with_log(f"the worker ended with {code}"))
        return await asyncio.to_thread(_get, self._url + path)


def _command(*arguments: str) -> Sequence[str]:
    return [sys.executable, "-m", "worker", *arguments]


def _get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=PAGE_SECONDS_MAX) as answer:  # noqa: S310 - our own worker's page
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
