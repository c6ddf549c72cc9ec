"""The examples: decoder and JSON Schema take each valid one and refuse each invalid one, with the code it is named for.

A file's folder is a `type`, which tells the topic; an invalid one's name begins with its code, then what is wrong:
`invalid--quantity-zero`.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import msgspec
import pytest
from jsonschema import Draft202012Validator

from schemas.catalogue import TOPIC_OF, TYPES, schema_of, type_names
from schemas.decoding import Refused, decode
from schemas.encoding import encode
from schemas.generate import ROOT
from schemas.outputs import Output
from schemas.topics import LEDGER

EXAMPLES = ROOT / "examples"
VALID = sorted(EXAMPLES.glob("valid/*/*.json"))
INVALID = sorted(EXAMPLES.glob("invalid/*/*.json"))
INPUT_TYPES = {name for topic in LEDGER.inputs for name in TYPES[topic]}

BEYOND_JSON_SCHEMA = (
    "time-on-a-day-that-does-not-exist",
    "time-beyond-year-9999",
    "quantity-a-float-without-fraction",
    "on-hand-a-float",
    "part-beyond-parts",
    "sku-twice",
    "sku-twice-with-different-counts",
    "child-id-twice",
    "child-is-its-parent",
    "to-the-same-warehouse",
)
"""What JSON Schema cannot say: for these only the decoder counts."""


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@cache
def validator(type_name: str) -> Draft202012Validator:
    text = (ROOT / "json" / f"{type_name}.schema.json").read_text("utf-8")
    return Draft202012Validator(json.loads(text))


@pytest.mark.parametrize("path", VALID, ids=name_of)
def test_a_valid_example_is_taken_by_schema_and_type(path: Path) -> None:
    type_name, value = path.parent.name, path.read_bytes()
    validator(type_name).validate(json.loads(value))
    if type_name in INPUT_TYPES:
        decoded = decode(TOPIC_OF[type_name], value)
        again = decode(TOPIC_OF[type_name], msgspec.json.encode(decoded.event))
        assert again == decoded
        assert type(decoded.event) is TYPES[TOPIC_OF[type_name]][type_name]
    else:
        output = msgspec.json.decode(value, type=Output)
        assert json.loads(encode(output)) == json.loads(value)


@pytest.mark.parametrize("path", INVALID, ids=name_of)
def test_an_invalid_example_is_refused_with_the_code_it_is_named_for(path: Path) -> None:
    type_name, value = path.parent.name, path.read_bytes()
    code, _, what = path.stem.partition("--")
    with pytest.raises(Refused) as caught:
        decode(TOPIC_OF[type_name], value)
    assert caught.value.code == code, caught.value.message
    if code != "undecodable":
        assert validator(type_name).is_valid(json.loads(value)) == (what in BEYOND_JSON_SCHEMA)


@pytest.mark.parametrize("type_name", type_names())
def test_every_type_has_examples_and_every_folder_is_a_type(type_name: str) -> None:
    assert any((EXAMPLES / "valid" / type_name).iterdir())
    if type_name in INPUT_TYPES:
        codes = {path.stem.partition("--")[0] for path in (EXAMPLES / "invalid" / type_name).iterdir()}
        assert codes == {"undecodable", "unknown_type", "invalid"}
    assert {path.parent.name for path in VALID} == set(type_names())
    assert {path.parent.name for path in INVALID} == INPUT_TYPES


@pytest.mark.parametrize("type_name", type_names())
def test_the_examples_use_every_field_of_their_type(type_name: str) -> None:
    used = {name for path in VALID if path.parent.name == type_name for name in json.loads(path.read_bytes())}
    assert schema_of(type_name)["properties"].keys() <= used


def test_every_exception_from_the_json_schemas_is_needed() -> None:
    assert {path.stem.partition("--")[2] for path in INVALID}.issuperset(BEYOND_JSON_SCHEMA)
