"""Questions asked of a worker's pages: what counts as its answer, and what does not."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from deploy.kafka.local import free_port
from worker.inspection.members import WORKER_HEADER, Worker
from worker.web.answers import LevelsAnswer
from worker.web.queries import LevelsQuestion
from worker.web.remote import NoAnswer, ask_worker

ANSWER = {"account_id": "a/b", "partition": 3, "levels": [], "next": None}
QUESTION = LevelsQuestion("a/b", 5, warehouse_id="w 1", after="w/s")


@contextmanager
def pages(status: int, body: object, name: str | None = "me") -> Iterator[tuple[str, list[str]]]:
    """A server that answers everything alike: its address, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            if name is not None:
                self.send_header(WORKER_HEADER, name)
            self.end_headers()
            self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def ask(url: str | None) -> LevelsAnswer | None:
    return ask_worker(Worker("me", "10.0.0.1", url, (3,)), QUESTION)


def test_an_answer_is_taken_from_the_page_of_the_question() -> None:
    with pages(200, ANSWER) as (url, asked):
        assert ask(f"{url}/behind/proxy") == LevelsAnswer("a/b", 3, [], None)
    assert asked == ["/behind/proxy/accounts/a%2Fb/stock?warehouse_id=w+1&after=w%2Fs&limit=5"]


def test_what_the_worker_does_not_know_is_an_answer_too() -> None:
    with pages(404, {"error": "unknown_account", "detail": "…"}) as (url, _):
        assert ask(url) is None


@pytest.mark.parametrize("name", [None, "another"])
def test_pages_of_somebody_else_are_not_taken_for_the_workers(name: str | None) -> None:
    with pages(200, ANSWER, name) as (url, _), pytest.raises(NoAnswer, match=r"is not the one .* set WEB_URL"):
        ask(url)


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (404, {"error": "not_found", "detail": "GET /x: Not Found."}, "does not answer: GET /x"),
        (421, {"error": "other_worker", "detail": "ask that one"}, "does not answer: ask that one"),
        (503, {"error": "unavailable", "detail": "Partition 3 is restoring."}, "Partition 3 is restoring"),
        (200, {"account_id": "a/b"}, "answers otherwise than this version expects"),
        (200, b"<html>", "answers otherwise than this version expects"),
        (502, b"<html>", "answers otherwise than this version expects"),
    ],
)
def test_an_answer_that_is_none_says_why(status: int, body: object, why: str) -> None:
    with pages(status, body) as (url, _), pytest.raises(NoAnswer, match=why):
        ask(url)


def test_pages_that_nobody_listens_on_are_no_answer() -> None:
    with pytest.raises(NoAnswer, match="cannot be reached"):
        ask(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(NoAnswer, match="joined without an address"):
        ask(None)
