"""The garbage collector leaves alone what was set apart, and still frees what died."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

import worker.domain.stock.stock
from schemas.decoding import Decoded
from schemas.inputs import ArchiveRequested
from worker.domain.order.claims import Difference, Settlement
from worker.domain.order.state import Claim, OrderState, ReturnFacts, SubOrderFacts
from worker.domain.order.touch import Touch
from worker.domain.stock.stock import Posting, Stock, SuspectMovement
from worker.ops.garbage import NEW_OBJECTS_MAX, collect_little, set_apart
from worker.stream.records import InputRecord

COMPILED = not str(worker.domain.stock.stock.__file__).endswith(".py")


class Knot:
    """Refers to itself: only the collector can free it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """Leaves the collector as the other tests expect it."""
    threshold, callbacks = gc.get_threshold(), list(gc.callbacks)
    yield
    gc.set_threshold(*threshold)
    gc.callbacks[:] = callbacks
    gc.unfreeze()
    gc.collect()


def test_what_is_alive_is_not_looked_at_any_more() -> None:
    state = [{"order": number} for number in range(1000)]
    set_apart()
    looked_at = {id(thing) for thing in gc.get_objects()}
    assert not any(id(thing) in looked_at for thing in state)


def test_garbage_is_freed_before_the_rest_is_set_apart() -> None:
    seen = weakref.ref(Knot())
    set_apart()
    assert seen() is None


def test_what_died_after_it_was_set_apart_is_freed_the_next_time() -> None:
    knot = Knot()
    seen = weakref.ref(knot)
    set_apart()
    del knot
    gc.collect()
    assert seen() is not None
    set_apart()
    assert seen() is None


def test_new_objects_are_looked_at_seldom_and_not_too_many_at_once() -> None:
    collect_little()
    assert gc.get_threshold()[0] == NEW_OBJECTS_MAX


def test_what_was_looked_at_once_is_not_looked_at_again() -> None:
    collect_little()
    state = [{"order": number} for number in range(1000)]
    dead, alive = weakref.ref(Knot()), Knot()
    gc.collect(0)
    looked_at = {id(thing) for thing in gc.get_objects()}
    assert dead() is None
    assert not any(id(thing) in looked_at for thing in (*state, alive))


def test_however_often_it_is_asked_for_survivors_are_set_apart_once() -> None:
    before = len(gc.callbacks)
    collect_little()
    collect_little()
    assert len(gc.callbacks) == before + 1


@pytest.mark.parametrize(
    "thing",
    [
        Decoded(ArchiveRequested(event_id="e", account_id="a", occurred_at="", order_id="o"), 0, 0),
        InputRecord("orders.v1", 0, 0, 0, b"a", b"{}"),
        Claim(),
        OrderState(),
        SubOrderFacts(),
        ReturnFacts(),
        Touch(None, None),
        Settlement({}, {}, ()),
        Difference(("w", "k"), None, Claim()),
        Posting("freeze", 1, 1, 0, None, 1),
        Stock("w", "k", b"a/w/k", ""),
        SuspectMovement(0, 1, "freeze", "o", None),
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_the_collector_does_not_know_what_a_compiled_core_makes(thing: object) -> None:
    assert gc.is_tracked(thing) is not COMPILED
