"""`python -m tests.bench.bytecodes`: whether an event costs more bytecodes than what is committed (`bytecodes.json`).

A guard against slow decay that no busy machine can trip: the same code gives the same number everywhere, for one minor
version of Python. It sees what Python executes on the way of an event, the client's batches included; not what C does,
nor the network. It only fails upward. `--renew` writes the number of today.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.bench.profile import bytecodes_per_event

EVENTS: Final = 1500
MARGIN: Final = 0.05
COMMITTED: Final = Path(__file__).with_suffix(".json")
PYTHON: Final = f"{sys.version_info.major}.{sys.version_info.minor}"
RENEW: Final = ".venv/bin/python -m tests.bench.bytecodes --renew"


def committed() -> dict[str, float]:
    """Bytecodes per event by the version of Python they were counted with."""
    figures: dict[str, float] = json.loads(COMMITTED.read_text())
    return figures


def complaint(measured: float, figures: Mapping[str, float], python: str = PYTHON) -> str | None:
    """What is wrong with a measured number, in words; None: nothing. Raises KeyError for an unknown version."""
    figure = figures[python]
    if measured <= figure * (1 + MARGIN):
        return None
    return (
        f"An event of the standard mix takes {measured:,.0f} bytecodes, {measured / figure - 1:.1%} more than the "
        f"committed {figure:,.0f} (Python {python}; {MARGIN:.0%} are allowed). `python -m tests.bench.profile` shows "
        f"where they are spent. If the change is worth it, renew the figure: {RENEW}"
    )


def main() -> int:
    """Count the instructions, and compare them with the committed figure. Exit code 1 when they are too many."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bytecodes", description=__doc__.partition("\n")[0])
    parser.add_argument("--renew", action="store_true", help=f"write the number of today to {COMMITTED.name}")
    options = parser.parse_args()
    measured = asyncio.run(bytecodes_per_event(EVENTS))
    figures = committed()
    if options.renew:
        figures[PYTHON] = round(measured, 1)
        COMMITTED.write_text(json.dumps(figures, indent=2) + "\n")
    elif PYTHON not in figures:
        print(f"There is no figure for Python {PYTHON} to compare {measured:,.0f} with. Write it: {RENEW}")
        return 0
    if (problem := complaint(measured, figures)) is not None:
        print(problem)
        return 1
    print(f"{measured:,.1f} bytecodes per event; committed {figures[PYTHON]:,.1f} for Python {PYTHON}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
