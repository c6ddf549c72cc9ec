"""Every version of the state that was ever released is read by this program, and this program writes the version that
it says it writes.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from schemas import state
from schemas.topics import LEDGER, Topic
from tests.state_fixture import CURRENT, StateRecord, plain, read, versions, written_today
from worker.domain.order.rows import decode_order
from worker.domain.order.state import Claim, OrderState, ReturnFacts, SubOrderFacts, TakenBack
from worker.domain.order.timeline import CancelledUnits
from worker.stream.state.positions import ENGINE_KEYS

DECODERS = {
    "account": state.decode_account,
    "order": decode_order,
    "retired": state.decode_retired,
    "stock": state.decode_stock,
    "adjustment": state.decode_adjustment,
    "flood": state.decode_flood,
    "pending": state.decode_pending,
    "part": state.decode_part,
}

OF_ORDERS = (OrderState, SubOrderFacts, ReturnFacts, TakenBack, CancelledUnits, Claim)
UNTIL_THE_FLUSH = {"record", "changed", "sizeable"}
OF_OLDER_STATES = {"identities_of_1"}
"""Fields of an order that only a state of an older version fills: `test_rows_of_version_1`."""

WRITTEN_OTHERWISE = f"""
This program writes state records of version {CURRENT} otherwise than the fixture of that version has them.
If how they are encoded has changed, or what a field means: raise VERSION (schemas/state.py for the domain's records,
worker/stream/state/positions.py for the engine's), go on reading the older version, and run `make state-fixture`,
which adds a fixture for the new one. If only the rules or the fixture's history have changed, or the version was
never released: run `make state-fixture` and look at the difference. The records:"""


def different(before: list[StateRecord], after: list[StateRecord]) -> Iterator[str]:
    """The records that differ, in readable form. The order of a map's keys means nothing."""
    old, new = (
        {key: None if value is None else msgspec.msgpack.decode(value) for key, value in records}
        for records in (before, after)
    )
    for key in old.keys() | new.keys():
        if key not in old or key not in new or old[key] != new[key]:
            yield f"{key}\n    fixture {old.get(key, 'has none')}\n    today   {new.get(key, 'has none')}"


def test_this_program_writes_the_version_of_the_state_that_it_says() -> None:
    assert CURRENT in versions(), f"there is no fixture of version {CURRENT}: run `make state-fixture`"
    differences = sorted(different(read(CURRENT).records, written_today().records))
    if differences:
        pytest.fail("\n".join([WRITTEN_OTHERWISE, *differences]), pytrace=False)


@pytest.mark.parametrize("version", versions())
def test_a_restore_from_a_released_version_answers_and_goes_on(version: str) -> None:
    fixture = read(version)
    for expected, answer in zip(fixture.answers, plain(fixture.renewed().answers), strict=True):
        assert answer == expected


def test_a_record_that_lost_or_changed_a_field_is_told_with_its_key() -> None:
    records = read(CURRENT).records
    key, value = next((key, value) for key, value in records if key.startswith("stock/") and value is not None)
    fields = msgspec.msgpack.decode(value)
    altered = [(each, msgspec.msgpack.encode(fields[:-1]) if each == key else was) for each, was in records]
    (told,) = different(records, altered)
    assert told.startswith(key)
    (told,) = different(records, [each for each in records if each[0] != key])
    assert "today   has none" in told


def test_the_fixture_uses_every_kind_of_record_and_every_field() -> None:
    unused = {(cls, name) for cls in (*state.State.__args__, *OF_ORDERS) for name in fields_of(cls)}
    for key, value in read(CURRENT).records:
        if value is not None and not key.encode().startswith(ENGINE_KEYS):
            unused -= set(used_in(DECODERS[key.partition("/")[0]](value)))
    assert not unused, "nothing in tests/state_history.py makes use of these"


def fields_of(cls: type) -> tuple[str, ...]:
    """The fields of a kind of record, or of what an order is decoded to."""
    names: tuple[str, ...] = cls.__slots__ if cls in OF_ORDERS else cls.__struct_fields__  # type: ignore[attr-defined]
    return tuple(name for name in names if cls is not OrderState or name not in UNTIL_THE_FLUSH | OF_OLDER_STATES)


def used_in(value: object) -> Iterator[tuple[type, str]]:
    """The fields, at any depth, that say anything."""
    if isinstance(value, (msgspec.Struct, *OF_ORDERS)):
        for name in fields_of(type(value)):
            inner = getattr(value, name)
            if inner:
                yield type(value), name
            yield from used_in(inner)
    elif isinstance(value, dict):
        for inner in value.values():
            yield from used_in(inner)


def test_the_answers_cover_every_outcome_and_every_output() -> None:
    following = [answer for answer in read(CURRENT).answers if "next" in answer]
    assert {answer["outcome"] for answer in following} == {"applied", "duplicate", "stale", "dead_lettered"}
    written = {output["topic"] for answer in following for output in answer["outputs"]}
    assert written == {str(topic) for topic in Topic} - {*LEDGER.inputs, Topic.STATE}
