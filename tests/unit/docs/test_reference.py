"""The reference pages are those that the code makes, and leave nothing out."""

from __future__ import annotations

import inspect
import re
from http import HTTPStatus
from pathlib import Path

import pytest

from tests import reference
from tests.reference import ANSWERS, COUNTS_OF_THINGS, STATUSES, UNITS, pages, stale
from worker.settings import Settings
from worker.web import server
from worker.web.server import ADDRESSES


def test_no_reference_page_is_stale() -> None:
    assert stale() == [], "run `make reference`"


def test_a_page_that_differs_is_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "FOLDER", tmp_path)
    for name, text in pages().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert stale() == []

    (tmp_path / "metrics.md").write_text("old", encoding="utf-8")
    (tmp_path / "left-over.md").write_text("of a page that is gone", encoding="utf-8")
    assert stale() == [tmp_path / "metrics.md", tmp_path / "left-over.md"]


def test_every_number_among_the_settings_has_a_unit() -> None:
    numbers = {name for name, field in Settings.model_fields.items() if field.annotation is int}
    assert numbers == UNITS.keys() | COUNTS_OF_THINGS


def test_every_address_of_the_server_is_described() -> None:
    routes = re.findall(r'add_get\("(/.+?)"', inspect.getsource(server))
    assert [route.replace("_id}", "}") for route in routes] == list(ADDRESSES)
    assert ANSWERS.keys() == ADDRESSES.keys()


def test_every_code_of_an_error_is_described_with_its_status() -> None:
    source = inspect.getsource(server)
    described = {code: status for status, text in STATUSES.items() for code in re.findall(r"`([a-z_]+)`", text)}
    assert set(re.findall(r'"(unknown_\w+|bad_\w+|other_worker|unavailable)"', source)) == described.keys()
    raised = re.findall(r'RequestRefused\(\s*HTTPStatus\.(\w+),\s*"(\w+)"', source)
    assert len(raised) >= 5
    for status, code in raised:
        assert HTTPStatus[status] == described[code]
