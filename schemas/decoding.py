"""From the bytes of a record to an event in its normal form, or the reason why not: contract section 2.

The fast way is one pass of msgspec over the bytes. It answers for almost every record, and it never takes what the
contract refuses except for invalid UTF-8 in unknown fields, which is looked for here. It does refuse some records
that are good (a repeated key whose first value is bad, a repeated `type`) and may name a bad field where the JSON
after it is broken. So after any error the record is read again without types, and that reading decides.
"""

from __future__ import annotations

import json
import re
from typing import Final, Literal, NoReturn, TypeGuard, final

import msgspec
from mypy_extensions import mypyc_attr

from schemas.catalogue import TOPIC_OF, TYPES
from schemas.inputs import (
    Command,
    InputEvent,
    OrdersEvent,
    StockAdjusted,
    StockCounted,
    StockEvent,
    StockTransferred,
    SubOrderCreated,
    SubOrdersEvent,
    SubOrderSplit,
)
from schemas.sentences import meant, quoted, sentence_of
from schemas.times import read_time
from schemas.topics import Topic

RefusalCode = Literal["undecodable", "unknown_type", "invalid"]

ID_LENGTH_MAX: Final = 128
"""Code points."""

_BACKSLASH: Final = 0x5C
_DELETE: Final = 0x7F
_INTEGER_DIGITS_MAX: Final = 40
_BEYOND_ANY_INTEGER: Final = 10**_INTEGER_DIGITS_MAX
_CONTROL_CHARACTER: Final = re.compile("[\x00-\x1f\x7f-\x9f]")


class Refused(Exception):
    """A record that is no event: `code` is the dead letter's, `message` one sentence for its header `error`."""

    def __init__(self, code: RefusalCode, message: str) -> None:
        super().__init__(message)
        self.code: Final[RefusalCode] = code
        self.message: Final = message


@mypyc_attr(acyclic=True)
@final
class Decoded:  # noqa: PLW1641 - its event may be changed, so it has no hash
    """An event in its normal form, and its times in UTC milliseconds; `as_of_ms` is 0 for all but counts."""

    __slots__ = ("as_of_ms", "event", "occurred_at_ms")

    def __init__(self, event: InputEvent, occurred_at_ms: int, as_of_ms: int) -> None:
        self.event = event
        self.occurred_at_ms = occurred_at_ms
        self.as_of_ms = as_of_ms

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Decoded) and self._fields() == other._fields()

    def _fields(self) -> tuple[InputEvent, int, int]:
        return self.event, self.occurred_at_ms, self.as_of_ms


_DECODE: Final = {
    Topic.ORDERS: msgspec.json.Decoder[InputEvent](OrdersEvent).decode,
    Topic.SUB_ORDERS: msgspec.json.Decoder[InputEvent](SubOrdersEvent).decode,
    Topic.STOCK: msgspec.json.Decoder[InputEvent](StockEvent).decode,
    Topic.COMMANDS: msgspec.json.Decoder[InputEvent](Command).decode,
}
_CHECKED_FURTHER: Final = frozenset({StockCounted, StockAdjusted, StockTransferred, SubOrderCreated, SubOrderSplit})
_SYNTAX: Final = msgspec.json.Decoder(msgspec.Raw)


