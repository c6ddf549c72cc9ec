"""An order never outgrows its records: what would let it is refused before it changes anything."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import count, islice
from typing import Final, get_args

import msgspec
import pytest

from schemas.encoding import key_of
from schemas.inputs import OrdersEvent, SubOrdersEvent
from schemas.topics import RECORD_BYTES_MAX, Topic
from tests.unit.domain.shop import APPLIED, DAY, DEAD_LETTERED, Fields, Flushed, Shop, body_of, decoded, ordered
from worker.domain.order.limits import (
    _FIXED_BYTES,
    _WITH_LINES,
    DEAD_LETTERS_MAX,
    ORDER_BYTES_MAX,
    SMALL_IDENTITIES,
    SMALL_LINES,
    SMALL_STATE_BYTES,
    bytes_max_after,
    bytes_max_by_count,
    bytes_of,
    is_small,
)
from worker.domain.order.rows import decode_order
from worker.domain.order.state import OrderState
from worker.stream.processor import Outcome

LINES: Final = 1000
ID_LENGTH: Final = 128
BYTES_OF_FOUR: Final = "\U0001f4e6"
ESCAPED: Final = ('"', "\\")
WORST: Final = (BYTES_OF_FOUR, *ESCAPED)
SHORT_SKUS: Final = [first + second for first in "abcdefghijklmnop" for second in "abcdefghijklmnopqrst"][:222]


def names(character: str, length: int = ID_LENGTH) -> Iterator[str]:
    """Ids of a length in code points, all different."""
    return (f"{number:06}{character * (length - 6)}" for number in count())


def lines_of(skus: Iterator[str], n_lines: int = LINES, **fields: object) -> list[Fields]:
    return [{"sku": next(skus), "quantity": 10**9, **fields} for _ in range(n_lines)]


def largest(flushed: Flushed) -> int:
    return max(len(record.key or b"") + len(record.value or b"") for record in flushed.records)


def sub_orders(character: str) -> Iterator[Fields]:
    skus, owners = names(character), names(character)
    while True:
        yield body_of(
            "sub_order.created", sub_order_id=next(owners), warehouse_id=character * ID_LENGTH, lines=lines_of(skus)
        )


def amendments(character: str) -> Iterator[Fields]:
    skus = names(character)
    for revision in count(1):
        yield body_of(
            "order.amended", revision=revision, lines=lines_of(skus, warehouse_id=f"{revision}" + character * 100)
        )


def splits(character: str) -> Iterator[Fields]:
    """Short SKUs, long owners: the status record is far larger than the events."""
    owners = names(character)
    yield body_of("sub_order.created", warehouse_id=character * ID_LENGTH, lines=[{"sku": "k", "quantity": 1}])
    while True:
        children = [{"sub_order_id": next(owners), "lines": lines_of(names("", 6), 20)} for _ in range(100)]
        yield body_of("sub_order.split", children=children)


def returns(character: str) -> Iterator[Fields]:
    skus, return_ids = names(character), names(character)
    yield body_of("sub_order.created", lines=[{"sku": "k", "quantity": 1}])
    while True:
        yield body_of(
            "sub_order.returned",
            return_id=next(return_ids),
            lines=lines_of(skus),
            warehouse_id=character * ID_LENGTH,
        )


def cancellations(character: str) -> Iterator[Fields]:
    skus = names(character)
    while True:
        yield body_of("sub_order.cancelled", lines=lines_of(skus))


def moves(character: str) -> Iterator[Fields]:
    """Events of a line, each of which takes all children to another warehouse."""
    warehouses, skus = names(character), names(character)
    children = [{"sub_order_id": f"child {number}", "lines": lines_of(skus, 30)} for number in range(30)]
    yield body_of("sub_order.split", children=children)
    for at in count(1):
        yield body_of("sub_order.created", at, warehouse_id=next(warehouses), lines=[{"sku": "k", "quantity": 1}])


HISTORIES: Final = (sub_orders, amendments, splits, returns, cancellations, moves)


@pytest.mark.parametrize(
    ("history", "character"),
    [*((history, BYTES_OF_FOUR) for history in HISTORIES), *((sub_orders, escaped) for escaped in ESCAPED)],
)
def test_no_record_of_an_order_outgrows_its_topic(history: Callable[[str], Iterator[Fields]], character: str) -> None:
    shop = Shop(now=600)
    last: Fields = {}
    accepted = 0
    for body in history(character):
        last = body
        outcome = shop.process(body)
        flushed = shop.flush(outcome)
        assert largest(flushed) < RECORD_BYTES_MAX
        if outcome is DEAD_LETTERED:
            break
        accepted += 1
    assert accepted >= 1
    assert flushed.code == "invalid"
    assert not flushed.moves
    assert not flushed.statuses
    assert shop.order(1, order_id="neighbour").outcome is APPLIED
    assert shop.restarted().view("neighbour").placed
    assert len(shop.view().dead_letters) == 1
    small = body_of("order.cancelled", event_id=last["event_id"])
    assert shop.process(small) is APPLIED, "the refused event left no identity that it could conflict with"


def _outcomes(flush_every: int, *, restarts: bool) -> list[Outcome]:
    shop = Shop(now=600)
    outcomes = []
    for number, body in enumerate(islice(sub_orders(BYTES_OF_FOUR), 5)):
        outcomes.append(shop.process(body))
        outcomes.append(shop.process(body_of("sub_order.shipped", sub_order_id=body["sub_order_id"])))
        if number % flush_every == 0:
            shop.flush()
            shop = shop.restarted() if restarts else shop
    return outcomes


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("flush_every", [1, 2])
def test_what_is_refused_does_not_depend_on_transactions(*, flush_every: int, restarts: bool) -> None:
    at_once = _outcomes(100, restarts=False)
    assert {APPLIED, DEAD_LETTERED} == set(at_once)
    assert _outcomes(flush_every, restarts=restarts) == at_once


def test_ten_events_of_a_thousand_ordinary_lines_are_taken() -> None:
    skus = names("s", 40)
    bodies = [
        body_of("order.created", lines=lines_of(skus, warehouse_id="w" * 40)),
        body_of("order.amended", revision=1, lines=lines_of(skus, warehouse_id="w" * 40)),
        *(
            body_of("sub_order.created", sub_order_id=f"{n}" * 40, lines=lines_of(skus), warehouse_id="w" * 40)
            for n in range(5)
        ),
        body_of("sub_order.cancelled", sub_order_id="1" * 40, lines=lines_of(skus)),
        body_of("sub_order.returned", sub_order_id="2" * 40, return_id="r" * 40, lines=lines_of(skus)),
        body_of(
            "sub_order.split",
            sub_order_id="0" * 40,
            children=[{"sub_order_id": f"c{n}" * 20, "lines": lines_of(skus, 10)} for n in range(100)],
        ),
        body_of("sub_order.created", 1, sub_order_id="0" * 40, warehouse_id="other", lines=lines_of(skus)),
    ]
    shop = Shop()
    assert [shop.process(body) for body in bodies] == [APPLIED] * len(bodies)


def test_an_order_with_more_dead_letters_than_it_remembers_still_fits() -> None:
    shop = Shop()
    invalid = body_of("order.created", lines=[])
    for number in range(DEAD_LETTERS_MAX + 10):
        origin = f"{'t' * 249}/{number:010}/{number:019}"
        assert shop.process(invalid, headers=(("replay-of", origin.encode()),)) is DEAD_LETTERED
    flushed = shop.flush()
    assert len(flushed.of(Topic.DEAD_LETTERS)) == DEAD_LETTERS_MAX + 10
    assert len(shop.view().dead_letters) == DEAD_LETTERS_MAX
    assert max(len(record.value or b"") for record in flushed.of(Topic.STATE)) < DEAD_LETTERS_MAX * 300
    assert largest(shop.say("archive.requested")) < RECORD_BYTES_MAX


# The bound.


class _Known:
    """What the last flush left of the order."""

    def __init__(self, shop: Shop) -> None:
        value = shop.state.get(b"order/" + key_of("a", "o"))
        self.bytes = len(value or b"")
        self.order = OrderState() if value is None else decode_order(value)


@pytest.mark.parametrize("seed", range(12))
def test_no_record_is_larger_than_the_bound_said_before_the_event(seed: int) -> None:
    chance = random.Random(seed)
    owners, skus, warehouses = (
        [f"{number:06}{chance.choice(WORST) * (ID_LENGTH - 6)}" for number in range(n)] for n in (6, 30, 5)
    )
    shop = Shop(now=600)
    for _ in range(60):
        body = _any_event(chance, owners, skus, warehouses)
        known = _Known(shop)
        event = decoded(body["type"], **{name: value for name, value in body.items() if name != "type"}).event
        bound = bytes_max_after(known.order, event, "default")  # type: ignore[arg-type]  # one of an order
        assert bytes_max_by_count(known.order, event) >= bound  # type: ignore[arg-type]  # likewise
        bound += _FIXED_BYTES
        assert largest(shop.send(body)) <= bound
        assert largest(shop.say("archive.requested")) <= bound


def test_no_record_exceeds_the_bound_where_many_sub_orders_share_skus() -> None:
    shop = Shop(now=600)
    for number in range(5):
        fields = {"sub_order_id": f"s{number}", "lines": lines_of(names("", 6))}
        event = decoded("sub_order.created", number, **fields).event
        bound = bytes_max_after(_Known(shop).order, event, "default")  # type: ignore[arg-type]  # one of an order
        assert largest(shop.say("sub_order.created", number, **fields)) <= bound + _FIXED_BYTES


def test_what_is_kept_of_an_order_that_left_is_within_the_bound() -> None:
    shop = Shop(now=600)
    shop.say("sub_order.created", lines=lines_of(names("", 6)))
    shop.say("sub_order.shipped", 1)
    shop.say("sub_order.returned", 2, warehouse_id=BYTES_OF_FOUR * ID_LENGTH)
    placed = ordered(1, sku="000000")
    last = decoded("order.created", 3, lines=placed)
    bound = bytes_max_after(_Known(shop).order, last.event, "default")  # type: ignore[arg-type]  # one of an order
    assert shop.say("order.created", 3, lines=placed).archive == ["archive.eligible"]
    shop.now += 91 * DAY
    flushed = shop.say("archive.requested", 91 * DAY, order_id="another")
    (kept,) = (record for record in flushed.of(Topic.STATE) if record.value is not None)
    assert (kept.key or b"").startswith(b"retired/")
    assert len(kept.value or b"") <= bound


def _any_event(chance: random.Random, owners: list[str], skus: list[str], warehouses: list[str]) -> Fields:
    """An event of an order whose few sub-orders, SKUs and warehouses have long names, so that all of them meet."""
    owner = chance.choice(owners)
    some = [{"sku": sku, "quantity": chance.randint(1, 10**9)} for sku in chance.sample(skus, chance.randint(1, 30))]
    at = chance.randint(0, 500)
    match chance.randrange(9):
        case 0:
            lines = [{**line, "warehouse_id": chance.choice(warehouses)} for line in some]
            return body_of("order.amended", at, revision=chance.randint(1, 100), lines=lines)
        case 1 | 2:
            return body_of(
                "sub_order.created", at, sub_order_id=owner, warehouse_id=chance.choice(warehouses), lines=some
            )
        case 3:
            children = [
                {"sub_order_id": child, "lines": chance.sample(some, max(1, len(some) // 2))}
                for child in owners
                if child != owner
            ]
            return body_of("sub_order.split", at, sub_order_id=owner, children=children[: chance.randint(1, 5)])
        case 4:
            return body_of("sub_order.shipped", at, sub_order_id=owner)
        case 5:
            return body_of("sub_order.cancelled", at, sub_order_id=owner, lines=some)
        case 6 | 7:
            fields = {"lines": some} if chance.random() < 0.5 else {}
            return body_of(
                "sub_order.returned",
                at,
                sub_order_id=owner,
                return_id=chance.choice(owners),
                warehouse_id=chance.choice(warehouses),
                **fields,
            )
        case _:
            return body_of("sub_order.delivered", at, sub_order_id=owner)


def test_an_order_whose_size_is_not_looked_at_is_small() -> None:
    """As much as fits into a small state, and then as many small events as may follow in one transaction."""
    long = names(BYTES_OF_FOUR)
    shop = Shop(now=600)
    child = {"sub_order_id": next(long), "lines": [{"sku": sku, "quantity": 1} for sku in SHORT_SKUS]}
    shop.say("sub_order.split", children=[child])
    assert SMALL_STATE_BYTES * 0.9 < _Known(shop).bytes <= SMALL_STATE_BYTES
    events = SMALL_IDENTITIES // 16 - 1
    for at in range(events):
        if at < events // 2:
            fields = {"sub_order_id": next(long), "lines": lines_of(long, SMALL_LINES)}
        else:
            fields = {"lines": lines_of(long, 1)}
        body = body_of("sub_order.created", at, warehouse_id=next(long), **fields)
        event = decoded(body["type"], **{name: value for name, value in body.items() if name != "type"}).event
        books = shop.processor.ledger._books
        order = books.open_order(books.account("a"), "o")
        assert order is not None
        assert is_small(event)  # type: ignore[arg-type]  # one of an order
        assert bytes_max_after(order, event, "default") < ORDER_BYTES_MAX / 2  # type: ignore[arg-type]  # likewise
        assert shop.process(body) is APPLIED
        assert not order.sizeable
    assert largest(shop.flush()) < ORDER_BYTES_MAX / 2


@pytest.mark.parametrize("text", ["plain", 'quo"ted', "back\\slash", "Größe", "склад", "\U0001f4e6", "/"])
def test_no_text_takes_more_bytes_than_counted(text: str) -> None:
    assert bytes_of([text, text]) >= 2 * max(len(msgspec.json.encode(text)) - 2, len(text.encode()))


def test_the_size_of_every_list_in_an_order_event_is_looked_at() -> None:
    # Another list of something would have to be bounded here too.
    listed = {kind: _lists_of(kind) for kind in (*get_args(OrdersEvent), *get_args(SubOrdersEvent))}
    assert {name for names in listed.values() for name in names} == {"lines", "children"}
    assert {kind for kind, names in listed.items() if names} == _WITH_LINES


def _lists_of(kind: type) -> set[str]:
    schema = msgspec.json.schema(kind)["$defs"][kind.__name__]["properties"]
    return {name for name, described in schema.items() if "'array'" in str(described)}
