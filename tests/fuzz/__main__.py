"""`make fuzz MINUTES=10`: attack the decoder, then whole partitions, and print what was found.

Each attack is a process of its own (`tests.fuzz.attack`), steered by what code its inputs reach. What it learnt is kept
in `.cache/fuzz` and is where the next run begins. An input that does harm is kept too, and
`python -m tests.fuzz FILE` shows it and does it again. Exit code: 0 nothing found, 1 something found.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path
from typing import Final

from schemas.topics import LEDGER
from tests.fuzz import judge, shots

FOLDER: Final = Path(__file__).parents[2] / ".cache" / "fuzz"
INPUT_SECONDS_MAX: Final = 30
MEMORY_MIB_MAX: Final = 1024
INPUT_BYTES_MAX: Final = 1_000_000


def _values() -> Iterable[bytes]:
    return (bytes([shot.topic]) + shot.value for shot in shots.stock() if shot.value is not None)


def _volleys() -> Iterable[bytes]:
    yield from map(shots.encode, shots.histories())
    yield from (shots.encode([shot]) for shot in shots.examples())


TARGETS: Final[dict[str, Callable[[], Iterable[bytes]]]] = {"decoder": _values, "partition": _volleys}
"""Where each attack begins."""


def main() -> int:
    """Attack for the time given, or repeat what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, help="an input that was found to do harm: do it again")
    parser.add_argument("--minutes", type=float, default=10, help="how long all attacks take together (default 10)")
    parser.add_argument("--only", choices=list(TARGETS), help="attack only this")
    options = parser.parse_args()
    if options.file:
        repeat(options.file.read_bytes(), options.file.parent.parent.name)
        print("It does no harm.")
        return 0
    names = [options.only] if options.only else list(TARGETS)
    found = [path for name in names for path in attack(name, options.minutes * 60 / len(names))]
    for path in found:
        print(f"FOUND: {path}\n  python -m tests.fuzz {path}")
    if not found:
        print(f"{options.minutes:g} minutes, nothing found.")
    return 1 if found else 0


def repeat(data: bytes, target: str) -> None:
    """Show an input and run it again. Raises the finding."""
    if target == "decoder":
        print(f"{LEDGER.inputs[data[0] % len(LEDGER.inputs)]} {data[1:]!r}")
        judge.judge_value(LEDGER.inputs[data[0] % len(LEDGER.inputs)], data[1:])
        return
    volley = shots.decode(data)
    print("\n".join(judge.numbered(volley)))
    judge.Partition().fire(volley)


def attack(name: str, seconds: float) -> list[Path]:
    """Attack one target. Gives the files of the inputs that did harm: none or one, as the first ends the attack."""
    corpus, findings = FOLDER / name / "corpus", FOLDER / name / "findings"
    for folder in (corpus, findings):
        folder.mkdir(parents=True, exist_ok=True)
    for seed in TARGETS[name]():
        (corpus / sha256(seed).hexdigest()).write_bytes(seed)
    before = set(findings.iterdir())
    log = FOLDER / name / "log"
    options = {
        "max_total_time": int(seconds),
        "timeout": INPUT_SECONDS_MAX,
        "rss_limit_mb": MEMORY_MIB_MAX,
        "max_len": INPUT_BYTES_MAX,
        "len_control": 0,
        "print_final_stats": 1,
        "artifact_prefix": f"{findings}/",
    }
    command = [sys.executable, "-m", "tests.fuzz.attack", name, str(corpus)]
    began = time.monotonic()
    with log.open("w") as output:
        flags = [f"-{option}={value}" for option, value in options.items()]
        code = subprocess.run([*command, *flags], check=False, stdout=output, stderr=output).returncode
    lines = log.read_text(errors="replace").splitlines()
    stats = dict(line.removeprefix("stat::").split(":", 1) for line in lines if line.startswith("stat::"))
    tried, memory = (stats.get(stat, "?").strip() for stat in ("number_of_executed_units", "peak_rss_mb"))
    kept = len(list(corpus.iterdir()))
    print(f"{name}: {tried} inputs in {time.monotonic() - began:.0f} s, {kept} kept for what they reach, {memory} MiB")
    found = sorted(set(findings.iterdir()) - before)
    if code != 0 and not found:
        raise SystemExit(f"the attack on the {name} broke off:\n" + "\n".join(lines[-30:]))
    return found


if __name__ == "__main__":
    sys.exit(main())