def decode(topic: Topic, value: bytes | None) -> Decoded:
    """Reads a record of an input topic.

    Raises Refused, and nothing else, if it is not an event of that topic; the code is the first that fits of
    undecodable, unknown_type, invalid.
    """
    if value is None:
        raise Refused("undecodable", "The record has no value.")
    try:
        event = _DECODE[topic](value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        event = _decode_untyped(topic, value)
    if not value.isascii() or _BACKSLASH in value or _DELETE in value:
        text = _utf8(value)
        if _BACKSLASH in value or _CONTROL_CHARACTER.search(text):
            _check_ids(event, "")
    # Not isinstance, which the metaclass of structs makes costly.
    as_of_ms = _check_further(event) if type(event) in _CHECKED_FURTHER else 0
    event.source = None
    spelled = event.occurred_at
    try:
        occurred_at, occurred_at_ms = read_time(spelled)
    except ValueError as error:
        _refuse_field("occurred_at", str(error))
    if occurred_at is not spelled:
        event.occurred_at = occurred_at
    return Decoded(event, occurred_at_ms, as_of_ms)


def order_of(value: bytes | None, key: bytes | None) -> tuple[str, str] | None:
    """Returns the (account_id, order_id) that a refused record names: contract section 7.

    None if its value does not decode to an object with a valid order_id and a valid account_id equal to its key. Raises
    nothing.
    """
    fields = _fields_or_none(value)
    if fields is None or key is None:
        return None
    account_id, order_id = fields.get("account_id"), fields.get("order_id")
    if not _is_id(account_id) or not _is_id(order_id) or account_id.encode() != key:
        return None
    return account_id, order_id


def account_of(value: bytes | None, key: bytes | None) -> str | None:
    """Returns the account that a refused record names.

    That is its field account_id where its value decodes to an object with a valid one, else its key, if that could be
    an account's; else None. Raises nothing.
    """
    fields = _fields_or_none(value)
    account_id = None if fields is None else fields.get("account_id")
    if not _is_id(account_id):
        account_id = None if key is None else key.decode(errors="replace")
        if key is None or not _is_id(account_id) or account_id.encode() != key:
            return None
    return account_id


def id_and_time_of(value: bytes | None) -> tuple[str | None, str | None]:
    """Returns the record's event_id, and its occurred_at in its normal spelling.

    Each is None unless the value decodes to an object that has a valid one. Raises nothing.
    """
    fields = _fields_or_none(value)
    if fields is None:
        return None, None
    event_id, spelled = fields.get("event_id"), fields.get("occurred_at")
    try:
        occurred_at = read_time(spelled)[0] if isinstance(spelled, str) else None
    except ValueError:
        occurred_at = None
    return event_id if _is_id(event_id) else None, occurred_at


def skus_of(value: bytes | None) -> list[str]:
    """Returns the SKUs that a refused record of an order names, in their order, each once.

    Those that are valid: its own, those of its lines, and those of the lines of its children. Raises nothing.
    """
    fields = _fields_or_none(value)
    if fields is None:
        return []
    children = fields.get("children")
    places: list[object] = [fields, *(children if isinstance(children, list) else ())]
    found: dict[str, None] = {}
    for place in places:
        lines = place.get("lines") if isinstance(place, dict) else None
        for line in (place, *(lines if isinstance(lines, list) else ())):
            sku = line.get("sku") if isinstance(line, dict) else None
            if _is_id(sku):
                found[sku] = None
    return list(found)


# The slow way: without types, to find the reason, or that nothing is wrong.


def _decode_untyped(topic: Topic, value: bytes) -> InputEvent:
    fields = _fields(value)
    tag = fields.get("type")
    if tag is None:
        raise Refused("unknown_type", "The field type is missing.")
    if not isinstance(tag, str):
        raise Refused("unknown_type", "The field type is not a string.")
    cls = TYPES[topic].get(tag)
    if cls is None:
        home = TOPIC_OF.get(tag)
        close = meant(tag, TYPES[topic])
        hint = f" (did you mean {close}?)" if close else ""
        why = f"belongs to {home}" if home else f"is not known{hint}"
        raise Refused("unknown_type", f"The field type says {quoted(tag)}, which {why}.")
    try:
        return msgspec.convert(fields, cls)  # type: ignore[return-value]  # an input topic carries members of InputEvent only
    except msgspec.ValidationError as error:
        raise Refused("invalid", sentence_of(error, cls, fields)) from None


def _fields_or_none(value: bytes | None) -> dict[str, object] | None:
    try:
        return None if value is None else _fields(value)
    except Refused:
        return None


def _fields(value: bytes) -> dict[str, object]:
    """Reads a JSON object; of a repeated key the last counts. Raises Refused (undecodable)."""
    text = _utf8(value)
    try:
        fields = json.loads(text, parse_int=_integer, parse_constant=_refuse_constant)
        _SYNTAX.decode(value)  # what json takes and JSON does not: lone surrogates
    except RecursionError:
        raise Refused("undecodable", "The value is JSON nested too deeply.") from None
    except json.JSONDecodeError as error:
        raise Refused("undecodable", f"The value is not JSON: {error}.") from None
    except msgspec.DecodeError:
        raise Refused("undecodable", "The value is not UTF-8 JSON: it holds a lone surrogate.") from None
    if not isinstance(fields, dict):
        raise Refused("undecodable", "The value is JSON, but not an object.")
    return fields


def _utf8(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise Refused("undecodable", f"The value is not UTF-8: {error.reason} at byte {error.start}.") from None


def _integer(digits: str) -> int:
    """Reads an integer of JSON; one too long for any field costs no time, and Python would refuse to convert it."""
    return int(digits) if len(digits) < _INTEGER_DIGITS_MAX else _BEYOND_ANY_INTEGER


def _refuse_constant(name: str) -> NoReturn:
    raise Refused("undecodable", f"The value is not JSON: it holds {name}.")


# What the types cannot express.


def _is_id(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and 1 <= len(value) <= ID_LENGTH_MAX and _CONTROL_CHARACTER.search(value) is None


def _check_ids(part: msgspec.Struct, path: str) -> None:
    """Refuses control characters in every id of an event, the nested ones included."""
    for name in part.__struct_fields__:
        value = getattr(part, name)
        if isinstance(value, list):
            for number, entry in enumerate(value):
                _check_ids(entry, f"{path}{name}[{number}].")
        elif (name == "sku" or name.endswith("_id")) and value is not None:
            found = _CONTROL_CHARACTER.search(value)
            if found:
                _refuse_field(f"{path}{name}", f"holds the control character U+{ord(found[0]):04X}")


def _check_further(event: InputEvent) -> int:
    """Checks one field against another, and drops a stated default; returns the `as_of` of a count in ms, else 0."""
    if type(event) is SubOrderCreated:  # before the others, as it is the most frequent
        if event.revision == 0:
            event.revision = None
        return 0
    match event:
        case StockCounted():
            return _check_count(event)
        case StockAdjusted(delta=0):
            _refuse_field("delta", "is 0")
        case StockTransferred():
            if event.to_warehouse_id == event.from_warehouse_id:
                _refuse_field("to_warehouse_id", "is the same as from_warehouse_id")
        case SubOrderSplit():
            _check_split(event)
        case _:
            pass  # of the others each field stands for itself
    return 0


def _check_count(event: StockCounted) -> int:
    if event.part > event.parts:
        _refuse_field("part", f"is {event.part}, more than the field parts, {event.parts}")
    seen = set[str]()
    for number, count in enumerate(event.counts):
        if count.sku in seen:
            _refuse_field(f"counts[{number}].sku", f"repeats {quoted(count.sku)}: a count has each SKU once")
        seen.add(count.sku)
    if event.absent == "unknown":
        event.absent = None
    try:
        event.as_of, as_of_ms = read_time(event.as_of)
    except ValueError as error:
        _refuse_field("as_of", str(error))
    return as_of_ms


def _check_split(event: SubOrderSplit) -> None:
    seen = {event.sub_order_id}
    for number, child in enumerate(event.children):
        if child.sub_order_id in seen:
            other = "the parent's own" if child.sub_order_id == event.sub_order_id else "that of another child"
            _refuse_field(f"children[{number}].sub_order_id", f"is {other}")
        seen.add(child.sub_order_id)


# Sentences.


def _refuse_field(path: str, problem: str) -> NoReturn:
    raise Refused("invalid", f"The field {path} {problem}.") from None
