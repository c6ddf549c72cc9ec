"""The commands that ask a broker: their help, and what they refuse before they ask."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from schemas.catalogue import type_names
from worker.cli.main import main

ASKING = [
    ["topics", "create"],
    ["topics", "check"],
    ["topics", "accept"],
    ["topics", "republish"],
    ["begin-anew"],
    ["verify"],
    ["why"],
    ["order"],
    ["send"],
    ["status"],
    ["stock"],
    ["alerts"],
    ["drift"],
    ["settings"],
    ["dead-letters", "list"],
    ["dead-letters", "show"],
    ["dead-letters", "replay"],
    ["dead-letters", "discard"],
    ["schemas"],
]


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, arguments, prog_name="stockfreeze")
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize("command", ASKING, ids=" ".join)
def test_every_command_has_help_with_examples_and_offers_json(command: list[str]) -> None:
    code, out, _ = run(*command, "--help")

    assert code == 0
    assert "--json" in out
    examples = out.split("Examples:\n")[1].splitlines()
    assert all(f"stockfreeze {' '.join(command)}" in example for example in examples)


@pytest.mark.parametrize(
    "command",
    [
        ["why", "acme"],
        ["topics", "accept", "orders.events.v1"],
        ["topics", "accept", "orders.events.v1", "--from", "middle"],
        ["topics", "accept", "--from", "end"],
        ["order", "acme"],
        ["stock"],
        ["stock", "acme", "--after", "no cursor"],
        ["stock", "acme", "--limit", "0"],
        ["alerts", "--limit", "0"],
        ["drift"],
        ["drift", "acme", "--since", "yesterday"],
        ["drift", "acme", "--since", "2026-02-30"],
        ["send"],
        ["send", "/no/such/file"],
        ["dead-letters", "replay"],
        ["dead-letters", "replay", "a/0/1", "--all"],
        ["dead-letters", "replay", "a/0/1"],
        ["dead-letters", "discard"],
        ["dead-letters", "list", "--since", "yesterday"],
        ["dead-letters", "discard", "a/0/1"],
        ["dead-letters", "list", "--limit", "0"],
        ["dead-letters", "list", "--code", "unknown"],
        ["dead-letters", "list", "--topic", "stock.levels.v1"],
        ["dead-letters", "replay", "--code", "unknown"],
        ["schemas", "order.created", "--asyncapi"],
    ],
    ids=" ".join,
)
def test_bad_usage_is_one_sentence_and_asks_nobody(command: list[str]) -> None:
    code, out, err = run(*command)

    assert (code, out) == (2, "")
    assert err.startswith("stockfreeze ")
    assert err.count("\n") == 1


def test_schemas_lists_every_type_with_its_topic() -> None:
    code, out, _ = run("schemas", "--json")

    assert code == 0
    listed = json.loads(out)
    assert [row["type"] for row in listed] == type_names()
    assert {"type": "stock.moved", "direction": "out", "topic": "stock.movements.v1"} in listed


def test_schemas_lists_the_types_for_people() -> None:
    code, out, _ = run("schemas")

    assert code == 0
    assert all(name in out for name in type_names())


@pytest.mark.parametrize("name", type_names())
def test_schemas_prints_the_json_schema_of_a_type(name: str) -> None:
    code, out, _ = run("schemas", name)

    assert code == 0
    assert json.loads(out)["title"] == name


def test_a_type_that_is_not_known_is_refused_with_the_one_that_was_meant() -> None:
    code, _, err = run("schemas", "order.crated")

    assert (code, err) == (
        2,
        "stockfreeze: there is no event type order.crated, did you mean order.created.\n",
    )


def test_schemas_prints_the_asyncapi_document_as_yaml_and_as_json() -> None:
    as_yaml = run("schemas", "--asyncapi")
    as_json = run("schemas", "--asyncapi", "--json")

    assert (as_yaml[0], as_json[0]) == (0, 0)
    assert "asyncapi: 3.0.0" in as_yaml[1]
    assert json.loads(as_json[1])["asyncapi"] == "3.0.0"
