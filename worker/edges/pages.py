"""The worker's web pages: health, metrics, and what is known about stock and orders.

Answers about stock and orders come from the committed state of this worker's partitions. An account lies in one
partition; when another worker has it, the answer is 421 (Misdirected Request), as only that worker can tell. While the
partition is here but not running, it is 503. Ids in addresses are percent-encoded, `/` included (`%2F`).
"""

from __future__ import annotations

import asyncio
import html
import logging
import os
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Protocol, TypeVar

import orjson
from aiohttp import web
from mode import Service
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from schemas.topics import Topic
from worker.domain.ledger import Ledger
from worker.domain.views import OrderView
from worker.edges.partitioning import partition_of
from worker.ops.health import readiness
from worker.stream import NotAssigned
from worker.stream.status import EngineStatus, PartitionState

READ_SECONDS_MAX = 5.0
"""A transaction may be in hand; it ends, one way or the other, not much later."""
LEVELS_MAX = 10_000
"""Of an answer: while it is put together, some 75 ms, no partition of this worker goes on."""
RETRY_AFTER_SECONDS = 1
CLOSE_SECONDS_MAX = 0.5
"""How long requests in hand may take when the server closes."""

Answer = TypeVar("Answer")


class Ledgers(Protocol):
    """The committed state of the partitions that are here, as the pages read it."""

    @property
    def partition_count(self) -> int | None:
        """How many partitions there are; None before this worker had one of them."""

    def status(self) -> EngineStatus | None:
        """The engine's status; None while there is no engine."""

    async def read(self, partition: int, question: Callable[[Ledger], Answer]) -> Answer:
        """Ask the ledger of a partition between two transactions. Raises NotAssigned."""


class AddressInUse(Exception):
    """The pages cannot listen on their address. The text is one sentence that names the settings."""


class RequestRefused(Exception):
    """A question that cannot be answered: the HTTP status, a code for programs and a sentence."""

    def __init__(self, status: HTTPStatus, code: str, detail: str, **more: object) -> None:
        """Tell `more` fields too."""
        super().__init__(detail)
        self.status = status
        self.body = {"error": code, "detail": detail, **more}


