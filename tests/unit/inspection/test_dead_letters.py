"""Dead letters read back from their topic."""

from __future__ import annotations

import pytest

from schemas.topics import Topic
from tests.offline import OfflinePartition, account_in, as_written, input_records, record, story
from tests.topics_in_memory import MemoryReader
from worker.inspection.dead_letters import (
    DeadLetterGone,
    DeadLetterId,
    own_headers,
    read_dead_letter,
    read_dead_letters,
    read_mark,
    read_records,
)
from worker.stream.records import Headers, InputRecord

HEADERS: Headers = [
    ("error-code", b"invalid"),
    ("error", b"The field lines is wrong."),
    ("source-topic", b"p.orders.events.v1"),
    ("source-partition", b"2"),
    ("source-offset", b"7"),
    ("source-timestamp", b"1767225600000"),
]
VALUE = b'{"account_id":"acme","order_id":"o1"}'


def test_a_dead_letter_says_where_it_came_from_and_whose_it_is() -> None:
    letter = read_dead_letter(record("dead", 2, 5, b"acme", VALUE, HEADERS), "p.commands.v1")

    assert letter is not None
    assert (letter.id, letter.code, letter.order) == ("p.orders.events.v1/2/7", "invalid", ("acme", "o1"))
    assert letter.source_timestamp == "2026-01-01T00:00:00.000Z"


def test_a_record_without_a_timestamp_has_none() -> None:
    headers = [*HEADERS[:-1], ("source-timestamp", b"-1")]
    letter = read_dead_letter(record("dead", 2, 5, b"acme", VALUE, headers), "p.commands.v1")
    assert letter is not None
    assert letter.source_timestamp is None


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [(b"other", VALUE, b"key_mismatch"), (b"acme", b"x", b"undecodable"), (b"acme", VALUE, b"wrong_partition")],
)
def test_a_dead_letter_that_cannot_hold_an_order_back_has_none(key: bytes, value: bytes, code: bytes) -> None:
    headers = [("error-code", code), *HEADERS[1:]]

    letter = read_dead_letter(record("dead", 2, 5, key, value, headers), "p.commands.v1")

    assert letter is not None
    assert letter.order is None


def test_a_letter_that_is_too_late_now_still_names_its_order() -> None:
    headers = [("error-code", b"too_late"), *HEADERS[1:]]

    letter = read_dead_letter(record("dead", 2, 5, b"acme", VALUE, headers), "p.commands.v1")

    assert letter is not None
    assert letter.order == ("acme", "o1")


def test_a_refused_command_holds_no_order_back() -> None:
    letter = read_dead_letter(record("dead", 2, 5, b"acme", VALUE, HEADERS), "p.orders.events.v1")

    assert letter is not None
    assert letter.order is None


def test_a_record_without_the_workers_headers_is_no_dead_letter() -> None:
    assert read_dead_letter(record("dead", 2, 5, b"acme", VALUE, HEADERS[:3]), "p.commands.v1") is None


def test_own_headers_are_those_without_the_workers_and_a_replays() -> None:
    headers = [*HEADERS, ("trace", b"1"), ("replay-of", b"p.orders.events.v1/2/7"), ("trace", b"2")]

    assert own_headers(record("dead", 2, 5, b"acme", VALUE, headers)) == [("trace", b"1"), ("trace", b"2")]


def test_a_header_without_a_value_is_read_like_an_empty_one() -> None:
    letter = read_dead_letter(record("dead", 2, 5, b"acme", VALUE, [*HEADERS, ("replay-of", None)]), "p.commands.v1")
    assert letter is not None
    assert not letter.is_replay


def test_of_several_replay_headers_the_first_counts() -> None:
    headers = [*HEADERS, ("replay-of", b"p.orders.events.v1/2/7"), ("replay-of", b"p.orders.events.v1/2/8")]
    letter = read_dead_letter(record("dead", 2, 5, b"acme", VALUE, headers), "p.commands.v1")
    assert letter is not None
    assert letter.is_replay


async def test_of_several_dead_letters_of_one_id_the_last_counts() -> None:
    records = [record("dead", 2, offset, b"acme", VALUE, HEADERS) for offset in (1, 4)]

    letters = await read_dead_letters(MemoryReader({"dead": records}), "dead", 2, "p.commands.v1")

    assert [letter.offset for letter in letters.values()] == [4]


async def test_whole_records_are_read_back_by_their_letters() -> None:
    worker = OfflinePartition(1, 2)
    topics = as_written([worker.process(input_records(story(account_in(1, 2)), 1))], 1)
    reader = MemoryReader(topics)
    letters = list((await read_dead_letters(reader, Topic.DEAD_LETTERS, 1, Topic.COMMANDS)).values())

    records = await read_records(reader, Topic.DEAD_LETTERS, letters)

    assert records[0].value == b"not JSON"
    assert len(records) == 2


async def test_what_lies_between_the_letters_that_are_read_back_is_left_out() -> None:
    records = [record("dead", 2, offset, b"acme", VALUE, HEADERS) for offset in (1, 4, 6)]
    letters = [read_dead_letter(records[number], "p.commands.v1") for number in (0, 2)]

    found = await read_records(MemoryReader({"dead": records}), "dead", [letter for letter in letters if letter])

    assert [entry.offset for entry in found] == [1, 6]


async def test_a_dead_letter_that_is_gone_is_told() -> None:
    letter = read_dead_letter(record("dead", 2, 5, b"acme", VALUE, HEADERS), "p.commands.v1")
    assert letter is not None

    with pytest.raises(DeadLetterGone, match="not in dead any more"):
        await read_records(MemoryReader({}), "dead", [letter])


def test_an_id_is_topic_partition_and_offset() -> None:
    assert DeadLetterId.parse("a/b/3/17") == DeadLetterId("a/b", 3, 17)
    for text in ("orders", "orders/1", "orders/x/1", "orders/1/-2", "/1/2", "orders/1/²"):
        with pytest.raises(ValueError, match="no dead letter"):
            DeadLetterId.parse(text)


MARK: Headers = [("settled", b"p.orders.events.v1/2/7"), ("settled-as", b"discarded")]


async def test_a_mark_settles_a_dead_letter_until_it_is_refused_again() -> None:
    refused, mark = record("dead", 2, 1, b"acme", VALUE, HEADERS), record("dead", 2, 4, None, None, MARK)
    again = record("dead", 2, 6, b"acme", VALUE, HEADERS)

    async def settled(*records: InputRecord) -> list[str | None]:
        letters = await read_dead_letters(MemoryReader({"dead": [*records]}), "dead", 2, "p.commands.v1")
        return [letter.settled for letter in letters.values()]

    assert await settled(refused, mark) == ["discarded"]
    assert await settled(refused, mark, again) == [None]
    assert await settled(mark) == []


def test_a_dead_letter_that_has_the_headers_of_a_mark_of_its_own_is_none() -> None:
    assert read_mark(record("dead", 2, 1, b"acme", VALUE, [*HEADERS, *MARK])) is None
    assert read_mark(record("dead", 2, 1, None, None, [MARK[0], ("settled-as", b"nonsense")])) is None
