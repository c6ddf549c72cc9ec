"""All samples as one table: medians, their spread, and how each system compares with Stockfreeze."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Final, NamedTuple

from rich.table import Table

from tests.bench.peers.roster import CONTENDERS, STOCKFREEZE
from tests.bench.peers.runs import PER_SECOND, Sample


class Measure(NamedTuple):
    """A column."""

    field: str
    title: str


MEASURES: Final = (
    Measure("events_per_s", "events/s"),
    Measure("cpu_us_per_event", "CPU µs/event"),
    Measure("p50_ms", f"p50 ms at {PER_SECOND:,}/s"),
    Measure("p99_ms", f"p99 ms at {PER_SECOND:,}/s"),
    Measure("memory_mib", "memory MiB"),
)


def _by_contender(samples: Sequence[Sample]) -> Mapping[str, list[Sample]]:
    order = [contender.name for contender in CONTENDERS]
    return {name: found for name in order if (found := [each for each in samples if each.contender == name])}


def as_data(samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """Per system the median, the least and the greatest of each measure, and its ratio to Stockfreeze's median."""
    by_contender = _by_contender(samples)
    ours = by_contender.get(STOCKFREEZE)
    promises = {contender.name: contender for contender in CONTENDERS}
    rows = []
    for name, found in by_contender.items():
        row: dict[str, Any] = {
            "system": name,
            "rounds": len(found),
            "guarantee": promises[name].guarantee,
            "lacks": promises[name].lacks,
            "wrong": next((each.wrong for each in found if each.wrong is not None), None),
        }
        for measure in MEASURES:
            values = [getattr(each, measure.field) for each in found]
            middle = median(values)
            of_ours = median(getattr(each, measure.field) for each in ours) if ours else None
            row[measure.field] = {
                "median": middle,
                "min": min(values),
                "max": max(values),
                "ratio_to_stockfreeze": middle / of_ours if of_ours else None,
            }
        rows.append(row)
    return rows


def as_tables(samples: Sequence[Sample], title: str) -> list[Table]:
    """The figures, and what they are figures of."""
    rows = as_data(samples)
    figures = Table(title=title, title_justify="left", show_lines=True)
    figures.add_column("system", overflow="fold")
    for measure in MEASURES:
        figures.add_column(measure.title, justify="right", no_wrap=True)
    figures.add_column("levels")
    promises = Table(title="What each promises", title_justify="left", show_lines=True)
    for column in ("system", "guarantee", "does not do"):
        promises.add_column(column, overflow="fold")
    for row in rows:
        cells = [_cell(row[measure.field]) for measure in MEASURES]
        figures.add_row(row["system"], *cells, "as expected" if row["wrong"] is None else f"FAILED: {row['wrong']}")
        promises.add_row(row["system"], row["guarantee"], row["lacks"])
    return [figures, promises]


def as_markdown(samples: Sequence[Sample]) -> str:
    """The figures for a page."""
    head = ["system", *(measure.title for measure in MEASURES)]
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * len(MEASURES)}"]
    for row in as_data(samples):
        cells = [_cell(row[measure.field]).replace("\n", " ") for measure in MEASURES]
        failed = "" if row["wrong"] is None else f" (failed: {row['wrong']})"
        lines.append(f"| {row['system']}{failed} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(measured: Mapping[str, float | None]) -> str:
    ratio = measured["ratio_to_stockfreeze"]
    compared = "" if ratio is None else f" ({ratio:.2g} x)"
    return f"{_number(measured['median'])}{compared}\n{_number(measured['min'])} to {_number(measured['max'])}"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
