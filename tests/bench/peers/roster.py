"""The contenders: how each is started, what it promises, and what of Stockfreeze's job it leaves out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[3]
PEERS: Final = ROOT / ".cache" / "peers"
_PYTHON: Final = str(PEERS / "bin" / "python")
_STREAMS: Final = PEERS / "kafka-streams"


@dataclass(frozen=True)
class Place:
    """Where a peer works: the broker, what goes before each topic, its group, and a folder for its state."""

    bootstrap_servers: str
    topic_prefix: str
    group: str
    folder: Path

    @property
    def arguments(self) -> list[str]:
        """As each peer takes them."""
        return [self.bootstrap_servers, self.topic_prefix, self.group, str(self.folder)]


@dataclass(frozen=True)
class Contender:
    """One system of the comparison."""

    name: str
    guarantee: str
    lacks: str
    command: Callable[[Place], list[str]] | None
    """How it is started; None: it is Stockfreeze itself, which the bench knows how to start."""
    share: float = 1.0
    """Of the events that the others get: one that is slow is measured over fewer."""
    processes: int = 1
    """How many of it share the partitions. A JVM has threads for the second core; Python needs a second process."""


def _module(name: str) -> Callable[[Place], list[str]]:
    return lambda place: [_PYTHON, "-m", f"tests.bench.peers.{name}", *place.arguments]


def _streams(store: str) -> Callable[[Place], list[str]]:
    jars = f"{_STREAMS / 'kernel-job-1.jar'}:{_STREAMS / 'libs'}/*"
    options = ["-Xms1g", "-Xmx1g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
    return lambda place: ["java", *options, "-cp", jars, "stockfreeze.bench.KernelJob", *place.arguments, store]


_KERNEL = "kernel only: no splits, cancellations, returns, counts, statuses, drift, archive, dead letters, duplicates"

STOCKFREEZE: Final = "Stockfreeze"
CONTENDERS: Final = (
    Contender(
        STOCKFREEZE,
        "exactly once, all outputs, state and offsets of a batch in one transaction; state restored; also through "
        "repeated, late and early events",
        "nothing: full rules on counted stock",
        None,
    ),
    Contender(
        f"{STOCKFREEZE}, 2 workers",
        "as above",
        "nothing: full rules on counted stock",
        None,
        processes=2,
    ),
    Contender(
        "Kafka Streams 4.1, RocksDB",
        "exactly once (exactly_once_v2); state restored from its changelogs",
        _KERNEL,
        _streams("rocksdb"),
    ),
    Contender(
        "Kafka Streams 4.1, in memory",
        "exactly once (exactly_once_v2); state restored from its changelogs",
        _KERNEL,
        _streams("memory"),
    ),
    Contender(
        "Quix Streams",
        "exactly once; state (RocksDB) restored from its changelog",
        _KERNEL,
        _module("quix_app"),
    ),
    Contender(
        "Quix Streams, 2 processes",
        "as above",
        _KERNEL,
        _module("quix_app"),
        processes=2,
    ),
    Contender(
        "Faust agent",
        "exactly_once by its name: one transaction per destination partition, a raised exception skips the event, a "
        "rebalance may repeat or lose some; tables (memory) restored from their changelogs",
        _KERNEL,
        _module("faust_agent"),
        share=0.1,
    ),
    Contender(
        "aiokafka loop",
        "one transaction a batch, while nothing fails: no restore, no abort, no rebalance handled",
        f"{_KERNEL}; no restore",
        _module("aiokafka_loop"),
    ),
    Contender(
        "librdkafka loop",
        "one transaction a batch, while nothing fails: no restore, no abort, no rebalance handled",
        f"{_KERNEL}; no restore",
        _module("librdkafka_loop"),
    ),
)
