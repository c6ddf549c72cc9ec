"""The worker's web pages: health, metrics, and what is known about stock and orders.

Answers about stock and orders come from the committed state of this worker's partitions. An account lies in one
partition. When another worker has it, the answer is 421 (Misdirected Request), because only that worker knows it, with
its address where that is known. While the partition is here but not running, the answer is 503. Ids in addresses are
percent-encoded, `/` included (`%2F`).
"""

from __future__ import annotations

import asyncio
import html
import logging
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Protocol, TypeVar, overload

import msgspec
from aiohttp import web
from mode import Service
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from worker.domain.ledger import Ledger
from worker.inspection.members import WORKER_HEADER, page_address
from worker.ops.health import readiness
from worker.stream import NotAssigned
from worker.stream.partitioning import partition_of
from worker.stream.status import EngineStatus, PartitionState
from worker.web.answers import AccountRow, AccountsAnswer
from worker.web.queries import (
    ALERTS_MAX,
    ALERTS_SHOWN,
    HOLDERS_MAX,
    HOLDERS_SHOWN,
    LEVELS_MAX,
    LEVELS_SHOWN,
    HoldersQuestion,
    LevelsQuestion,
    Look,
    OrderQuestion,
    PartitionQuestion,
    Question,
    cursor_of,
)

READ_SECONDS_MAX = 5.0
"""A transaction may be in hand; it ends, one way or the other, not much later."""
RETRY_AFTER_SECONDS = 1
CLOSE_SECONDS_MAX = 0.5
"""How long requests in hand, and the connection to Kafka, may take when the server closes."""
UNITS_MAX = 10**15
"""More than can be on hand or frozen."""

ADDRESSES = {
    "/health/live": "whether the process lives",
    "/health/ready": "whether it does its work, and what keeps it from that",
    "/metrics": "metrics, for Prometheus",
    "/accounts": "the accounts of this worker's partitions (?limit=, ?after=)",
    "/accounts/{account}/stock": "levels of an account (?warehouse_id=, ?sku=, ?below=, ?limit=, ?after=)",
    "/accounts/{account}/stock/{warehouse}/{sku}": "a level, and who holds its frozen units (?limit=)",
    "/accounts/{account}/orders/{order}": "an order",
    "/partitions/{partition}": "a partition in numbers, and the alerts that hold in it (?account_id=, ?limit=)",
}
"""The pages and what each is for, as the first one lists them."""

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


class NoLedgers:
    """The pages of a worker without the role `ledger`: no account is here."""

    partition_count: int | None = None

    def status(self) -> EngineStatus | None:
        """There is no engine of the ledger."""
        return None

    async def read(self, partition: int, question: Callable[[Ledger], Answer]) -> Answer:
        """Raises NotAssigned."""
        del question
        raise NotAssigned(f"partition {partition} is not processed by this worker")


class Directory(Protocol):
    """Where the other workers' pages are."""

    async def url_of(self, partition: int) -> str | None:
        """The pages of the worker that has a partition; None where they are not known."""

    async def close(self) -> None:
        """No more is asked."""


class AddressInUse(Exception):
    """The pages cannot listen on their address. The text is one sentence that names the settings."""


class RequestRefused(Exception):
    """A question that cannot be answered: the HTTP status, a code for programs and a sentence."""

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        detail: str,
        *,
        partition: int | None = None,
        location: str | None = None,
    ) -> None:
        """Add the partition that was asked for, and the address that can answer, where they are known."""
        super().__init__(detail)
        self.status = status
        self.location = location
        self.body = {"error": code, "detail": detail} | ({} if partition is None else {"partition": partition})


