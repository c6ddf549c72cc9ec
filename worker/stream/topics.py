"""Checks of the topics, before joining and while running: all there, all of one partition count, the recorded one.

With another count, accounts lie in other partitions than their state: nothing may be processed then.
"""

from __future__ import annotations

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import LeaderNotAvailableError

from worker.stream.clients import Admin, Consumer
from worker.stream.config import EngineConfig
from worker.stream.errors import NotReady, StepTimeout, bounded
from worker.stream.positions import FORMAT_KEY, decode_format
from worker.stream.processor import StateVersionError
from worker.stream.reaper import Reaper
from worker.stream.rights import hidden_sentence, hidden_topics

PROBE_WAIT_MS = 20
PROBE_POLLS_MAX = 100
PROBE_RECORDS_MAX = 1000
"""The format is the first record after the fences of attempts that came to nothing: it is not far."""

NO_ERROR = 0


class TopicCheck:
    """Asks the broker about the engine's topics. To be started before use, and closed."""

    def __init__(self, config: EngineConfig, reaper: Reaper) -> None:
        self._config = config
        self._reaper = reaper
        self._admin: Admin = AIOKafkaAdminClient(
            **config.client, client_id=f"{config.app_id}-topics", request_timeout_ms=config.request_timeout_ms
        )

    async def start(self) -> None:
        """Connect."""
        await bounded(self._admin.start(), self._config.step_ms_max, "connecting")

    def close(self) -> None:
        """Disconnect, in the background."""
        self._reaper.bury(_Closing(self._admin))

    async def partition_count(self) -> int:
        """The partition count of all topics.

        Raises NotReady when a topic is missing or the counts differ, and errors of the broker.
        """
        # Asked by name, a broker may create what it does not have.
        described = await bounded(self._admin.describe_topics(), self._config.step_ms_max, "looking at the topics")
        counts = {topic["topic"]: len(topic["partitions"]) for topic in described if topic["error_code"] == NO_ERROR}
        names = dict.fromkeys((*self._config.inputs, *self._config.outputs, self._config.state_topic))
        missing = [name for name in names if name not in counts]
        if missing:
            asked = hidden_topics(self._admin, missing)
            if hidden := await bounded(asked, self._config.step_ms_max, "looking at the topics"):
                raise NotReady(hidden_sentence(self._config.client.get("sasl_plain_username"), hidden))
            if len(missing) == len(names):
                raise NotReady(f"all topics are missing, such as {missing[0]}: look at their prefix, or create them")
            raise NotReady(f"topics are missing: {', '.join(missing)}; create them, all with the same partition count")
        by_count: dict[int, list[str]] = {}
        for name in names:
            by_count.setdefault(counts[name], []).append(name)
        if len(by_count) > 1:
            told = "; ".join(f"{count}: {', '.join(topics)}" for count, topics in sorted(by_count.items()))
            raise NotReady(f"the topics do not have the same partition count ({told}): all must have the same")
        return next(iter(by_count))

    async def check_recorded(self, partition_count: int) -> None:
        """Compare with the partition count that the state was begun with.

        Raises NotReady when it is another one, or when a newer version began the state.
        """
        for partition, recorded in (await self._recorded(partition_count)).items():
            if recorded != partition_count:
                raise NotReady(
                    f"the topics have {partition_count} partitions, but the state in {self._config.state_topic} was "
                    f"begun with {recorded} (partition {partition}): accounts would lie in other partitions than "
                    f"their state; give every topic {recorded} partitions again"
                )

    async def _recorded(self, partition_count: int) -> dict[int, int]:
        consumer: Consumer = AIOKafkaConsumer(
            **self._config.client,
            client_id=f"{self._config.app_id}-format",
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="none",
            fetch_max_wait_ms=PROBE_WAIT_MS,
            request_timeout_ms=self._config.request_timeout_ms,
        )
        step_ms = self._config.step_ms_max
        try:
            await bounded(consumer.start(), step_ms, "connecting")
            sources = [TopicPartition(self._config.state_topic, partition) for partition in range(partition_count)]
            consumer.assign(sources)
            beginnings = await bounded(consumer.beginning_offsets(sources), step_ms, "finding the state's beginning")
            for source, offset in beginnings.items():
                consumer.seek(source, offset)
            return await bounded(_read_formats(consumer, sources), step_ms, "reading the recorded partition count")
        except LeaderNotAvailableError as error:
            raise StepTimeout("the state topic has no leader yet") from error
        finally:
            self._reaper.bury(consumer)


async def _read_formats(consumer: Consumer, sources: list[TopicPartition]) -> dict[int, int]:
    counts: dict[int, int] = {}
    unread = dict.fromkeys(sources, PROBE_RECORDS_MAX)
    for _ in range(PROBE_POLLS_MAX):
        batches = await consumer.getmany(*unread, timeout_ms=2 * PROBE_WAIT_MS, max_records=PROBE_RECORDS_MAX)
        for source, records in batches.items():
            unread[source] -= len(records)
            for record in records:
                if record.key == FORMAT_KEY and record.value is not None:
                    counts[source.partition] = _format_of(record.value)
        for source in list(unread):
            stable_offset = consumer.last_stable_offset(source)
            at_end = stable_offset is not None and await consumer.position(source) >= stable_offset
            if at_end or source.partition in counts or unread[source] <= 0:
                consumer.pause(source)
                del unread[source]
        if not unread:
            break
    return counts


def _format_of(value: bytes) -> int:
    try:
        return decode_format(value)
    except StateVersionError as error:
        raise NotReady(f"{error}: run the version that wrote it, or a newer one") from error


class _Closing:
    """An admin client ends by `close`, the others by `stop`."""

    def __init__(self, admin: Admin) -> None:
        self._admin = admin

    async def stop(self) -> None:
        await self._admin.close()
