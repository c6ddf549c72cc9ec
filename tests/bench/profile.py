"""`python -m tests.bench.profile`: where a worker's CPU goes, without a broker.

The same pieces as in a worker, driven by hand: records are merged, decided, flushed and appended to the client's
batches; fetching, the network and the transactions themselves are left out. Two views:

- CPU per event by stage. A machine that is shared slows everything down at times, so the best tenth of the
  transactions is shown beside the mean.
- Bytecodes per event by function: they depend on the Python version alone, not on the machine or the moment, so two
  states of the code can be compared by them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from statistics import fmean, quantiles
from types import CodeType, FrameType
from typing import Any, Final, NamedTuple, TypeVar

from rich.console import Console
from rich.table import Table

from schemas.decoding import decode
from schemas.identity import identity_of
from schemas.topics import LEDGER, Topic
from tests.bench.load import counts, events
from tests.bench.steady_load import LoadRecord
from worker.clock import Clock
from worker.domain.policies import Policies
from worker.ops.garbage import collect_little, set_apart
from worker.processors.ledger import PartitionProcessor
from worker.stream.config import EngineConfig
from worker.stream.kafka.open_batches import OpenBatches
from worker.stream.merge import Merge, Reading
from worker.stream.records import InputRecord
from worker.stream.state.input_progress import InputProgress
from worker.stream.state.positions import JournalEnd, begun_at
from worker.stream.transactions.batch import Batch
from worker.stream.transactions.breaker import Breaker

EVENTS: Final = 40_000
TRANSACTION_RECORDS: Final = 400
FUNCTIONS_SHOWN: Final = 40
START_MS: Final = 1_790_000_000_000

_ALL_READ: Final = Reading(answered_at_ms=1, position=0, stable_offset=None)
Answer = TypeVar("Answer")
Times = dict[str, list[float]]
"""CPU seconds of each transaction, by stage."""


class Line:
    """One partition of a worker without its clients. Make it where an event loop runs, and close it."""

    def __init__(self, chunk_time_ms_max: int = 1_000_000) -> None:
        """After `chunk_time_ms_max` the loop is given back between two records; for measuring CPU it never is."""
        topics = tuple(str(topic) for topic in LEDGER.inputs)
        self._config = EngineConfig(
            app_id="profile",
            client={},
            inputs=topics,
            outputs=(),
            journal_topic=Topic.MOVEMENTS,
            state_topic=Topic.STATE,
            batch_time_ms_max=1_000_000,
            chunk_time_ms_max=chunk_time_ms_max,
        )
        self._clock = Clock()
        self._processor = PartitionProcessor(partition=0, partition_count=1, prefix="", policies=Policies())
        self._merge = Merge(topics, lambda _: False)
        self._progress = InputProgress.of({topic: begun_at(0) for topic in topics}, -1)
        self._breaker = Breaker(self._config.breaker_bad_max, self._config.breaker_window, self._processor.parties)
        self._batches = OpenBatches(self._config.produce_batch_bytes_max, self._clock.now_ms)
        self._offsets: Counter[str] = Counter()
        self._sent = 0

    def fetched(self, load: Sequence[LoadRecord]) -> list[InputRecord]:
        """What a consumer would hand out of it."""
        records = []
        for topic, key, value in load:
            records.append(InputRecord(topic, 0, self._offsets[topic], START_MS + self._sent, key, value))
            self._offsets[topic] += 1
            self._sent += 1
        return records

    async def run(self, records: Sequence[InputRecord], per_transaction: int) -> Times:
        """Do all of a worker's work with the records."""
        times: Times = defaultdict(list)
        for first in range(0, len(records), per_transaction):
            await self._transact(records[first : first + per_transaction], times)
        return times

    async def stretches(self, records: Sequence[InputRecord]) -> dict[str, float]:
        """The longest that each stage keeps the event loop to itself, in ms of CPU, in transactions as a worker cuts
        them where all records are there already.
        """
        longest = {"decide": 0.0, "flush": 0.0}
        last, stage = time.thread_time(), ""
        loop = asyncio.get_running_loop()

        def note(next_stage: str) -> None:
            nonlocal last, stage
            now = time.thread_time()
            if stage:
                longest[stage] = max(longest[stage], (now - last) * 1e3)
            last, stage = now, next_stage

        def tick() -> None:
            note(stage)
            if stage:
                loop.call_soon(tick)

        self._put(records)
        while chunk := self._merge.take(self._config.chunk_records_max):
            batch = Batch(self._config, self._clock, 0, self._processor, self._progress, self._breaker)
            note("decide")
            tick()
            while chunk:
                await batch.decide(chunk)
                chunk = self._merge.take(batch.room)
            note("flush")
            await batch.flush(self._batches.append, JournalEnd)
            self._batches.take()
            note("")
            await asyncio.sleep(0)
            self._processor.tally.clear()
        return longest

    async def _transact(self, records: Sequence[InputRecord], times: Times) -> None:
        def timed(stage: str, work: Callable[[], Answer]) -> Answer:
            began = time.process_time()
            answer = work()
            times[stage].append(time.process_time() - began)
            return answer

        taken = timed("merge", lambda: self._merged(records))
        batch = Batch(self._config, self._clock, 0, self._processor, self._progress, self._breaker)
        began = time.process_time()
        await batch.decide(taken)
        times["decide"].append(time.process_time() - began)
        began = time.process_time()
        await batch.flush(self._batches.append, JournalEnd)
        times["flush"].append(time.process_time() - began)
        self._batches.take()
        timed("report", batch.report)
        self._processor.tally.clear()

    def _put(self, records: Sequence[InputRecord]) -> None:
        by_topic: dict[str, list[InputRecord]] = defaultdict(list)
        for record in records:
            by_topic[record.topic].append(record)
        for topic, fetched in by_topic.items():
            self._merge.put(topic, fetched)
        for topic in self._config.inputs:
            self._merge.observe(topic, _ALL_READ)

    def _merged(self, records: Sequence[InputRecord]) -> list[Any]:
        self._put(records)
        taken: list[Any] = []
        while more := self._merge.take(self._config.chunk_records_max):
            taken += more
        return taken


