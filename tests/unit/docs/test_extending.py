"""The lists of docs/extending.md: the places that they name exist, and a step that is left out is found."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest

from schemas.catalogue import TYPES
from schemas.topics import LEDGER
from tests.model import reading
from tests.property.drafts import Menu, draft
from tests.unit.docs.pages import DOCS, ROOT, section, text_of
from worker.configuration import load_settings
from worker.ops import metrics
from worker.settings import PolicySettings, Settings

PAGE = text_of(DOCS / "extending.md")
LISTS = ("Add an event type", "Add a setting", "Add a metric", "Add a role", "Add a marketplace", "Add an ERP")
PLANNED_LISTS = LISTS[4:]
TYPE_NAMES = [name for topic in LEDGER.inputs for name in TYPES[topic]]
DRAWS = 5_000

_STEP = re.compile(r"^(\d+)\. (.*?)(?=^\d+\. |^\n|\Z)", re.DOTALL | re.MULTILINE)
_PATH = re.compile(r"`([\w./-]*[\w-](?:/|\.py|\.yaml|\.md)(?:NAME/)?)`(\s+\(\*planned\*\))?")
_NAME = re.compile(r"`([A-Z][A-Za-z_]+)`")


def steps(heading: str) -> list[str]:
    """The steps of a list, each as one line."""
    return [" ".join(text.split()) for _, text in _STEP.findall(section(PAGE, heading))]


def paths(text: str) -> list[tuple[str, bool]]:
    """The files and folders that a text names, and whether each is only planned."""
    return [(path, bool(planned)) for path, planned in _PATH.findall(text)]


@pytest.mark.parametrize("heading", LISTS)
def test_a_list_has_numbered_steps_in_order(heading: str) -> None:
    numbers = [int(number) for number, _ in _STEP.findall(section(PAGE, heading))]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 4


@pytest.mark.parametrize("heading", LISTS)
def test_the_files_of_a_list_exist_unless_planned(heading: str) -> None:
    named = paths(section(PAGE, heading))
    assert named
    for path, planned in named:
        assert (ROOT / path).exists() is not planned, path


@pytest.mark.parametrize("heading", LISTS)
def test_the_names_in_a_step_stand_in_a_file_of_the_step(heading: str) -> None:
    for step in steps(heading):
        sources = [text_of(ROOT / path) for path, planned in paths(step) if not planned and (ROOT / path).is_file()]
        for name in _NAME.findall(step):
            assert any(re.search(rf"\b{name}\b", source) for source in sources), name


@pytest.mark.parametrize("heading", LISTS)
def test_a_list_without_code_is_marked_as_planned(heading: str) -> None:
    assert ("**Planned" in section(PAGE, heading)) is (heading in PLANNED_LISTS)
    assert not (ROOT / "worker" / "connectors").exists(), "the lists of connectors are no longer a plan"


@pytest.mark.parametrize("type_name", TYPE_NAMES)
def test_the_contract_describes_every_event_type(type_name: str) -> None:
    fields = section(text_of(DOCS / "contract.md"), "2. Inputs: JSON, UTF-8")
    first_cells = [row.split("|")[1] for row in fields.splitlines() if row.startswith("| `")]
    described = {name for cell in first_cells for name in _types_of(cell)}
    assert type_name in described


def _types_of(cell: str) -> list[str]:
    """The types of a row: a name that begins with a dot shares what stands before the dot with the first one."""
    names = re.findall(r"`([\w.]+)`", cell)
    subject = names[0].partition(".")[0]
    return [f"{subject}{name}" if name.startswith(".") else name for name in names]


def test_the_model_reads_every_event_type() -> None:
    read = {name: topic for topic, types in reading.TYPES.items() for name in types}
    assert read == {name: topic for topic in LEDGER.inputs for name in TYPES[topic]}


def test_histories_draw_every_event_type() -> None:
    drawn = random.Random(1)
    drafts = [draft(drawn, Menu()) for _ in range(DRAWS)]
    kinds = {str(one.body["type"]) for one in drafts if one.body is not None and "type" in one.body}
    kinds |= {"dead_letter.discarded" for one in drafts if one.act == "discard"}  # made of an earlier record
    assert kinds == set(TYPE_NAMES)


@pytest.mark.parametrize("name", PolicySettings.model_fields)
def test_an_account_may_have_its_own_value_of_a_setting(name: str, tmp_path: Path) -> None:
    value = _another(name)
    config = tmp_path / "stockfreeze.toml"
    config.write_text(f'[accounts."acme"]\n{name} = {value!r}\n', encoding="utf-8")
    rules = load_settings(config, {}).policies()
    assert getattr(rules.of("acme"), name) == value
    assert getattr(rules.of("another"), name) == Settings.model_fields[name].default


def _another(name: str) -> Any:  # noqa: ANN401 - whatever the setting takes
    """A value of a setting that is not its default."""
    field = Settings.model_fields[name]
    if get_origin(field.annotation) is not None:
        return next(value for value in get_args(field.annotation) if value != field.default)
    return field.default + 7 if isinstance(field.default, int) else f"not {field.default}"


def test_every_metric_that_is_defined_is_listed() -> None:
    defined = {spec for spec in vars(metrics).values() if isinstance(spec, metrics.Spec)}
    assert defined == set(metrics.METRICS)
