"""The records of an attack on a partition, as hostile or broken senders make them, drawn from a `random.Random`.

One generator serves atheris, whose input seeds it, and Hypothesis, which hands it one that it can shrink. It starts
from meaningful records (the examples, and long histories of one account) and spoils them: fields take odd
values, bytes are flipped, records come twice, elsewhere, under other keys and at impossible times.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from functools import cache
from random import Random
from typing import Any, Final, NamedTuple

import msgspec

from schemas.catalogue import TOPIC_OF
from schemas.generate import ROOT
from schemas.topics import LEDGER
from tests.property.drafts import ACCOUNTS, ELSEWHERE, ORDER_IDS, PARTITION, PREFIX, START_MS, Menu
from tests.property.histories import long_history

Headers = tuple[tuple[str, bytes | None], ...]
"""A header may have no value."""


class Shot(NamedTuple):
    """A record. `topic` is a number of `LEDGER.inputs`, `gap` how many offsets are left out before it, `ends` whether
    the transaction ends with it.
    """

    topic: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    gap: int = 0
    ends: bool = False


SHOTS_MAX: Final = 60
VALUE_BYTES_MAX: Final = 200_000
_MINUTE_MS: Final = 60_000
_DAY_MS: Final = 86_400_000

encode: Final = msgspec.msgpack.Encoder().encode
decode: Final = msgspec.msgpack.Decoder(list[Shot]).decode
"""The file format of a partition's shots. Raises msgspec.DecodeError."""

TIMESTAMPS: Final = (-1, 0, 1, -(2**63), 2**31, 2**53, 253_402_300_799_999, 253_402_300_800_000, 2**62, 2**63 - 1)
TIMES: Final = (
    "2026-03-01T00:05:00Z",
    "2026-03-01T03:05:00.000+03:00",
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59-23:59",
    "1969-12-31T23:59:59.999Z",
    "2026-02-30T00:00:00Z",
    "2026-06-30T23:59:60Z",
    "2026-03-01T24:00:00Z",
    "2026-03-01 00:00:00Z",
    "2026-03-01T00:00:00",
    "2026-03-01T00:00:00.1234567890123Z",
    "٢٠٢٦-03-01T00:00:00Z",
)
IDS: Final = (
    "",
    "a",
    " ",
    "o1",
    "o2",
    "s1",
    "../%2F",
    "a/b",
    "ü" * 128,
    "😀" * 129,
    "\x00",
    "\x7f",
    "a\u0085",
    "\u2028",
)
ODD: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, -0.0, 1, -1, 2, 10**9, 10**9 + 1, -(10**9) - 1, 2**31, 2**63, 2**64, 10**39, 10**40),
    *(0.5, 1.0, 1e308, "1", [], {}, [[]], [None], {"": None}, [{}] * 2, "x" * 1001),
    *IDS,
    *TIMES,
)
SNIPPETS: Final = (
    *(
        b"\x00",
        b"\xff",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\\u0000",
        b"\\ud800",
        b"\\ud83d\\ude00",
        b"\\",
    ),
    *(
        b'"',
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"NaN",
        b"Infinity",
        b"-0",
        b"1e999",
        b"1" * 5000,
        b" " * 1000,
        b"null",
    ),
    *(
        b"//",
        b"\n",
        b"'",
        b'"type":"order.created",',
        b'"type":"stock.counted"',
        b'"lines":[],',
        b'"account_id":"acme",',
    ),
)


@cache
def histories() -> tuple[tuple[Shot, ...], ...]:
    """Long histories of a partition, good and bad records among them."""
    rounds = []
    for seed in range(12):
        records = long_history(seed, 40, Menu(jumps=seed % 2 == 0))[:SHOTS_MAX]
        names = [LEDGER.inputs.index(record.topic) for record in records]
        shots = [
            Shot(topic, record.timestamp, record.key, record.value, tuple(record.headers), ends=number % 7 == 6)
            for number, (topic, record) in enumerate(zip(names, records, strict=True))
        ]
        rounds.append(tuple(shots))
    return tuple(rounds)


