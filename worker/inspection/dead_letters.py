"""Reading dead letters from their topic, sending them again, and giving them up.

A dead letter may stand in the topic several times, because a replay that is refused keeps the id. The last one counts.
The state knows only dead letters that hold an order back. For the others, the topic itself records that they are
settled, with a *mark* in the same partition: a record without key and value, with the dead letter's id in the header
`settled` and the outcome in `settled-as`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple, Self, get_args

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from schemas.decoding import order_of
from schemas.inputs import DeadLetterDiscarded
from schemas.times import time_text, timestamp_text
from schemas.topics import RECORD_BYTES_MAX
from worker.clock import Chance, Clock
from worker.inspection import connecting
from worker.inspection.topic_reader import Record, TopicReader
from worker.processors.ledger import ERROR_HEADERS, REPLAY_HEADER, topic_of_source

_ID = re.compile(r"(.+)/([0-9]{1,10})/([0-9]{1,19})")

SETTLED_HEADER: Final = "settled"
SETTLED_AS_HEADER: Final = "settled-as"
SettledAs = Literal["accepted", "discarded"]


class DeadLetterGone(Exception):
    """A dead letter was deleted between being found and being read; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class DeadLetterId:
    """`source-topic/partition/offset`, the topic by its full name, with its generation where it was accepted anew."""

    topic: str
    partition: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an id. Raises ValueError where the text is none."""
        match = _ID.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is no dead letter's id: topic/partition/offset")
        return cls(match[1], int(match[2]), int(match[3]))

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter without its value. `partition`, `offset` and `written_at` (UTC) are those of its own record.

    `order`: the account and the order that its value names, for one that may hold that order back (contract section 7).
    Whether it does is known from the state alone: a letter whose last code is `too_late` still holds its order back if
    it was refused with another code before.
    """

    id: str
    code: str
    error: str
    source_topic: str
    source_partition: int
    source_offset: int
    source_timestamp: str | None
    """The record's own timestamp; None: it had none."""
    account_id: str | None
    order_id: str | None
    partition: int
    offset: int
    written_at: str
    is_replay: bool
    settled: SettledAs | None = None
    """The outcome in its mark; None: it has none."""

    @property
    def order(self) -> tuple[str, str] | None:
        """Return account and order; None: it belongs to no order."""
        return None if self.account_id is None or self.order_id is None else (self.account_id, self.order_id)


def read_dead_letter(record: Record, commands_topic: str) -> DeadLetter | None:
    """Decode a record of the topic; None: the worker did not write it."""
    # Of several with one name the first counts, as for the worker.
    headers = {name: (value or b"").decode(errors="replace") for name, value in reversed(record.headers)}
    try:
        source = DeadLetterId(headers["source-topic"], int(headers["source-partition"]), int(headers["source-offset"]))
        source_timestamp = int(headers["source-timestamp"])
    except (KeyError, ValueError):
        return None
    code = headers.get("error-code", "")
    topic = topic_of_source(source.topic)
    is_of_none = topic == commands_topic or code == "wrong_partition"
    order = None if is_of_none else order_of(record.value, record.key)
    return DeadLetter(
        id=str(source),
        code=code,
        error=headers.get("error", ""),
        source_topic=topic,
        source_partition=source.partition,
        source_offset=source.offset,
        source_timestamp=None if source_timestamp < 0 else timestamp_text(source_timestamp),
        account_id=None if record.key is None else record.key.decode(errors="replace"),
        order_id=None if order is None else order[1],
        partition=record.partition,
        offset=record.offset,
        written_at=timestamp_text(record.timestamp),
        is_replay=headers.get(REPLAY_HEADER) == str(source),
    )


class Mark(NamedTuple):
    """A record of the topic that settles a dead letter."""

    dead_letter_id: str
    settled: SettledAs


def read_mark(record: Record) -> Mark | None:
    """Decode a mark; None: the record is none. An original record may have had headers of the same names."""
    headers = {name: (value or b"").decode(errors="replace") for name, value in reversed(record.headers)}
    if SETTLED_HEADER not in headers or not headers.keys().isdisjoint(ERROR_HEADERS):
        return None
    for settled in get_args(SettledAs):
        if headers.get(SETTLED_AS_HEADER) == settled:
            return Mark(headers[SETTLED_HEADER], settled)
    return None


