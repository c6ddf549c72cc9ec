"""Planted faults: the engine, broken in ways in which engines get broken. The simulation must find each of them.

`make mutants` shows which seed finds which, and what the auditor says. How they are planted: `planting`.
"""

from __future__ import annotations

from tests.simulator.mutants.of_breaker import BREAKER_MUTANTS
from tests.simulator.mutants.of_guards import GUARD_MUTANTS
from tests.simulator.mutants.of_reading import READING_MUTANTS
from tests.simulator.mutants.planting import Edit, Mutant

TASK = "worker.stream.task"
TRANSACTION = "worker.stream.transactions.transaction"
PRODUCER = "worker.stream.kafka.producer"
READER = "worker.stream.start.partition_reader"
STARTING = "worker.stream.start.partition_start"
SESSION = "worker.stream.session"
BATCH = "worker.stream.transactions.batch"

_FLUSH = "                await batch.flush(writer.append, writer.journal_end)\n"
_FLUSH_INTO_A_LIST = """\
                records = []
                await batch.flush(records.extend, writer.journal_end)
"""
_COMMIT = "                self._state_offset = await writer.commit(offsets)\n"
_END_OF_STATE = """\
        from aiokafka import AIOKafkaConsumer, TopicPartition
        state = TopicPartition(self._config.state_topic, self._partition)
        async with AIOKafkaConsumer(**self._config.client, enable_auto_commit=False) as looking:
            self._fence_offset = (await looking.end_offsets([state]))[state] - 1
"""
_FENCE = """\
        await writer.start()
        self._fence_offset = await writer.fence()
"""
_MEMORY = """\
                self._surroundings.memories[self.partition] = Memory(
                    self.processor,
                    standing.progress,
                    self._topics,
                    writer.journal_end(),
                    self._state_offset,
                    self._partition_count,
                )
"""
_KEPT = """\
            await self._process(writer, standing.progress)
            if self._state_offset >= 0:
"""

