"""`python -m tests.bench.growth.plot FIGURES.json... PICTURE.png`: the curves of all files in one picture.

Runs in the environment of the peers.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

COLUMNS = 3
INK = "#1f4e79"
OTHER = "#c55a11"


def draw(found: dict[str, Any], picture: Path) -> None:
    """One panel a series; CPU per event on both axes logarithmic, so that a power is a straight line."""
    series = found["series"]
    rows = -(-len(series) // COLUMNS)
    figure, panels = plt.subplots(rows, COLUMNS, figsize=(5 * COLUMNS, 3.6 * rows), squeeze=False)
    for panel in panels.flat[len(series) :]:
        panel.set_visible(False)
    for panel, each in zip(panels.flat, series, strict=False):
        sizes = [point["size"] for point in each["points"]]
        panel.loglog(sizes, [point["us_per_event"] for point in each["points"]], "o-", color=INK)
        panel.set_title(f"{each['name']}\n{each['verdict']}", fontsize=10)
        panel.set_xlabel(each["size"])
        panel.set_ylabel("CPU µs per event", color=INK)
        panel.set_ylim(min(1.0, panel.get_ylim()[0]), 2 * panel.get_ylim()[1])
        panel.grid(visible=True, which="major", alpha=0.3)
        rates = [point["events_per_s"] for point in each["points"]]
        if None not in rates:
            right = panel.twinx()
            right.plot(sizes, rates, "s--", color=OTHER)
            right.set_ylabel("events/s", color=OTHER)
            right.set_ylim(bottom=0)
    figure.suptitle(found["machine"], fontsize=9)
    figure.tight_layout()
    figure.savefig(picture, dpi=90, metadata={"Software": None})


if __name__ == "__main__":
    *files, target = map(Path, sys.argv[1:])
    all_found = [json.loads(file.read_text()) for file in files]
    if series := [each for found in all_found for each in found["series"]]:  # not where only stretches were measured
        draw({**all_found[0], "series": series}, target)