class Pages(Service):
    """The web server, as a service of the host."""

    logger = logging.getLogger("mode.pages")

    def __init__(
        self,
        *,
        host: str,
        port: int,
        ledgers: Ledgers,
        directory: Directory,
        roles: Callable[[], Mapping[str, EngineStatus | None]],
        registry: CollectorRegistry,
        title: str,
        worker: str,
    ) -> None:
        """Listen on this address (port 0: any free one) once started, and put the name `worker` into every answer.

        `roles` gives the status of each role, for the health.
        """
        super().__init__()
        self._host = host
        self._port = port
        self._ledgers = ledgers
        self._directory = directory
        self._roles = roles
        self._registry = registry
        self._title = title
        self._worker = worker
        application = web.Application(middlewares=[_refusals_as_json])
        application.on_response_prepare.append(self._sign)
        application.router.add_get("/", self._index)
        application.router.add_get("/health/live", self._live)
        application.router.add_get("/health/ready", self._ready)
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/accounts", self._accounts)
        application.router.add_get("/accounts/{account_id}/stock", self._levels)
        application.router.add_get("/accounts/{account_id}/stock/{warehouse_id}/{sku}", self._holders)
        application.router.add_get("/accounts/{account_id}/orders/{order_id}", self._order)
        application.router.add_get("/partitions/{partition}", self._partition)
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
        with suppress(TimeoutError):
            await asyncio.wait_for(self._directory.close(), CLOSE_SECONDS_MAX)

    @property
    def port(self) -> int:
        """The port that was taken."""
        return next((address[1] for address in self._runner.addresses), self._port)

    @property
    def url(self) -> str:
        """The address of the index page."""
        return f"{page_address(self._host, self.port)}/"

    async def _sign(self, _request: web.Request, response: web.StreamResponse) -> None:
        response.headers[WORKER_HEADER] = self._worker

    async def _index(self, _request: web.Request) -> web.Response:
        rows = "".join(f"<li>{_linked(address)}: {html.escape(meaning)}</li>" for address, meaning in ADDRESSES.items())
        title = html.escape(self._title)
        page = f"<!doctype html><html lang=en><title>{title}</title><h1>{title}</h1><ul>{rows}</ul></html>\n"
        return web.Response(text=page, content_type="text/html")

    async def _live(self, _request: web.Request) -> web.Response:
        return _json({"live": True})

    async def _ready(self, _request: web.Request) -> web.Response:
        health = readiness(self._roles())
        return _json(health, HTTPStatus.OK if health["ready"] else HTTPStatus.SERVICE_UNAVAILABLE)

    async def _metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._registry), headers={"Content-Type": content_type})

    async def _accounts(self, request: web.Request) -> web.Response:
        parameters = _Parameters(request, "limit", "after")
        limit, after = parameters.integer("limit", LEVELS_SHOWN, 1, LEVELS_MAX), parameters.text("after")
        status = self._ledgers.status()
        running = [
            partition
            for partition, own in (status.partitions if status else {}).items()
            if own.state in (PartitionState.RUNNING, PartitionState.STALLED)
        ]
        rows, more = [], False
        for partition in running:
            views, more_here = await self._look_into(partition)(lambda ledger: ledger.accounts_page(limit, after))
            rows += [AccountRow(view.account_id, partition, view.orders, view.stock_keys) for view in views]
            more = more or more_here
        rows.sort(key=lambda row: row.account_id)
        following = rows[limit - 1].account_id if more or len(rows) > limit else None
        return _json(AccountsAnswer(running, rows[:limit], following))

    async def _levels(self, request: web.Request) -> web.Response:
        parameters = _Parameters(request, "warehouse_id", "sku", "below", "limit", "after")
        question = LevelsQuestion(
            account_id=request.match_info["account_id"],
            limit=parameters.integer("limit", LEVELS_SHOWN, 1, LEVELS_MAX),
            warehouse_id=parameters.text("warehouse_id"),
            sku=parameters.text("sku"),
            below=parameters.integer("below", None, -UNITS_MAX, UNITS_MAX),
            after=parameters.text("after"),
        )
        if question.after is not None:
            try:
                cursor_of(question.after)
            except ValueError as error:
                raise RequestRefused(
                    HTTPStatus.BAD_REQUEST, "bad_parameter", f"The parameter after: {error}."
                ) from error
        unknown = f"Nothing is known of stock of account {question.account_id!r}."
        return await self._answer(request, question, "unknown_account", unknown)

    async def _holders(self, request: web.Request) -> web.Response:
        limit = _Parameters(request, "limit").integer("limit", HOLDERS_SHOWN, 1, HOLDERS_MAX)
        names = request.match_info
        question = HoldersQuestion(names["account_id"], names["warehouse_id"], names["sku"], limit)
        unknown = f"Nothing is known of SKU {names['sku']!r} in warehouse {names['warehouse_id']!r} of the account."
        return await self._answer(request, question, "unknown_stock", unknown)

    async def _order(self, request: web.Request) -> web.Response:
        _Parameters(request)
        question = OrderQuestion(request.match_info["account_id"], request.match_info["order_id"])
        unknown = f"Nothing is known of order {question.order_id!r} of account {question.account_id!r}."
        return await self._answer(request, question, "unknown_order", unknown)

    async def _partition(self, request: web.Request) -> web.Response:
        parameters = _Parameters(request, "account_id", "limit")
        number, count = request.match_info["partition"], self._ledgers.partition_count
        if not number.isdecimal() or (count is not None and int(number) >= count):
            raise RequestRefused(HTTPStatus.NOT_FOUND, "unknown_partition", f"There is no partition {number!r}.")
        limit = parameters.integer("limit", ALERTS_SHOWN, 0, ALERTS_MAX)
        question = PartitionQuestion(int(number), limit, parameters.text("account_id"))
        return await self._answer(request, question, "unknown_partition", "")

    async def _answer(self, request: web.Request, question: Question[object], code: str, unknown: str) -> web.Response:
        """Ask the partition, if it is here; `code` and `unknown` are the answer 404."""
        partition = await self._partition_of(request, question)
        answer = await question.ask(self._look_into(partition), partition)
        if answer is None:
            raise RequestRefused(HTTPStatus.NOT_FOUND, code, unknown)
        return _json(answer)

    async def _partition_of(self, request: web.Request, question: Question[object]) -> int:
        """The partition that a question is about, where it can be asked here."""
        status, count = self._ledgers.status(), self._ledgers.partition_count
        if status is None or count is None:
            raise _unavailable("The worker has no partitions yet.")
        account_id = question.account_id
        match question:
            case PartitionQuestion():
                partition, what = question.partition, f"Partition {question.partition} is one"
            case _:
                partition = partition_of(account_id or "", count)
                what = f"Account {account_id!r} lies in partition {partition},"
        own = status.partitions.get(partition)
        if own is None:
            if status.problem is not None or not status.joined:
                # Out of the group for the moment: the partition may come back to this worker.
                raise _unavailable(status.problem or "The worker is joining its consumer group.", partition=partition)
            url = await self._directory.url_of(partition)
            raise RequestRefused(
                HTTPStatus.MISDIRECTED_REQUEST,
                "other_worker",
                f"{what} which another worker has: ask {url or 'that one'}.",
                partition=partition,
                location=None if url is None else f"{url}{request.path_qs}",
            )
        if own.state not in (PartitionState.RUNNING, PartitionState.STALLED):
            reason = f": {own.reason}" if own.reason else "."
            raise _unavailable(f"Partition {partition} is {own.state.value}{reason}", partition=partition)
        return partition

    def _look_into(self, partition: int) -> Look:
        async def look(see: Callable[[Ledger], Answer]) -> Answer:
            try:
                async with asyncio.timeout(READ_SECONDS_MAX):
                    return await self._ledgers.read(partition, see)
            except (TimeoutError, NotAssigned) as error:
                raise _unavailable(f"Partition {partition} is busy or moving away.", partition=partition) from error

        return look