class Profile(NamedTuple):
    """What was found."""

    stages: Times
    """CPU µs per event of each transaction, by stage."""
    bytecodes: Counter[CodeType]
    """How many were executed per function."""
    calls: Counter[CodeType]
    events: int
    """How many the bytecodes were counted over."""


async def profile(n_events: int, per_transaction: int) -> Profile:
    """Run twice as many events as asked: first to measure time, then to count bytecodes, on a state that is warm."""
    line = Line()
    load = list(events(2 * n_events, START_MS))
    await line.run(line.fetched(counts(START_MS)), 8)
    set_apart()
    first = line.fetched(load[:n_events])
    times = await line.run(first, per_transaction)
    times |= _alone(first, per_transaction)
    second = line.fetched(load[n_events:])
    bytecodes, calls = await _counted(line, second, per_transaction)
    per_event = {stage: [seconds / per_transaction * 1e6 for seconds in each] for stage, each in times.items()}
    return Profile(per_event, bytecodes, calls, n_events)


async def bytecodes_per_event(n_events: int, per_transaction: int = TRANSACTION_RECORDS) -> float:
    """Of as many events, after as many that only warm the state. The same on every machine with this Python."""
    line = Line()
    load = list(events(2 * n_events, START_MS))
    await line.run(line.fetched(counts(START_MS)), 8)
    await line.run(line.fetched(load[:n_events]), per_transaction)
    bytecodes, _ = await _counted(line, line.fetched(load[n_events:]), per_transaction)
    return bytecodes.total() / n_events


