"""The ledger of one partition: the one way in.

`apply` takes an event and decides everything about it, `refused` takes a record that was dead-lettered, and `flush`
hands over what was decided. Here the kind of an event and its identity are told apart; what it leads to is decided in
`consequences` (orders), `counting` and `adjusting` (stock), and `retention` (time).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, assert_never, get_args

from schemas.dead_letters import DeadLetterCode
from schemas.decoding import Decoded, skus_of
from schemas.identity import alert_id_of, identity_of
from schemas.inputs import (
    ArchiveRequested,
    Command,
    DeadLetterDiscarded,
    InputEvent,
    OrdersEvent,
    StockAdjusted,
    StockCounted,
    StockEvent,
    StockTransferred,
    SubOrdersEvent,
    TakingBack,
)
from schemas.state import VERSION, AccountState
from worker.domain.accounts import Account
from worker.domain.adjusting import take_adjustment, take_transfer
from worker.domain.books import Books
from worker.domain.cause import Cause
from worker.domain.consequences import Consequences
from worker.domain.counting import take_part
from worker.domain.effects import APPLIED, DUPLICATE, STALE, Effect
from worker.domain.order import facts
from worker.domain.order.archive import rejection_of, statuses_of
from worker.domain.order.identities import content_of, is_known_to_version_1
from worker.domain.order.limits import DEAD_LETTERS_MAX, SMALL_IDENTITIES, is_small, refuse_outgrowth
from worker.domain.outbox import Outbox, Record
from worker.domain.policies import DAY_MS, KEPT_AFTER_RETENTION_MS, Policies
from worker.domain.refusals import DeadLetterOfOrder, RefusedRecord, RuleRefusal, detail_of_refusal
from worker.domain.restoring import Restoration
from worker.domain.retention import Retention
from worker.domain.searches import CensusTaker, HolderSearch, LevelsWanted, accounts_page, levels_page
from worker.domain.views import AccountView, OrderView, StockView

OCCURRED_AHEAD_MS_MAX: Final = DAY_MS
COUNTED_AHEAD_MS_MAX: Final = 5 * 60_000
TAKEN_BACK_AHEAD_MS_MAX: Final = 5 * 60_000
"""How far after the record's timestamp `occurred_at`, `as_of`, and `occurred_at` of a take-back may lie."""


FactsEvent = OrdersEvent | SubOrdersEvent
"""The events that add to an order's facts."""

_ABOUT_FACTS: Final = frozenset(get_args(FactsEvent))
_ABOUT_SUB_ORDERS: Final = frozenset(get_args(SubOrdersEvent))
_TAKING_BACK: Final = frozenset(get_args(TakingBack))


