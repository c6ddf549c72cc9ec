"""Planted faults of reading: in which order the inputs are taken, and what counts as read."""

from __future__ import annotations

from tests.simulator.mutants.planting import Edit, Mutant

FEED = "worker.stream.feed"
FETCHED = "worker.stream.kafka.fetched"
MERGE = "worker.stream.merge"
PROGRESS = "worker.stream.state.input_progress"
SESSION = "worker.stream.session"
STARTING = "worker.stream.start.partition_start"
TASK = "worker.stream.task"

READING_MUTANTS = (
    Mutant(
        "count-does-not-wait",
        "A count is taken in its turn, without waiting for the other inputs.",
        (
            Edit(
                TASK,
                "Merge(self._config.inputs, self.processor.waits)",
                "Merge(self._config.inputs, lambda _record: False)",
            ),
        ),
    ),
    Mutant(
        "count-waits-for-one-answer",
        "A count waits for one fetch answer of the other inputs, which may have been under way before.",
        (Edit(MERGE, "ANSWERS_NEEDED: Final = 2", "ANSWERS_NEEDED = 0"),),
    ),
    Mutant(
        "begins-at-the-end",
        "A partition without a state begins at the end of its inputs.",
        (Edit(STARTING, "begun_at(bounds[topic].begin)", "begun_at(bounds[topic].end)"),),
    ),
    Mutant(
        "inputs-uncommitted",
        "The inputs are read up to the high watermark: what is aborted is processed, and what is not committed yet.",
        (Edit(SESSION, 'isolation_level="read_committed"', 'isolation_level="read_uncommitted"'),),
    ),
    Mutant(
        "gaps-not-counted",
        "Offsets without a record are not counted.",
        (
            Edit(
                PROGRESS,
                "            columns[_GAPS] += offset - columns[0]\n        columns[0] = offset + 1\n",
                "            pass\n        columns[0] = offset + 1\n",
            ),
        ),
    ),
    Mutant(
        "end-not-committed",
        "Markers and aborted records behind the last record are left until another one comes.",
        (
            Edit(TASK, "and progress.is_behind(read_to):", "and False:"),
            Edit(TASK, "if not batch.tripped:", "if False:"),
        ),
    ),
    Mutant(
        "counts-ahead-of-open-transactions",
        "A count does not wait for what lies behind a transaction that is open.",
        (Edit(MERGE, " and (self.end_offset is None or self.position >= self.end_offset)", ""),),
    ),
    Mutant(
        "drained-passed-over",
        "A batch that cannot be read is an error of the whole fetch, and what came with it counts as read.",
        (
            Edit(FETCHED, "            yield Unreadable(self.next_fetch_offset, error)\n", "            raise\n"),
            Edit(FEED, "            self._inlets.clear()\n", "            pass\n"),
        ),
    ),
    Mutant(
        "unread-passed-over",
        "Records that were fetched and not taken yet count as gaps.",
        (Edit(MERGE, " for entry in self._inputs if not entry.records}", " for entry in self._inputs}"),),
    ),
    Mutant(
        "read-before-assignment",
        "Records that were fetched before a rebalance are handed over after it.",
        (
            Edit(
                FEED,
                "        except OffsetOutOfRangeError as error:\n",
                "            await asyncio.sleep(0.05)\n        except OffsetOutOfRangeError as error:\n",
            ),
        ),
    ),
)
