"""Asking a worker's pages, for commands.

It uses the standard library's client, because importing aiohttp takes longer than the rest of a question.
"""

from __future__ import annotations

import http.client
import json
import ssl
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import msgspec

from worker.inspection.members import WORKER_HEADER, Worker
from worker.web.queries import A_co, Question

CONNECT_SECONDS_MAX: Final = 2.0
ANSWER_SECONDS_MAX: Final = 20.0
"""A worker waits up to 5 s for a transaction in hand, and again for each look at its ledger."""
NOTHING_KNOWN: Final = frozenset({"unknown_account", "unknown_stock", "unknown_order"})


class NoAnswer(Exception):
    """A worker did not answer a question. The message gives the reason and may follow "the worker at …"."""


class Unreachable(NoAnswer):
    """A worker's pages are not at its address as seen from here, so asking again is of no use."""


def get_page(worker: Worker, path: str) -> tuple[int, bytes]:
    """Get the status and body of a page of a worker. Blocks for a bounded time. Raises Unreachable."""
    if worker.url is None:
        raise Unreachable("joined without an address of its pages")
    address = urlsplit(worker.url)
    connection = _connection(address)
    try:
        connection.connect()
        if connection.sock is not None:
            connection.sock.settimeout(ANSWER_SECONDS_MAX)
        connection.request("GET", f"{address.path}{path}")
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(f"cannot be reached: {str(error) or type(error).__name__}") from error
    finally:
        connection.close()
    if response.getheader(WORKER_HEADER) != worker.name:
        raise Unreachable("is not the one that has the partition: set WEB_URL to where others reach its pages")
    return response.status, body


def ask_worker(worker: Worker, question: Question[A_co]) -> A_co | None:
    """Ask a worker; None: it knows nothing of what was asked for. Blocks. Raises NoAnswer."""
    status, body = get_page(worker, question.path)
    try:
        if status == HTTPStatus.OK:
            answer: A_co = msgspec.json.decode(body, type=question.answer)
            return answer
        problem: dict[str, Any] = json.loads(body)
    except (msgspec.DecodeError, ValueError) as error:
        raise NoAnswer(f"answers otherwise than this version expects: {error}") from error
    if status == HTTPStatus.NOT_FOUND and problem.get("error") in NOTHING_KNOWN:
        return None
    raise NoAnswer(f"does not answer: {problem.get('detail')}")


def _connection(address: SplitResult) -> http.client.HTTPConnection:
    host = address.hostname or ""
    if address.scheme == "https":
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(host, address.port, timeout=CONNECT_SECONDS_MAX, context=context)
    return http.client.HTTPConnection(host, address.port, timeout=CONNECT_SECONDS_MAX)