def _alone(records: Sequence[InputRecord], per_transaction: int) -> Times:
    """What decoding and identities cost of deciding: done once more, by themselves."""
    times: Times = {"of it decode": [], "of it identity": []}
    for first in range(0, len(records), per_transaction):
        chunk = [(Topic(record.topic), record.value) for record in records[first : first + per_transaction]]
        began = time.process_time()
        decoded = [decode(topic, value) for topic, value in chunk]
        between = time.process_time()
        for known in decoded:
            identity_of(known.event)
        times["of it decode"].append(between - began)
        times["of it identity"].append(time.process_time() - between)
    return times


async def _counted(
    line: Line, records: Sequence[InputRecord], per_transaction: int
) -> tuple[Counter[CodeType], Counter[CodeType]]:
    bytecodes: Counter[CodeType] = Counter()
    calls: Counter[CodeType] = Counter()

    def trace(frame: FrameType, event: str, _argument: object) -> Any:  # noqa: ANN401 - as sys.settrace has it
        if event == "opcode":
            bytecodes[frame.f_code] += 1
        elif event == "call":
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
            calls[frame.f_code] += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        await line.run(records, per_transaction)
    finally:
        sys.settrace(before)
    for counter in (bytecodes, calls):
        for code in [code for code in counter if code.co_filename == __file__]:
            del counter[code]
    return bytecodes, calls


def main() -> int:
    """Profile, and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.profile", description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=EVENTS, help=f"events to profile (default {EVENTS})")
    parser.add_argument(
        "--records", type=int, default=TRANSACTION_RECORDS, help=f"of a transaction (default {TRANSACTION_RECORDS})"
    )
    parser.add_argument("--top", type=int, default=FUNCTIONS_SHOWN, help="functions to show (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    collect_little()
    found = asyncio.run(profile(options.events, options.records))
    if options.json:
        print(json.dumps(_as_data(found), indent=2))
    else:
        console = Console()
        console.print(_stages_table(found), _functions_table(found, options.top))
    return 0


def _stages_table(found: Profile) -> Table:
    table = Table("stage", title=f"CPU µs per event, Python {platform.python_version()}", title_justify="left")
    table.add_column("mean", justify="right")
    table.add_column("best tenth", justify="right")
    for stage, each in found.stages.items():
        table.add_row(stage, f"{fmean(each):.2f}", f"{_best_tenth(each):.2f}")
    whole = [each for stage, each in found.stages.items() if not stage.startswith("of it")]
    table.add_section()
    table.add_row("all", f"{sum(map(fmean, whole)):.2f}", f"{sum(map(_best_tenth, whole)):.2f}")
    return table


def _functions_table(found: Profile, top: int) -> Table:
    title = f"bytecodes per event: {found.bytecodes.total() / found.events:,.1f}"
    table = Table("function", title=title, title_justify="left")
    table.add_column("bytecodes", justify="right")
    table.add_column("calls", justify="right")
    for code, executed in found.bytecodes.most_common(top):
        table.add_row(_name(code), f"{executed / found.events:.1f}", f"{found.calls[code] / found.events:.2f}")
    return table


def _as_data(found: Profile) -> dict[str, Any]:
    functions: Counter[str] = Counter()
    for code, executed in found.bytecodes.items():
        functions[_name(code)] += executed
    return {
        "python": platform.python_version(),
        "cpu_us_per_event": {
            stage: {"mean": fmean(each), "best_tenth": _best_tenth(each)} for stage, each in found.stages.items()
        },
        "bytecodes_per_event": found.bytecodes.total() / found.events,
        "calls_per_event": found.calls.total() / found.events,
        "bytecodes_by_function": {name: executed / found.events for name, executed in functions.most_common()},
    }


def _best_tenth(values: Sequence[float]) -> float:
    return quantiles(values, n=10)[0] if len(values) > 1 else values[0]


def _name(code: CodeType) -> str:
    """Where a function is, from the folder that holds its package on."""
    folders = code.co_filename.split("/")
    start = max((folders.index(name) for name in ("worker", "schemas", "site-packages") if name in folders), default=-2)
    return f"{'/'.join(folders[start:])}:{code.co_qualname}"


if __name__ == "__main__":
    sys.exit(main())