async def read_dead_letters(
    reader: TopicReader, topic: str, partition: int, commands_topic: str
) -> dict[str, DeadLetter]:
    """Read the latest dead letter of each id in a partition, in the order in which the ids first appeared."""
    found: dict[str, DeadLetter] = {}

    def take(records: Sequence[Record]) -> None:
        for record in records:
            dead_letter = read_dead_letter(record, commands_topic)
            if dead_letter is not None:
                found[dead_letter.id] = dead_letter
                continue
            mark = read_mark(record)
            if mark is not None and mark.dead_letter_id in found:
                found[mark.dead_letter_id] = replace(found[mark.dead_letter_id], settled=mark.settled)

    bounds = await reader.bounds(topic, partition)
    await reader.read(topic, partition, start=bounds.start, end=bounds.stable_end, take=take)
    return found


async def read_records(reader: TopicReader, topic: str, letters: Sequence[DeadLetter]) -> list[Record]:
    """The whole records of dead letters, in their order: all of one partition, by ascending offset, few enough to hold.

    Raises DeadLetterGone if one is not there any more.
    """
    wanted = {letter.offset for letter in letters}
    held: list[Record] = []

    def take(records: Sequence[Record]) -> None:
        held.extend(record for record in records if record.offset in wanted)

    first, last = letters[0], letters[-1]
    await reader.read(topic, first.partition, start=first.offset, end=last.offset + 1, take=take)
    if len(held) != len(letters):
        raise DeadLetterGone(f"some of the dead letters from {first.id} to {last.id} are not in {topic} any more")
    return held


def own_headers(record: Record) -> list[tuple[str, bytes | None]]:
    """Return the headers that the original record had."""
    return [(name, value) for name, value in record.headers if name not in ERROR_HEADERS and name != REPLAY_HEADER]


class Place(NamedTuple):
    """The topic, partition and offset of a record that was sent."""

    topic: str
    partition: int
    offset: int


class Sender:
    """Sends dead letters again, or gives them up, acknowledged by all copies. Use as an async context manager."""

    def __init__(self, client_options: Mapping[str, object], clock: Clock = Clock(), chance: Chance = Chance()) -> None:
        self._options = client_options
        self._clock = clock
        self._chance = chance
        self._producer = self._new_producer()

    def _new_producer(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            **self._options,
            enable_idempotence=True,
            max_request_size=RECORD_BYTES_MAX,
            request_timeout_ms=10_000,
        )

    async def __aenter__(self) -> Self:
        """Connect. Raises BrokerUnreachable."""
        try:
            await connecting.start(self._producer, self._options)
        except BaseException:
            await connecting.close(self._producer.stop())
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await connecting.close(self._producer.stop())

    async def replay(self, dead_letter: DeadLetter, record: Record) -> Place | None:
        """Send the original again, to where it came from. Its time is now: `future` and `too_late` are decided anew.

        Returns None where it is not sent, as with the header `replay-of` it is larger than its topic takes.
        """
        headers = [*own_headers(record), (REPLAY_HEADER, dead_letter.id.encode())]
        topic, partition = dead_letter.source_topic, dead_letter.source_partition
        try:
            return await self._send(topic, partition, record.key, record.value, headers)
        except MessageSizeTooLargeError:
            # The producer has used a sequence number for it, so the broker would reject all that follows.
            await connecting.close(self._producer.stop())
            self._producer = self._new_producer()
            await connecting.start(self._producer, self._options)
            return None

    async def settle(self, dead_letter: DeadLetter, settled: SettledAs, dead_letters_topic: str) -> None:
        """Write the mark of a dead letter that holds no order back."""
        headers = [(SETTLED_HEADER, dead_letter.id.encode()), (SETTLED_AS_HEADER, settled.encode())]
        await self._send(dead_letters_topic, dead_letter.partition, None, None, headers)

    async def discard(self, dead_letter: DeadLetter, order: tuple[str, str], commands_topic: str) -> Place:
        """Send the command that gives a dead letter up, so that it no longer holds its order back."""
        account_id, order_id = order
        command = DeadLetterDiscarded(
            event_id=f"discard-{self._chance.token()}",
            account_id=account_id,
            occurred_at=time_text(self._clock.now_ms()),
            order_id=order_id,
            dead_letter_id=dead_letter.id,
        )
        # A dead letter of an order lies in its account's partition.
        value = msgspec.json.encode(command)
        return await self._send(commands_topic, dead_letter.partition, account_id.encode(), value, [])

    async def _send(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: list[tuple[str, bytes | None]] | list[tuple[str, bytes]],
    ) -> Place:
        # A batch of its own: the client's `send` refuses a record that has neither key nor value.
        batch = self._producer.create_batch()
        batch.append(timestamp=None, key=key, value=value, headers=headers)
        metadata = await (await self._producer.send_batch(batch, topic, partition=partition))
        return Place(topic, partition, metadata.offset)