MUTANTS = (
    Mutant(
        "offset-outside",
        "The group's offsets are committed by the consumer, before the transaction.",
        (
            Edit(
                TASK,
                _COMMIT,
                """\
                from aiokafka import TopicPartition
                await self._feed._consumer.commit(
                    {TopicPartition(topic, self.partition): offset for topic, offset in offsets.items()}
                )
                self._state_offset = await writer.commit({})
""",
            ),
        ),
    ),
    Mutant(
        "positions-after",
        "The positions are written in a transaction of their own, after the outputs.",
        (
            Edit(TASK, _FLUSH, _FLUSH_INTO_A_LIST),
            Edit(
                TASK,
                _COMMIT,
                """\
                writer.append(records[:-1])
                await writer.commit({})
                writer.append(records[-1:])
                self._state_offset = await writer.commit(offsets)
""",
            ),
        ),
    ),
    Mutant(
        "batch-split",
        "A batch is committed in two halves.",
        (
            Edit(TASK, _FLUSH, _FLUSH_INTO_A_LIST),
            Edit(
                TASK,
                _COMMIT,
                """\
                half = len(records) // 2
                if half:
                    writer.append(records[:half])
                    await writer.commit({})
                writer.append(records[half:])
                self._state_offset = await writer.commit(offsets)
""",
            ),
        ),
    ),
    Mutant(
        "start-from-group",
        "Processing begins at the group's offsets as they were at the assignment, not at the state's.",
        (
            Edit(
                TASK,
                "        await start.fence(writer)\n",
                """\
        from aiokafka import TopicPartition
        in_group = {}
        for topic in self._config.inputs:
            source = TopicPartition(topic, self.partition)
            in_group[topic] = await self._feed._consumer.committed(source)
        self.__dict__["_in_group"] = in_group
        await start.fence(writer)
""",
            ),
            Edit(
                TASK,
                "        self._feed.open(",
                """\
        offsets = {topic: self.__dict__["_in_group"][topic] or progress.positions()[topic].gaps for topic in offsets}
        self._feed.open(""",
            ),
        ),
    ),
    Mutant(
        "restore-before-fence",
        "The state is restored first, and the predecessor is fenced afterwards.",
        (
            Edit(STARTING, _FENCE, _END_OF_STATE),
            Edit(
                STARTING,
                "            await self._check(state, bounds, writer)\n",
                "            await writer.start()\n            await self._check(state, bounds, writer)\n",
            ),
            Edit(
                STARTING,
                "        if memory is None or memory.partition_count != self._partition_count:\n",
                "        if True:\n",
            ),
        ),
    ),
    Mutant(
        "no-fence-record",
        "The restore goes to the end that the state topic had before the predecessor was fenced; no record is written.",
        (Edit(STARTING, _FENCE, _END_OF_STATE + "        await writer.start()\n"),),
    ),
    Mutant(
        "restore-uncommitted",
        "The state is restored up to the high watermark: what was aborted is restored, too.",
        (
            Edit(
                READER,
                'isolation_level="read_committed"',
                'isolation_level="read_uncommitted"',
            ),
        ),
    ),
    Mutant(
        "restore-to-silence",
        "A restore that reads nothing in one short poll is taken to be complete.",
        (
            Edit(READER, "POLL_MS = 500", "POLL_MS = 1"),
            Edit(
                READER,
                "            elif now - moved_at > self._config.restore_silence_ms_max / 1000:\n"
                "                raise StepTimeout"
                '(f"the restore read nothing for {self._config.restore_silence_ms_max} ms")\n',
                "            else:\n                break\n",
            ),
        ),
    ),
    Mutant(
        "future-not-awaited",
        "A transaction is committed without looking at the answers to its records.",
        (
            Edit(
                TRANSACTION,
                "        ends = await bounded(self._producer.write(rounds, offsets), step_ms, "
                '"writing records and offsets")\n',
                """\
        import asyncio
        writing = asyncio.ensure_future(self._producer.write(rounds, offsets))
        writing.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.wait({writing}, timeout=0.001 if offsets else None)
        ends = writing.result() if writing.done() else {}
""",
            ),
        ),
    ),
    Mutant(
        "refused-batch-ignored",
        "Batches that the broker refuses are taken for written.",
        (
            Edit(
                PRODUCER,
                "                    raise error_of(code, topic, self._config.app_id)\n",
                "                    left.pop(topic)\n",
            ),
        ),
    ),
    Mutant(
        "commit-asked-again",
        "A commit that nobody answered is asked for again, and the producer goes on.",
        (
            Edit(
                PRODUCER,
                "            await self._ask(CoordinationType.TRANSACTION, request, error_code, again=False)\n",
                "            await self._ask(CoordinationType.TRANSACTION, request, error_code)\n",
            ),
        ),
    ),
    Mutant(
        "epoch-kept",
        "The epoch that the end of a transaction brings is not taken.",
        (
            Edit(
                PRODUCER,
                "            self._producer_id, self._epoch = answer.producer_id, answer.producer_epoch\n"
                "            self._sequences.clear()\n",
                "            del answer\n",
            ),
        ),
    ),
    Mutant(
        "producer-reused",
        "After an error the transaction is aborted, and the producer is used again.",
        (
            Edit(
                TASK,
                "        writer = TransactionWriter(self._config, self.partition, self._clock, "
                "self._surroundings.reaper)\n",
                """\
        writer = self.__dict__.setdefault("_writer", None)
        if writer is None:
            writer = TransactionWriter(self._config, self.partition, self._clock, self._surroundings.reaper)
            self.__dict__["_writer"] = writer
            await writer.start()
""",
            ),
            Edit(STARTING, "        await writer.start()\n", ""),
            Edit(
                TASK,
                "            await writer.discard()\n",
                """\
            if self._stopping.is_set():
                await writer.discard()
            else:
                try:
                    await bounded(writer._producer.end(commit=False), self._config.abort_ms_max, "aborting")
                except Exception:
                    pass
""",
            ),
            Edit(
                TASK,
                "from worker.stream.errors import Breached,",
                "from worker.stream.errors import bounded, Breached,",
            ),
        ),
    ),
    Mutant(
        "state-kept",
        "The state is kept in memory after a transaction that failed.",
        (
            Edit(
                TASK,
                _KEPT + _MEMORY,
                """\
            try:
                await self._process(writer, standing.progress)
            finally:
"""
                + _MEMORY,
            ),
        ),
    ),
    Mutant(
        "memory-trusted",
        "A partition that comes back is resumed from memory, without looking whether another worker had it meanwhile.",
        (
            Edit(
                STARTING, "if not await self._state_reader.unchanged(memory.state_offset, fence_offset):", "if False:"
            ),
            Edit(SESSION, "            del self._surroundings.memories[partition]\n", "            pass\n"),
        ),
    ),
    Mutant(
        "shared-producer",
        "All partitions of a worker share a transactional id.",
        (
            Edit(
                PRODUCER,
                'self._id = f"{config.app_id}-{partition}"',
                "self._id = config.app_id",
            ),
        ),
    ),
    Mutant(
        "unfenced",
        "The transactional id is new at every start, so nobody is fenced.",
        (
            Edit(
                PRODUCER,
                'self._id = f"{config.app_id}-{partition}"',
                'self._id = f"{config.app_id}-{partition}-{asyncio.get_running_loop().time()}"',
            ),
        ),
    ),
    Mutant(
        "stale-task",
        "A rebalance keeps the tasks that run.",
        (
            Edit(
                SESSION,
                "        await self._stop_tasks()\n\n    async def on_partitions_assigned",
                "\n    async def on_partitions_assigned",
            ),
            Edit(
                SESSION,
                "            if partition in self._halted:\n",
                "            if partition in self.tasks:\n"
                "                continue\n"
                "            if partition in self._halted:\n",
            ),
        ),
    ),
    Mutant(
        "dead-letter-outside",
        "Dead letters are sent by a producer of their own, before the transaction is committed.",
        (
            Edit(TASK, _FLUSH, _FLUSH_INTO_A_LIST),
            Edit(
                TASK,
                _COMMIT,
                """\
                from aiokafka import AIOKafkaProducer
                outside = [record for record in records if record[0].endswith("dead-letters.v1")]
                writer.append([record for record in records if record not in outside])
                if outside:
                    async with AIOKafkaProducer(**self._config.client) as plain:
                        for topic, key, value, headers in outside:
                            await plain.send_and_wait(topic, value, key, self.partition, headers=list(headers))
                self._state_offset = await writer.commit(offsets)
""",
            ),
        ),
    ),
    Mutant(
        "commit-assumed",
        "After a commit that failed, processing goes on from memory, as if it had succeeded.",
        (
            Edit(
                TASK,
                _COMMIT,
                """\
                try:
                    self._state_offset = await writer.commit(offsets)
                except Exception:
                    self._surroundings.memories[self.partition] = Memory(
                        self.processor, progress, self._topics, writer.journal_end(), 1 << 40, self._partition_count
                    )
                    raise
""",
            ),
        ),
    ),
    Mutant(
        "poison-skipped",
        "A record that the processor fails at is counted as stale, and processing goes on.",
        (
            Edit(
                BATCH,
                "                raise halt_at(self._partition, "
                'f"{record.topic}/{record.partition}/{record.offset}", error) from error\n',
                "                outcome = Outcome.STALE\n",
            ),
        ),
    ),
    *READING_MUTANTS,
    *BREAKER_MUTANTS,
    *GUARD_MUTANTS,
)

BY_NAME = {mutant.name: mutant for mutant in MUTANTS}