class Pages(Service):
    """The web server, as a service of the host."""

    logger = logging.getLogger("mode.pages")

    def __init__(self, *, host: str, port: int, ledgers: Ledgers, registry: CollectorRegistry, title: str) -> None:
        """Listen on this address (port 0: any free one) once started."""
        super().__init__()
        self._host = host
        self._port = port
        self._ledgers = ledgers
        self._registry = registry
        self._title = title
        application = web.Application(middlewares=[_refusals_as_json])
        application.router.add_get("/", self._index)
        application.router.add_get("/health/live", self._live)
        application.router.add_get("/health/ready", self._ready)
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/accounts/{account_id}/stock", self._stock)
        application.router.add_get("/accounts/{account_id}/orders/{order_id}", self._order)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=CLOSE_SECONDS_MAX)

    async def on_start(self) -> None:
        """Begin to listen. Raises AddressInUse where the address cannot be listened on."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as error:
            await self._runner.cleanup()
            reason = str(error) if error.errno is None else os.strerror(error.errno)
            address = f"{self._host}:{self._port}"
            raise AddressInUse(
                f"settings WEB_HOST, WEB_PORT: the pages cannot listen on {address}: {reason}"
            ) from error

    async def on_stop(self) -> None:
        """Answer what was asked, and close."""
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        """The address of the index page, with the port that was taken."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        port = next((address[1] for address in self._runner.addresses), self._port)
        return f"http://{host}:{port}/"

    async def _index(self, _request: web.Request) -> web.Response:
        addresses = {
            "/health/live": "whether the process lives",
            "/health/ready": "whether it does its work, and what keeps it from that",
            "/metrics": "metrics, for Prometheus",
            "/accounts/{account}/stock": "levels of an account (?warehouse_id= and ?sku= narrow them)",
            "/accounts/{account}/orders/{order}": "an order",
        }
        rows = "".join(f"<li>{_linked(address)}: {html.escape(meaning)}</li>" for address, meaning in addresses.items())
        title = html.escape(self._title)
        page = f"<!doctype html><html lang=en><title>{title}</title><h1>{title}</h1><ul>{rows}</ul></html>\n"
        return web.Response(text=page, content_type="text/html")

    async def _live(self, _request: web.Request) -> web.Response:
        return _json({"live": True})

    async def _ready(self, _request: web.Request) -> web.Response:
        told = readiness(self._ledgers.status())
        return _json(told, HTTPStatus.OK if told["ready"] else HTTPStatus.SERVICE_UNAVAILABLE)

    async def _metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._registry), headers={"Content-Type": content_type})

    async def _stock(self, request: web.Request) -> web.Response:
        account_id = request.match_info["account_id"]
        if unknown := request.query.keys() - {"warehouse_id", "sku"}:
            detail = f"There is no parameter {min(unknown)!r}: warehouse_id and sku narrow the levels."
            raise RequestRefused(HTTPStatus.BAD_REQUEST, "unknown_parameter", detail)
        warehouse_id, sku = request.query.get("warehouse_id"), request.query.get("sku")
        partition, levels = await self._ask(
            account_id, lambda ledger: ledger.stock_of(account_id, warehouse_id, sku, levels_max=LEVELS_MAX + 1)
        )
        if levels is None:
            raise RequestRefused(
                HTTPStatus.NOT_FOUND, "unknown_account", f"Nothing is known of stock of account {account_id!r}."
            )
        if len(levels) > LEVELS_MAX:
            detail = (
                f"Account {account_id!r} has more than {LEVELS_MAX} such levels: ask by warehouse_id and sku, or read "
                f"the topic {Topic.LEVELS}."
            )
            raise RequestRefused(HTTPStatus.BAD_REQUEST, "too_many_levels", detail)
        told = [
            {
                "warehouse_id": level.warehouse_id,
                "sku": level.sku,
                "on_hand": level.on_hand,
                "frozen": level.frozen,
                "available": level.available,
                "publishable": level.publishable,
                "as_of": level.as_of,
            }
            for level in levels
        ]
        return _json({"account_id": account_id, "partition": partition, "levels": told})

    async def _order(self, request: web.Request) -> web.Response:
        account_id, order_id = request.match_info["account_id"], request.match_info["order_id"]
        partition, order = await self._ask(account_id, lambda ledger: ledger.order_of(account_id, order_id))
        if order is None:
            detail = f"Nothing is known of order {order_id!r} of account {account_id!r}."
            raise RequestRefused(HTTPStatus.NOT_FOUND, "unknown_order", detail)
        return _json(_told(order, partition))

    async def _ask(self, account_id: str, question: Callable[[Ledger], Answer]) -> tuple[int, Answer]:
        """Ask the ledger of the account's partition, if it is here."""
        status, count = self._ledgers.status(), self._ledgers.partition_count
        if status is None or count is None:
            raise _unavailable("The worker has no partitions yet.")
        partition = partition_of(account_id, count)
        own = status.partitions.get(partition)
        if own is None:
            if status.problem is not None or not status.joined:
                # Out of the group for the moment: whoever has the partition then, it may be this worker again.
                raise _unavailable(status.problem or "The worker is joining its consumer group.", partition=partition)
            raise RequestRefused(
                HTTPStatus.MISDIRECTED_REQUEST,
                "other_worker",
                f"Account {account_id!r} lies in partition {partition}, which another worker has: ask that one.",
                partition=partition,
            )
        if own.state not in (PartitionState.RUNNING, PartitionState.STALLED):
            reason = f": {own.reason}" if own.reason else "."
            raise _unavailable(f"Partition {partition} is {own.state.value}{reason}", partition=partition)
        try:
            async with asyncio.timeout(READ_SECONDS_MAX):
                return partition, await self._ledgers.read(partition, question)
        except (TimeoutError, NotAssigned) as error:
            raise _unavailable(f"Partition {partition} is busy or moving away.", partition=partition) from error


@web.middleware
async def _refusals_as_json(request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
    try:
        response: web.StreamResponse = await handler(request)
    except RequestRefused as refused:
        response = _json(refused.body, refused.status)
        if refused.status is HTTPStatus.SERVICE_UNAVAILABLE:
            response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    except web.HTTPException as error:
        code = error.reason.lower().replace(" ", "_")
        response = _json({"error": code, "detail": f"{request.method} {request.path}: {error.reason}."}, error.status)
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
    return response


def _unavailable(detail: str, **more: object) -> RequestRefused:
    return RequestRefused(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", detail, **more)


def _told(order: OrderView, partition: int) -> dict[str, object]:
    names = ("sub_order_id", "warehouse_id", "sku", "open", "shipped", "cancelled")
    return {
        "account_id": order.account_id,
        "order_id": order.order_id,
        "partition": partition,
        "known": order.known,
        "status": order.status,
        "placed": order.placed,
        "eligible": order.eligible,
        "sub_orders": order.sub_orders,
        "units": [dict(zip(names, row, strict=True)) for row in order.units],
        "dead_letters": order.dead_letters,
    }


def _linked(address: str) -> str:
    return html.escape(address) if "{" in address else f'<a href="{address}">{address}</a>'


def _json(value: object, status: int = HTTPStatus.OK) -> web.Response:
    return web.Response(
        body=orjson.dumps(value) + b"\n", status=status, content_type="application/json", charset="utf-8"
    )
