"""Checks of the topics, before the worker joins the group and while it runs.

All topics must exist with the same partition count, which must be the count recorded in the state. With another count,
accounts would lie in other partitions than their state. And the state and the journal must not lose records by age. If
a check fails, nothing is processed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    LeaderNotAvailableError,
    TopicAuthorizationFailedError,
    for_code,
)

from worker.stream.clients import Admin, Consumer
from worker.stream.config import EngineConfig
from worker.stream.errors import NotReady, StepTimeout, bounded
from worker.stream.kafka.metadata_requests import DescribedTopic, describe_topics
from worker.stream.kafka.reaper import Reaper
from worker.stream.processor import StateVersionError
from worker.stream.rights import hidden_sentence
from worker.stream.start.guards import ANOTHER_SYSTEM, BEGIN_ANEW
from worker.stream.state.positions import FORMAT_KEY, decode_format

log = logging.getLogger(__name__)

PROBE_WAIT_MS = 20
PROBE_POLLS_MAX = 100
PROBE_RECORDS_MAX = 1000
"""Only the fences of starts that failed come before the format record, so it lies near the beginning."""

NO_ERROR = 0


class TopicsSeen(NamedTuple):
    """The topics at one moment: the partition count of all, and the ids of those that have one."""

    partition_count: int
    ids: Mapping[str, bytes]


def topics_seen(described: Mapping[str, DescribedTopic], names: Sequence[str], config: EngineConfig) -> TopicsSeen:
    """Judge what the broker reports of the topics. Raises NotReady if one is missing or the counts differ."""
    refused = [name for name in names if described[name].error_code == TopicAuthorizationFailedError.errno]
    if refused:
        raise NotReady(hidden_sentence(config.client.get("sasl_plain_username"), refused))
    missing = [name for name in names if described[name].error_code != NO_ERROR]
    if missing:
        raise NotReady(_missing(missing, names, config))
    by_count: dict[int, list[str]] = {}
    for name in names:
        by_count.setdefault(described[name].partition_count, []).append(name)
    if len(by_count) > 1:
        listed = "; ".join(f"{count}: {', '.join(topics)}" for count, topics in sorted(by_count.items()))
        raise NotReady(
            f"the topics do not have the same partition count ({listed}), but must: run `stockfreeze topics check`, "
            "which shows what to do about each"
        )
    ids = {name: topic_id for name in names if (topic_id := described[name].topic_id) is not None}
    return TopicsSeen(next(iter(by_count)), ids)


def check_values(topic: str, wanted: Mapping[str, str], values: Mapping[str, str]) -> None:
    """Judge a topic's configuration. Raises NotReady if a wanted value is another one."""
    for name, value in wanted.items():
        if values.get(name, value) != value:
            raise NotReady(
                f"{name} of {topic} is {values[name]}, so it would lose records that the books need: set it to "
                f"{value}, and run `stockfreeze verify`, as some may have expired already; nothing is processed "
                "before that (`stockfreeze topics check` shows all settings)"
            )


class TopicCheck:
    """Asks the broker about the engine's topics. Call `start` before use, and `close` at the end."""

    def __init__(self, config: EngineConfig, reaper: Reaper, unreadable_policies: set[str]) -> None:
        """`unreadable_policies` has the topics that a warning was logged for. It outlives this object."""
        self._config = config
        self._reaper = reaper
        self._unreadable_policies = unreadable_policies
        self._admin: Admin = AIOKafkaAdminClient(
            **config.client, client_id=f"{config.app_id}-topics", request_timeout_ms=config.request_timeout_ms
        )

    async def start(self) -> None:
        """Connect."""
        await bounded(self._admin.start(), self._config.step_ms_max, "connecting")

    def close(self) -> None:
        """Disconnect, in the background."""
        self._reaper.close_later(_Closing(self._admin))

    async def look(self) -> TopicsSeen:
        """Read the partition count of all topics, and their ids.

        Raises NotReady if a topic is missing or the counts differ, and errors of the broker.
        """
        config = self._config
        names = list(dict.fromkeys((*config.inputs, *config.outputs, config.state_topic)))
        described = await bounded(describe_topics(self._admin, names), config.step_ms_max, "looking at the topics")
        return topics_seen(described, names, config)

    async def check_policies(self) -> None:
        """Check that the state keeps the latest record of each key, and the journal all records.

        Raises NotReady if they do not, and errors of the broker. Without the right to ask, it logs a warning.
        """
        config = self._config
        wanted = {
            config.state_topic: {"cleanup.policy": "compact"},
            config.journal_topic: {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"},
        }
        resources = [
            ConfigResource(ConfigResourceType.TOPIC, topic, dict.fromkeys(values, ""))
            for topic, values in wanted.items()
        ]
        asked = self._admin.describe_configs(resources)
        for answer in await bounded(asked, config.step_ms_max, "looking at the topics' configuration"):
            for code, _, _, topic, entries in answer.resources:
                if code == TopicAuthorizationFailedError.errno:
                    self._warn_once(topic)
                elif code != NO_ERROR:
                    raise for_code(code)(topic)
                values = {entry[0]: entry[1] for entry in entries}
                check_values(topic, wanted.get(topic, {}), values)

    def _warn_once(self, topic: str) -> None:
        if topic not in self._unreadable_policies:
            self._unreadable_policies.add(topic)
            log.warning(
                "the configuration of a topic cannot be read, so it may lose records unnoticed: grant the right",
                extra={"topic": topic, "needed": "DESCRIBE_CONFIGS"},
            )

    async def check_recorded(self, partition_count: int) -> None:
        """Compare the partition count with the one that the state was begun with.

        Raises NotReady if they differ, or if a newer version of the program began the state.
        """
        for partition, recorded in (await self._recorded(partition_count)).items():
            if recorded != partition_count:
                raise NotReady(
                    f"the topics have {partition_count} partitions, but the state in {self._config.state_topic} was "
                    f"begun with {recorded} (partition {partition}): accounts would lie in other partitions than "
                    f"their state; {ANOTHER_SYSTEM}"
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
            self._reaper.close_later(consumer)


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


def _missing(missing: Sequence[str], names: Sequence[str], config: EngineConfig) -> str:
    if len(missing) == len(names):
        return (
            f"all topics are missing, such as {missing[0]}: check BOOTSTRAP_SERVERS and TOPIC_PREFIX; for a new "
            "system, run `stockfreeze topics create`"
        )
    sentence = f"topics are missing: {', '.join(missing)}"
    if config.state_topic in missing or config.journal_topic in missing:
        # A recreated topic would be empty, and the partitions would halt.
        return (
            f"{sentence}; if this system has worked before, their records are needed: restore them from a copy with "
            f"the same offsets, or {BEGIN_ANEW}; for a new system, run `stockfreeze topics create`"
        )
    return f"{sentence}; run `stockfreeze topics create`, and follow its advice on the new topics"


class _Closing:
    """Gives an admin client the method `stop` that other clients have."""

    def __init__(self, admin: Admin) -> None:
        self._admin = admin

    async def stop(self) -> None:
        await self._admin.close()
