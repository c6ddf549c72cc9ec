"""`stockfreeze order`: all that is known about an order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
import msgspec

from schemas.outputs import OrderStatusChanged
from schemas.topics import Topic
from worker.cli.answering import QuestionRouter
from worker.cli.asking import OpenSystem, ask, open_system
from worker.cli.context import json_option, with_settings
from worker.cli.journal import JournalExcerpt, as_data, last_movements, movements_options, print_movements
from worker.cli.letter_codes import codes_of
from worker.cli.showing import examples, print_json, print_table
from worker.settings import Settings

if TYPE_CHECKING:
    from worker.inspection.topic_reader import Record
    from worker.web.answers import OrderAnswer


@dataclass(frozen=True, slots=True)
class FoundOrder:
    """An order, whether it has left by retention, the codes of its pending dead letters, and its last movements."""

    order: OrderAnswer
    has_left: bool
    codes: Mapping[str, str]
    moved: JournalExcerpt


@click.command(
    epilog=examples(
        "stockfreeze order acme 4711",
        "stockfreeze order acme 4711 --json",
    )
)
@click.argument("account")
@click.argument("order")
@movements_options
@json_option
@with_settings
def command(settings: Settings, *, account: str, order: str, movements: int, look_back: int, as_json: bool) -> int:
    """Show all that is known of ORDER of ACCOUNT: status, lines, units, alerts, dead letters and last movements.

    The worker that has the account answers. Without one, the state is read from the topics. An order that has left by
    retention is shown from its last status record.

    Exit code 1: the order is unknown.
    """
    found = ask(_order(settings, account, order, movements, look_back))
    if found is None:
        click.echo(f"stockfreeze: nothing is known of order {order} of account {account}.", err=True)
        return 1
    if as_json:
        letters = [{"id": id_, "code": found.codes.get(id_)} for id_ in found.order.dead_letters]
        print_json(
            as_data(found.order) | {"dead_letters": letters, "left_by_retention": found.has_left} | as_data(found.moved)
        )
        return 0
    _print(found)
    print_movements(found.moved, of_order=True)
    return 0


async def _order(settings: Settings, account: str, order: str, movements: int, look_back: int) -> FoundOrder | None:
    from schemas.encoding import json_string
    from worker.web.queries import OrderQuestion

    async with open_system(settings) as system:
        answer = await QuestionRouter(system).of_account(OrderQuestion(account, order), account)
        has_left = answer is None
        if answer is None:
            answer = await _last_status(system, account, order)
        if answer is None:
            return None
        moved = await last_movements(
            system,
            answer.partition,
            json_string(order),
            lambda movement: movement.account_id == account and movement.order_id == order,
            count=movements,
            look_back=look_back,
        )
        return FoundOrder(answer, has_left, await codes_of(system, answer.partition, answer.dead_letters), moved)


async def _last_status(system: OpenSystem, account: str, order: str) -> OrderAnswer | None:
    """Read the last status record of an order that is not in the state any more."""
    from schemas.encoding import key_of
    from worker.web.answers import OrderAnswer, UnitCount

    topic, key, partition = system.settings.topic(Topic.STATUS), key_of(account, order), system.partition_of(account)
    last: list[bytes] = []

    def take(records: Sequence[Record]) -> None:
        last[:] = [record.value for record in records if record.key == key and record.value is not None][-1:] or last

    bounds = await system.reader.bounds(topic, partition)
    await system.reader.read(topic, partition, start=bounds.start, end=bounds.stable_end, take=take)
    if not last:
        return None
    status = msgspec.json.decode(last[0], type=OrderStatusChanged)
    return OrderAnswer(
        account_id=account,
        order_id=order,
        partition=partition,
        known=True,
        status=status.status,
        placed=status.placed,
        eligible=status.eligible,
        lines=None,
        sub_orders=dict(status.sub_orders),
        units=[
            UnitCount(unit.sub_order_id, unit.warehouse_id, unit.sku, unit.open, unit.shipped, unit.cancelled)
            for unit in status.units
        ],
        alerts=[],
        dead_letters=[],
    )


def _print(found: FoundOrder) -> None:
    order = found.order
    print_table(
        f"{order.account_id} / {order.order_id}{' (has left the state by retention)' if found.has_left else ''}",
        ("status", "placed", "eligible for the archive"),
        [(order.status if order.known else None, order.placed, order.eligible)],
    )
    if order.lines is not None:
        print_table(
            "Lines",
            ("sku", "warehouse", "quantity"),
            [(line.sku, line.warehouse_id, line.quantity) for line in order.lines],
        )
    print_table("Sub-orders", ("sub-order", "status"), sorted(order.sub_orders.items()))
    print_table(
        "Units",
        ("sub-order", "sku", "open", "shipped", "cancelled", "warehouse"),
        [
            (unit.sub_order_id or "(not covered)", unit.sku, unit.open, unit.shipped, unit.cancelled, unit.warehouse_id)
            for unit in order.units
        ],
    )
    if order.alerts:
        print_table(
            "Alerts that hold",
            ("alert", "severity", "sub-order", "sku"),
            [(alert.alert, alert.severity, alert.sub_order_id, alert.sku) for alert in order.alerts],
        )
    if order.dead_letters:
        rows = [(id_, found.codes.get(id_, "(deleted)")) for id_ in order.dead_letters]
        print_table("Pending dead letters", ("id", "code"), rows)
