"""`stockfreeze send` before it asks a broker: every line is checked, and a bad one is named."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from worker.cli.main import main

GOOD = {
    "type": "order.created",
    "event_id": "e",
    "account_id": "acme",
    "order_id": "o",
    "occurred_at": datetime.now(UTC).isoformat(),
    "lines": [{"sku": "k", "quantity": 1}],
}


def run(*arguments: str, stdin: bytes | None = None, **settings: str) -> tuple[int, str, str]:
    env = {f"STOCKFREEZE_{name}": value for name, value in settings.items()}
    result = CliRunner(env=env).invoke(main, ["send", *arguments], input=stdin, prog_name="stockfreeze")
    return result.exit_code, result.stdout, result.stderr


def lines(*values: object) -> bytes:
    return b"".join((value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n" for value in values)


def test_good_lines_are_counted_and_need_no_broker(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\xef\xbb\xbf" + lines(GOOD, b"", GOOD | {"event_id": "f"}, b"  \r"))

    assert run("--dry-run", str(file)) == (0, "send: 2 good events; nothing was sent.\n", "")
    assert run("--dry-run", "-", stdin=file.read_bytes())[0] == 0
    answer = json.loads(run("--dry-run", "--json", str(file))[1])
    assert answer == {"events": {"orders.events.v1": 2}, "bad": [], "bad_count": 0}


@pytest.mark.parametrize("dry_run", [["--dry-run"], []])
def test_bad_lines_are_named_and_nothing_is_sent(dry_run: list[str]) -> None:
    stdin = lines(GOOD, b"", b"{", GOOD | {"lines": 5})

    code, out, err = run(*dry_run, "-", stdin=stdin, BOOTSTRAP_SERVERS="127.0.0.1:1")

    assert (code, out) == (1, "")
    first, second, last = err.splitlines()
    assert first.startswith("send: line 3: The value is not JSON")
    assert second.startswith("send: line 4: The field lines is a whole number, and must be a list")
    assert last == "send: 2 bad lines; nothing was sent."
    answer = json.loads(run(*dry_run, "--json", "-", stdin=stdin)[1])
    assert ([bad["line"] for bad in answer["bad"]], answer["bad_count"]) == ([3, 4], 2)


def test_of_many_bad_lines_the_first_are_named() -> None:
    _, _, err = run("-", stdin=lines(*[b"{"] * 50))

    assert err.count("send: line") == 20
    assert "50 bad lines, of which 20 are shown" in err


def test_events_beyond_the_retention_are_told_with_the_way_to_take_them_in() -> None:
    old = lines(GOOD | {"occurred_at": "2020-01-01T00:00:00Z"})

    assert "1 event older than RETENTION_DAYS" in run("--dry-run", "-", stdin=old)[2]
    assert run("--dry-run", "--as-of-event", "-", stdin=old)[2] == ""


def test_a_file_that_is_not_there_is_one_sentence() -> None:
    code, out, err = run("/no/such/file")
    assert (code, out, err.count("\n")) == (2, "", 1)
