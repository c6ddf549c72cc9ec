"""What is wrong with a record, in the words of people who send JSON: not those of the library, nor of Python.

Only for records that are refused, so it may take its time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final

import msgspec

TEXT_LENGTH_MAX: Final = 300
_CLOSE: Final = 0.75

_PATH: Final = re.compile(r"(?P<problem>.*) - at `\$\.?(?P<path>.*)`", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(?P<name>.*)`")
_TYPES: Final = re.compile(r"Expected `(?P<wanted>[^`]*)`, got `(?P<given>[^`]*)`")
_BOUND: Final = re.compile(
    r"Expected `(?P<kind>int|str|array)`(?P<length> of length)? (?P<sign>>=|<=) (?P<bound>-?[0-9]+)"
)
_ENUM: Final = re.compile(r"Invalid enum value .*", re.DOTALL)
_STEP: Final = re.compile(r"[^.\[\]]+")
"""A name or an index in a path. Where the library leaves out the index, it has dots, and the step is skipped."""
_NAMES: Final = {
    "int": "a whole number",
    "float": "a number with a fraction",
    "str": "a text",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}


def quoted(text: str) -> str:
    """A text as it stands in JSON, shortened; what cannot be printed is escaped."""
    spelled = json.dumps(text, ensure_ascii=False)
    return shortened("".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in spelled))


def shortened(text: str) -> str:
    """The beginning of a text, where it is long."""
    return text if len(text) <= TEXT_LENGTH_MAX else text[:TEXT_LENGTH_MAX] + "…"


def meant(name: str, known: Iterable[str]) -> str | None:
    """The name that may have been meant."""
    return next(iter(get_close_matches(name, list(known), n=1, cutoff=_CLOSE)), None)


def sentence_of(error: msgspec.ValidationError, kind: type, fields: Mapping[str, Any]) -> str:
    """Says what is wrong with the fields of an event of a kind.

    For example: "The field lines[0].quantity must be at least 1."
    """
    text = str(error)
    match = _PATH.fullmatch(text)
    problem, path = (match["problem"], match["path"]) if match else (text, "")
    missing = _MISSING.fullmatch(problem)
    if missing:
        return _missing(missing["name"], path, kind, fields)
    return f"The field {path} {_problem(problem, path, kind, fields)}."


def _missing(name: str, path: str, kind: type, fields: Mapping[str, Any]) -> str:
    within, where = _at(fields, path), _type_at(kind, path)
    unknown = set(within) - {field.encode_name for field in _fields_of(where)} if isinstance(within, Mapping) else set()
    close = meant(name, unknown)
    hint = f" (did you mean it by the field {quoted(close)}?)" if close is not None else ""
    return f"The field {path + '.' if path else ''}{name} is missing{hint}."


def _problem(problem: str, path: str, kind: type, fields: Mapping[str, Any]) -> str:
    types = _TYPES.fullmatch(problem)
    if types:
        wanted = " or ".join(_NAMES.get(name, name) for name in types["wanted"].split(" | ") if name != "null")
        return f"is {_NAMES.get(types['given'], types['given'])}, and must be {wanted}"
    bound = _BOUND.fullmatch(problem)
    if bound:
        limit = f"{'at least' if bound['sign'] == '>=' else 'at most'} {bound['bound']}"
        if not bound["length"]:
            return f"must be {limit}"
        one, many = ("entry", "entries") if bound["kind"] == "array" else ("character", "characters")
        return f"must have {limit} {one if bound['bound'] == '1' else many}"
    if _ENUM.fullmatch(problem):
        given, allowed = _at(fields, path), _allowed(_type_at(kind, path))
        close = meant(given, allowed) if isinstance(given, str) else None
        given_is = f"is {quoted(given)}" if isinstance(given, str) else "is wrong"
        hint = f" (did you mean {close}?)" if close is not None else ""
        return f"{given_is}, and must be one of {', '.join(allowed)}{hint}"
    return f"is wrong: {shortened(problem[:1].lower() + problem[1:])}"


def _at(fields: object, path: str) -> object:
    """What stands at a path."""
    for step in _STEP.findall(path):
        try:
            fields = fields[int(step)] if isinstance(fields, list) else fields[step]  # type: ignore[index]
        except (KeyError, IndexError, TypeError, ValueError):
            return None
    return fields


def _type_at(kind: type, path: str) -> msgspec.inspect.Type:
    """The type of what stands at a path."""
    found = _plain(msgspec.inspect.type_info(kind))
    for step in _STEP.findall(path):
        if isinstance(found, msgspec.inspect.ListType):
            found = _plain(found.item_type)
            if step.isdecimal():
                continue
        types = {field.encode_name: field.type for field in _fields_of(found)}
        if step not in types:
            return found
        found = _plain(types[step])
    return found


def _plain(found: msgspec.inspect.Type) -> msgspec.inspect.Type:
    """A type without its annotations, and without null."""
    if isinstance(found, msgspec.inspect.Metadata):
        return _plain(found.type)
    if isinstance(found, msgspec.inspect.UnionType):
        others = [each for each in found.types if not isinstance(each, msgspec.inspect.NoneType)]
        return _plain(others[0])
    return found


def _fields_of(found: msgspec.inspect.Type) -> tuple[msgspec.inspect.Field, ...]:
    return found.fields if isinstance(found, msgspec.inspect.StructType) else ()


def _allowed(found: msgspec.inspect.Type) -> list[str]:
    return [str(value) for value in found.values] if isinstance(found, msgspec.inspect.LiteralType) else []