@cache
def examples() -> tuple[Shot, ...]:
    """The examples of all inputs, valid and not, as they are and as events of an account of the partition."""
    shots = []
    for path in sorted((ROOT / "examples").glob("*/*/*.json")):
        topic = TOPIC_OF[path.parent.name]
        if topic not in LEDGER.inputs:
            continue
        value = path.read_bytes()
        shots.append(Shot(LEDGER.inputs.index(topic), START_MS, ACCOUNTS[0].encode(), value))
        body = _object(value)
        if body is not None:
            ours = json.dumps({**body, "account_id": ACCOUNTS[0], "order_id": ORDER_IDS[0]}).encode()
            shots.append(Shot(LEDGER.inputs.index(topic), START_MS, ACCOUNTS[0].encode(), ours))
    return tuple(shots)


@cache
def stock() -> tuple[Shot, ...]:
    """All values that records are drawn from."""
    return tuple(shot for rounds in histories() for shot in rounds) + examples()


def volley(random: Random) -> list[Shot]:
    """Records of a partition, somewhat spoilt."""
    shots = list(random.choice(histories()))[: random.randint(1, SHOTS_MAX)]
    return mutated(random, shots, random.choice((1, 4, 16)))


def mutated(random: Random, shots: Sequence[Shot], changes: int) -> list[Shot]:
    """The shots after some changes: at least one, and at most SHOTS_MAX."""
    changed = list(shots)
    for _ in range(changes):
        _change(random, changed)
    return changed[:SHOTS_MAX] or [random.choice(stock())]


def _change(random: Random, shots: list[Shot]) -> None:
    place = random.randrange(len(shots) + 1)
    if place == len(shots) or random.random() < 0.15:
        shots.insert(place, random.choice(stock()))
        return
    shot = shots[place]
    match random.randrange(10):
        case 0:
            shots.insert(random.randrange(len(shots)), shot)
        case 1:
            del shots[place]
        case 2:
            other = random.randrange(len(shots))
            shots[place], shots[other] = shots[other], shot
        case 3:
            shots[place] = shot._replace(topic=random.randrange(len(LEDGER.inputs)))
        case 4:
            shots[place] = shot._replace(timestamp=_timestamp(random, shot.timestamp))
        case 5:
            shots[place] = shot._replace(headers=_headers(random, shot.headers))
        case 6:
            keys = (None, b"", b"\xff", ELSEWHERE.encode(), random.randbytes(3), *(name.encode() for name in ACCOUNTS))
            shots[place] = shot._replace(key=random.choice(keys), gap=random.choice((0, 0, 1, 10**6)))
        case 7:
            shots[place] = shot._replace(ends=not shot.ends)
        case _:
            shots[place] = _keyed(random, shot._replace(value=spoilt(random, shot.value)))


def _keyed(random: Random, shot: Shot) -> Shot:
    """The key follows the account in most cases: records with a wrong one end early."""
    body = _object(shot.value)
    account_id = None if body is None else body.get("account_id")
    if isinstance(account_id, str) and random.random() < 0.9:
        return shot._replace(key=account_id.encode(errors="replace"))
    return shot


def _timestamp(random: Random, timestamp: int) -> int:
    shift = random.choice((-_DAY_MS, -_MINUTE_MS, _MINUTE_MS, 31 * _DAY_MS, 431 * _DAY_MS, None))
    moved = random.choice(TIMESTAMPS) if shift is None else timestamp + shift
    return max(-(2**63), min(2**63 - 1, moved))


def _headers(random: Random, headers: Headers) -> Headers:
    source = f"{PREFIX}{random.choice(LEDGER.inputs)}/{PARTITION}/{random.randrange(30)}".encode()
    values = (None, b"", b"\xff\x00", source, source, source + b"/", b"t/0/" + b"9" * 19, b"x" * 5000)
    names = ("replay-of", "replay-of", "error-code", "source-offset", "trace", "", "ü")
    return (*headers[-3:], (random.choice(names), random.choice(values)))