class _Parameters:
    """The parameters of a request. Raises RequestRefused for one that there is not, or that is wrong."""

    def __init__(self, request: web.Request, *names: str) -> None:
        self._given = request.query
        if unknown := self._given.keys() - set(names):
            known = f"there are {', '.join(names)}" if names else "there are none"
            detail = f"There is no parameter {min(unknown)!r}: {known}."
            raise RequestRefused(HTTPStatus.BAD_REQUEST, "unknown_parameter", detail)

    def text(self, name: str) -> str | None:
        return self._given.get(name)

    @overload
    def integer(self, name: str, default: int, least: int, greatest: int) -> int: ...
    @overload
    def integer(self, name: str, default: None, least: int, greatest: int) -> int | None: ...
    def integer(self, name: str, default: int | None, least: int, greatest: int) -> int | None:
        text = self._given.get(name)
        if text is None:
            return default
        if re.fullmatch("-?[0-9]{1,16}", text) is None or not least <= int(text) <= greatest:
            detail = f"The parameter {name} must be a whole number from {least} to {greatest}, not {text!r}."
            raise RequestRefused(HTTPStatus.BAD_REQUEST, "bad_parameter", detail)
        return int(text)


@web.middleware
async def _refusals_as_json(request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
    try:
        response: web.StreamResponse = await handler(request)
    except RequestRefused as refused:
        response = _json(refused.body, refused.status)
        if refused.status is HTTPStatus.SERVICE_UNAVAILABLE:
            response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        if refused.location is not None:
            response.headers["Location"] = refused.location
    except web.HTTPException as error:
        code = error.reason.lower().replace(" ", "_")
        response = _json({"error": code, "detail": f"{request.method} {request.path}: {error.reason}."}, error.status)
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
    return response


def _unavailable(detail: str, partition: int | None = None) -> RequestRefused:
    return RequestRefused(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", detail, partition=partition)


def _linked(address: str) -> str:
    return html.escape(address) if "{" in address else f'<a href="{address}">{address}</a>'


def _json(value: object, status: int = HTTPStatus.OK) -> web.Response:
    body = msgspec.json.encode(value) + b"\n"
    return web.Response(body=body, status=status, content_type="application/json", charset="utf-8")
