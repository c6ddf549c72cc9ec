"""One attack, as a process: atheris (libFuzzer) makes inputs from those that reached new code, and the judge checks
what each brings about. Started by `python -m tests.fuzz`; arguments: the target, then libFuzzer's own.
"""

from __future__ import annotations

import sys
from random import Random
from typing import Protocol

import atheris

with atheris.instrument_imports(include=["schemas", "worker"]):  # before anything imports them
    from schemas.topics import LEDGER
    from tests.fuzz import shots
    from tests.fuzz.judge import Partition, judge_value

import msgspec


class Target(Protocol):
    """What is attacked."""

    def run(self, data: bytes) -> int:
        """Judge an input; -1: it is none, and not worth keeping."""

    def mutate(self, data: bytes, size_max: int, seed: int) -> bytes:
        """An input made of another."""
        ...


class Decoder:
    """Inputs: a byte that names the topic, and a record's value."""

    def run(self, data: bytes) -> int:
        if not data:
            return -1
        judge_value(LEDGER.inputs[data[0] % len(LEDGER.inputs)], data[1:])
        return 0

    def mutate(self, data: bytes, size_max: int, seed: int) -> bytes:
        random = Random(seed)
        if not data or random.random() < 0.5:
            mutated: bytes = atheris.Mutate(data, size_max)
            return mutated
        return (data[:1] + (shots.spoilt(random, data[1:]) or b""))[:size_max]


class Shooting:
    """Inputs: the records of a partition."""

    def run(self, data: bytes) -> int:
        try:
            volley = shots.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return -1
        Partition().fire(volley)
        return 0

    def mutate(self, data: bytes, size_max: int, seed: int) -> bytes:
        random = Random(seed)
        try:
            volley = shots.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            volley = shots.volley(random)
        mutated = shots.encode(shots.mutated(random, volley, random.choice((1, 1, 2, 8))))
        return mutated if len(mutated) <= size_max else data


TARGETS: dict[str, type[Target]] = {"decoder": Decoder, "partition": Shooting}

if __name__ == "__main__":
    target = TARGETS[sys.argv[1]]()
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target.run, custom_mutator=target.mutate)
    atheris.Fuzz()