# Values.


def spoilt(random: Random, value: bytes | None) -> bytes | None:
    """A value with something wrong, or merely something else, in it."""
    choice = random.random()
    if value is None or choice < 0.1:
        return random.choice((None, b"", *(shot.value for shot in random.sample(stock(), 3))))
    body = _object(value)
    if body is None or choice < 0.3:
        return _spoilt_bytes(random, value)[:VALUE_BYTES_MAX]
    return _spoilt_fields(random, body)[:VALUE_BYTES_MAX]


def _spoilt_bytes(random: Random, value: bytes) -> bytes:
    start = random.randrange(len(value) + 1)
    end = min(len(value), start + random.choice((1, 2, 8, 64)))
    match random.randrange(6):
        case 0:
            return value[:start] + random.choice(SNIPPETS) + value[start:]
        case 1:
            return value[:start] + random.choice(SNIPPETS) + value[end:]
        case 2:
            return value[:start] + value[end:]
        case 3:
            return value[:start]
        case 4:
            depth = random.choice((10, 1000, 50_000))
            return value[:1] + b'"x":' + b"[" * depth + b"]" * depth + b"," + value[1:]
        case _:
            return value[:start] + random.randbytes(end - start) + value[end:]


def _spoilt_fields(random: Random, body: dict[str, Any]) -> bytes:
    changed = deepcopy(body)
    for _ in range(random.choice((1, 1, 2, 5))):
        _spoil_field(random, changed)
    text = json.dumps(changed, ensure_ascii=random.random() < 0.5, separators=random.choice(((",", ":"), (", ", ": "))))
    if random.random() < 0.05:  # a key that is there twice
        text = json.dumps(random.choice(_bodies()))[:-1] + "," + text[1:]
    return text.encode(errors="surrogatepass")


def _spoil_field(random: Random, body: dict[str, Any]) -> None:
    holder, name = random.choice(_places(body))
    value = holder[name]
    match random.randrange(8):
        case 0 | 1:
            holder[name] = deepcopy(random.choice(ODD))
        case 2:
            donor, donated = random.choice(_places(random.choice(_bodies())))
            holder[name] = deepcopy(donor[donated])
        case 3:
            del holder[name]
        case 4 if isinstance(value, list) and value:
            times = random.choice((2, 2, 10, 1000)) if len(str(value)) < 500 else 2
            holder[name] = [deepcopy(entry) for entry in value for _ in range(times)]
        case 5 if isinstance(value, int):
            holder[name] = value + random.choice((-1, 1, 10**9, -(10**9)))
        case 6 if isinstance(value, str):
            holder[name] = random.choice((value.upper(), value + "\u0000", value * 2, random.choice(IDS)))
        case _:
            same = [other[name] for other in random.sample(_bodies(), 8) if isinstance(name, str) and name in other]
            holder[name] = deepcopy(random.choice(same or [random.choice(TIMES)]))


@cache
def _bodies() -> tuple[dict[str, Any], ...]:
    bodies = (_object(shot.value) for shot in stock())
    return tuple(body for body in bodies if body)


def _places(value: dict[str, Any]) -> list[tuple[Any, Any]]:
    """Every place in a body, as (container, key or index)."""
    found: list[tuple[Any, Any]] = []

    def walk(inner: object) -> None:
        if isinstance(inner, dict):
            inside = list(inner.items())
        elif isinstance(inner, list):
            inside = list(enumerate(inner))
        else:
            return
        for name, deeper in inside[:50]:
            found.append((inner, name))
            walk(deeper)

    walk(value)
    return found or [({"": None}, "")]


def _object(value: bytes | None) -> dict[str, Any] | None:
    try:
        body = json.loads(value or b"")
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None
