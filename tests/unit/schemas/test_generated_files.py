"""The generated files: as the types would write them, and sound in themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from schemas.catalogue import TYPES, schema_of, type_names
from schemas.generate import ROOT, generated, main, stale_files, write
from schemas.topics import COMPACTED, LEDGER, Topic


@pytest.fixture
def document() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "asyncapi.yaml").read_text("utf-8"))
    return loaded


def references(part: object) -> set[str]:
    if isinstance(part, dict):
        own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
        return own.union(*(references(value) for value in part.values()))
    if isinstance(part, list):
        return set().union(*(references(value) for value in part))
    return set()


def test_the_committed_files_are_what_the_types_say() -> None:
    assert stale_files(ROOT) == []


def test_check_names_each_stale_missing_and_left_over_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path)
    assert main(["--check"], tmp_path) == 0
    (tmp_path / "asyncapi.yaml").write_text("asyncapi: 2.0.0\n", "utf-8")
    (tmp_path / "json/order.created.schema.json").unlink()
    (tmp_path / "json/order.paid.schema.json").write_text("{}", "utf-8")
    before = sorted(tmp_path.rglob("*"))
    assert main(["--check"], tmp_path) == 1
    assert [line.split()[0] for line in capsys.readouterr().err.splitlines()] == [
        "schemas/asyncapi.yaml",
        "schemas/json/order.created.schema.json",
        "schemas/json/order.paid.schema.json",
    ]
    assert sorted(tmp_path.rglob("*")) == before


def test_writing_mends_whatever_is_stale(tmp_path: Path) -> None:
    (tmp_path / "json").mkdir()
    (tmp_path / "json/order.paid.schema.json").write_text("{}", "utf-8")
    assert main([], tmp_path) == 0
    assert stale_files(tmp_path) == []
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")} == generated().keys()


@pytest.mark.parametrize("name", type_names())
def test_every_schema_is_sound_complete_in_itself_and_described(name: str) -> None:
    schema = schema_of(name)
    Draft202012Validator.check_schema(schema)
    assert references(schema) <= {f"#/$defs/{definition}" for definition in schema.get("$defs", {})}
    assert schema["title"] == name
    assert schema["description"]
    assert schema["properties"]["type"] == {"enum": [name]}


def test_no_type_stands_in_two_topics() -> None:
    names = [name for types in TYPES.values() for name in types]
    assert sorted(names) == sorted(set(names)) == sorted(type_names())


def test_a_type_that_is_not_known_has_no_schema() -> None:
    with pytest.raises(KeyError):
        schema_of("order.paid")


def test_every_reference_of_the_asyncapi_document_leads_somewhere(document: dict[str, Any]) -> None:
    for reference in references(document):
        file, _, path = reference.partition("#")
        if file:
            assert (ROOT / file).is_file(), reference
            continue
        part: Any = document
        for name in path.removeprefix("/").split("/"):
            part = part[name]


def test_every_topic_is_a_channel_that_is_received_or_sent(document: dict[str, Any]) -> None:
    assert document["channels"].keys() == {str(topic) for topic in Topic}
    assert document["operations"].keys() == {f"receive.{topic}" for topic in LEDGER.inputs} | {
        f"send.{topic}" for topic in LEDGER.outputs
    }
    for topic in Topic:
        channel = document["channels"][topic]
        assert channel["address"] == topic
        policy = channel["bindings"]["kafka"]["topicConfiguration"]["cleanup.policy"]
        assert policy == (["compact"] if topic in COMPACTED else ["delete"])
        if topic in TYPES:
            assert channel["messages"].keys() == TYPES[topic].keys()