class Ledger:
    """State and rules of one partition's accounts.

    Synchronous, no I/O. After an InvariantViolation the object must be thrown away: nothing that it decided since the
    last flush may be written.
    """

    def __init__(self, policies: Policies) -> None:
        self._out = Outbox()
        self._books = Books(policies, self._out)
        self._retention = Retention(self._books)
        self._consequences = Consequences(self._books)
        self._restoration = Restoration(self._books)
        self._refusal: Cause | None = None
        """What the last refused record was the cause of: its outputs are numbered on."""
        self.rest: Iterator[None] | None = None
        """What `apply` left to be done of its event, in steps. The books must not be read before all are taken."""

    # Reading, for those who ask

    def levels_page(self, wanted: LevelsWanted) -> tuple[list[StockView], bool] | None:
        """The first levels that are wanted, and whether there are more. None: nothing is known of the stock."""
        return levels_page(self._books, wanted)

    def accounts_page(self, limit: int, after: str | None = None) -> tuple[list[AccountView], bool]:
        """The first accounts whose id comes after `after`, and whether there are more."""
        return accounts_page(self._books, limit, after)

    def holder_search(self, account_id: str, warehouse_id: str, sku: str, limit: int) -> HolderSearch:
        """A search for who holds the frozen units of a stock key as they are now; it is to be taken step by step."""
        return HolderSearch(self._books, account_id, warehouse_id, sku, limit)

    def census_taker(self, account_id: str | None, limit: int) -> CensusTaker:
        """A census of what holds now, of all accounts or one; it is to be taken step by step."""
        return CensusTaker(self._books, account_id, limit)

    def order_of(self, account_id: str, order_id: str) -> OrderView | None:
        """The order, None where nothing is known of it or it has left by retention."""
        return self._books.order_of(account_id, order_id)

    def levels(self) -> Iterator[StockView]:
        """Every stock key of the partition."""
        return self._books.levels()

    def orders(self) -> Iterator[OrderView]:
        """Every order of the partition that has not left by retention."""
        return self._books.orders()

    def gauges(self) -> dict[str, float]:
        """Sizes of the state, for metrics."""
        return self._books.gauges()

    def pending(self) -> dict[str, int]:
        """How many dead letters hold an order back, by code, or `unknown`."""
        return self._books.pending.counts

    def alerts_open(self) -> dict[str, int]:
        """How many alerts hold, by name."""
        return self._books.alerts.held

    @property
    def tally(self) -> dict[tuple[str, ...], int]:
        """What was decided, by kind, since the reader last cleared it."""
        return self._out.tally

    # Restoring

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Take a state record; a later one of the same key replaces it, None deletes it. Raises UnknownStateVersion."""
        self._restoration.take(key, value)

    def finish_restore(self, stream_time_ms: int) -> Iterator[None]:
        """All state records are in: derive what is not stored, step by step until there is none."""
        yield from self._restoration.finish(stream_time_ms)
        self._restoration = Restoration(self._books)  # lets go of what it held

    @property
    def state_records(self) -> int:
        """How many records the state has once all that was decided is flushed."""
        books = self._books
        return books.state_records + len(books.floods.known) + len(books.pending.codes)

    # Writing

    def advance(self, recorded_at: int) -> None:
        """A record with this timestamp was read, good or bad: what has fallen due leaves the state."""
        if self.rest is not None:
            self.finish()
        self._retention.advance(recorded_at)

    def apply(self, decoded: Decoded, source: str, recorded_at: int, replay: DeadLetterOfOrder | None = None) -> Effect:
        """Apply an event.

        `source` is its `topic/partition/offset`, `recorded_at` its record's timestamp in milliseconds, `replay` the
        dead letter that it replays, if any. What is left to be done then are the steps of `rest`.

        Raises RuleRefusal where it must be dead-lettered: nothing has changed then. Raises InvariantViolation where the
        program is wrong.
        """
        event = decoded.event
        if decoded.occurred_at_ms > recorded_at:
            _refuse_future(event, decoded.occurred_at_ms - recorded_at)
        account = self._books.account(event.account_id)
        # Not isinstance, which the metaclass of structs makes costly; nor cast(), which is a call.
        kind = type(event)
        sub_order_id = event.sub_order_id if kind in _ABOUT_SUB_ORDERS else None  # type: ignore[union-attr]
        order_id = getattr(event, "order_id", None)
        cause = Cause(account, source, recorded_at, event.occurred_at, event.event_id, order_id, sub_order_id)
        if kind in _ABOUT_FACTS:
            effect = self._apply_to_order(account, event, decoded.occurred_at_ms, cause)  # type: ignore[arg-type]
        else:
            effect = self._apply_to_others(account, decoded, event, cause)  # type: ignore[arg-type]
        if replay is not None:
            if self.rest is None:
                self._resolve(account, replay.order_id, replay.dead_letter_id, cause)
            else:
                self.rest = self._then_resolve(self.rest, account, replay, cause)
        return effect

    def finish(self) -> None:
        """Take all steps of `rest` in one go, where nothing else has to go on meanwhile."""
        if self.rest is not None:
            for _ in self.rest:
                pass
            self.rest = None

    def _apply_to_others(self, account: Account, decoded: Decoded, event: StockEvent | Command, cause: Cause) -> Effect:
        match event:
            case ArchiveRequested():
                return self._answer(account, event, cause)
            case DeadLetterDiscarded():
                return self._resolve(account, event.order_id, event.dead_letter_id, cause)
            case StockCounted():
                return self._count(account, event, decoded.as_of_ms, cause)
            case StockAdjusted():
                return take_adjustment(self._books, account, event, decoded.occurred_at_ms, cause)
            case StockTransferred():
                return take_transfer(self._books, account, event, decoded.occurred_at_ms, cause)
            case _:
                assert_never(event)

    def refused(
        self, record: RefusedRecord, code: DeadLetterCode, message: str, dead_letter: DeadLetterOfOrder | None
    ) -> None:
        """A record was dead-lettered with this code, and this sentence.

        A dead letter of an order holds it back until its replay is accepted or it is discarded. One that is `too_late`
        does not, but goes on to where it was pending before.
        """
        cause = Cause(
            self._books.account(record.account_id),
            record.source,
            record.recorded_at,
            record.occurred_at,
            record.event_id,
            record.ids.get("order_id"),
            record.ids.get("sub_order_id"),
        )
        self._refusal = cause
        if code == "conflict" and not record.is_replay:
            self._out.conflicted(cause, record.ids, message)
        if dead_letter is not None:
            self._hold_back(cause, dead_letter, code, record.value)

    def flooding(self) -> list[str]:
        """The accounts whose flood of bad records goes on."""
        return list(self._books.floods.known)

    def serves_others(self, account_id: str) -> bool:
        """Whether anything is known of another account than this one."""
        others = (account for other, account in self._books.accounts.items() if other != account_id)
        return any(not account.is_empty for account in others)

    def flood_began(self, record: RefusedRecord) -> None:
        """Too many of the last records were bad, all of one account's, `record` the last of them."""
        account = self._books.account(record.account_id)
        cause = Cause(account, record.source, record.recorded_at, record.occurred_at, record.event_id)
        if self._refusal is not None and self._refusal.source == record.source:
            cause.number = self._refusal.number
        detail = "Too many of the last records of this partition were bad, nearly all of them this account's."
        self._books.alerts.began(cause, "flooding", {}, detail)
        self._books.floods.began(account, record.recorded_at, cause.last_id())

    def flood_ceased(self, account_id: str) -> None:
        """The counterpart: the next flood of the account is a new one.

        Some later record ended it, of whatever account: so its alert is cleared without a cause, as of now.
        """
        books = self._books
        flood = books.floods.ceased(account_id)
        if flood is not None:
            raised_as = flood.raised_as or f"{alert_id_of('flooding', account_id, {})}/{flood.began_at}"
            account = books.account(account_id)
            books.alerts.ended(account, "flooding", {}, books.stream_time_ms, f"{raised_as}/cleared")

    def flush(self) -> Iterator[list[Record]]:
        """All records decided since the last flush, outputs and dirty state, a few at a time."""
        self.finish()
        return self._books.flush()

    def _hold_back(
        self, cause: Cause, dead_letter: DeadLetterOfOrder, code: DeadLetterCode, value: bytes | None
    ) -> None:
        account, order_id, dead_letter_id = cause.account, dead_letter.order_id, dead_letter.dead_letter_id
        order = self._retention.open_or_retire(account, order_id)
        if order is not None and dead_letter_id in order.dead_letters:
            self._books.pending.began(account.id, order_id, dead_letter_id, code)
            return
        if code == "too_late":
            return
        if order is None:
            if self._books.retired_order(account, order_id) is not None:
                return  # it has left for good, and nothing of it can come back
            order = self._books.new_order(account, order_id)
        if len(order.dead_letters) < DEAD_LETTERS_MAX:
            order.dead_letters.append(dead_letter_id)
            order.changed = True
            self._books.pending.began(account.id, order_id, dead_letter_id, code)
            if len(order.dead_letters) == 1:
                detail = detail_of_refusal(dead_letter_id, code, skus_of(value))
                self._consequences.refuse(order_id, order, cause, detail)
            self._consequences.conclude(account, order_id, order, cause, rows_changed=False)

    # Orders

    def _apply_to_order(self, account: Account, event: FactsEvent, at: int, cause: Cause) -> Effect:
        order_id = event.order_id
        books = self._books
        order = self._retention.open_or_retire(account, order_id)
        if order is None and (retired := books.retired_order(account, order_id)) is not None:
            if at <= retired.occurred_at_max:
                return STALE
            kept = account.policies.retention_text
            raise RuleRefusal(
                "too_late", f"The field occurred_at is later than all of an order that left after {kept}."
            )
        is_known = order is not None and order.known
        if not is_known and at < cause.recorded_at - account.retention_ms:
            kept = account.policies.retention_text
            raise RuleRefusal(
                "too_late", f"The field occurred_at is older than {kept}, and no event of its order is known."
            )
        event_hash, content = identity_of(event)
        identities = b"" if order is None else order.identities
        if order is not None and (known := content_of(identities, event_hash)) is not None:
            if known != content and not is_known_to_version_1(order, event_hash, event):
                raise RuleRefusal("conflict", "The field event_id was used before in this order, with other content.")
            order.seen_at = max(order.seen_at, cause.recorded_at)
            order.changed = True
            return DUPLICATE
        sizeable = not is_small(event) or len(identities) > SMALL_IDENTITIES or (order is not None and order.sizeable)
        if sizeable:
            refuse_outgrowth(order, event, account.default_warehouse or account.policies.default_warehouse)
        if order is None:
            order = books.new_order(account, order_id)
        order.sizeable = sizeable
        default_warehouse = account.default_warehouse or self._default_warehouse(account, event)
        touch = facts.merge(order, event, at, default_warehouse)
        order.identities = identities + event_hash + content
        if not is_known or at > order.occurred_at_max:
            order.occurred_at_max = at
        order.seen_at = max(order.seen_at, cause.recorded_at)
        order.known = True
        order.changed = True
        if touch is None:
            return STALE
        self._consequences.draw(account, order_id, order, touch, at, cause)
        return APPLIED

    def _default_warehouse(self, account: Account, event: InputEvent) -> str:
        """The account's default warehouse, fixed when first needed."""
        if facts.needs_default_warehouse(event):
            account.default_warehouse = account.policies.default_warehouse
            self._books.state_records += 1
            self._out.keep(AccountState(VERSION, account.default_warehouse), "account", account.id)
        return account.policies.default_warehouse

    # Commands

    def _answer(self, account: Account, event: ArchiveRequested, cause: Cause) -> Effect:
        order = self._retention.open_or_retire(account, event.order_id)
        if order is None and self._books.retired_order(account, event.order_id) is not None:
            self._out.eligible(cause, event.order_id, {})
            return APPLIED
        rejection = rejection_of(order)
        if rejection is None:
            self._out.eligible(cause, event.order_id, statuses_of(order))
        else:
            self._out.rejected(cause, event.order_id, statuses_of(order), rejection)
        return APPLIED

    def _resolve(self, account: Account, order_id: str, dead_letter_id: str, cause: Cause) -> Effect:
        order = self._retention.open_or_retire(account, order_id)
        if order is None or dead_letter_id not in order.dead_letters:
            return STALE
        order.dead_letters.remove(dead_letter_id)
        self._books.pending.ended(account.id, order_id, dead_letter_id)
        if not order.dead_letters:
            self._consequences.accept(order_id, order, cause)
        if order.known or order.dead_letters:
            order.changed = True
            self._consequences.conclude(account, order_id, order, cause, rows_changed=False)
        else:
            self._books.remove_order(account, order_id)
        return APPLIED

    def _then_resolve(
        self, steps: Iterator[None], account: Account, replay: DeadLetterOfOrder, cause: Cause
    ) -> Iterator[None]:
        yield from steps
        self._resolve(account, replay.order_id, replay.dead_letter_id, cause)

    # Stock

    def _count(self, account: Account, event: StockCounted, as_of: int, cause: Cause) -> Effect:
        if as_of > cause.recorded_at + COUNTED_AHEAD_MS_MAX:
            raise RuleRefusal("future", "The field as_of is more than 5 min after the record's timestamp.")
        if as_of < self._books.horizon(account):
            kept = f"{account.policies.retention_text} and {KEPT_AFTER_RETENTION_MS // DAY_MS} days"
            raise RuleRefusal("too_late", f"The field as_of is older than any flow that is kept: {kept}.")
        taking = take_part(self._books, account, event, as_of, cause)
        if taking is None:
            return DUPLICATE
        self.rest = taking.steps
        return APPLIED if taking.is_new else STALE


def _refuse_future(event: InputEvent, ahead_ms: int) -> None:
    """Raise RuleRefusal (future) for an event that happened too long after its record's timestamp."""
    if ahead_ms > OCCURRED_AHEAD_MS_MAX:
        raise RuleRefusal("future", "The field occurred_at is more than 24 h after the record's timestamp.")
    if ahead_ms > TAKEN_BACK_AHEAD_MS_MAX and type(event) in _TAKING_BACK:
        raise RuleRefusal("future", "The field occurred_at is more than 5 min after the record's timestamp.")
