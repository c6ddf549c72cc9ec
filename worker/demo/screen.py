"""What the demo looks like: a live screen on a terminal, a line every two seconds elsewhere, and the table at the end.

Nothing is decided here; everything is drawn from a tally and a few numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from worker.demo.books import StockKey
from worker.demo.judgement import Row
from worker.demo.tally import LATEST, SeenLevel, Tally

STATUS_COLOURS = {
    "processing": "yellow",
    "on_hold": "magenta",
    "partially_shipped": "cyan",
    "picked_up": "cyan",
    "in_transit": "blue",
    "delivered": "green",
    "completed": "green",
    "returned": "bright_black",
    "failed_to_deliver": "red",
    "cancelled": "bright_black",
}
MOVEMENT_COLOURS = {
    "count": "white",
    "adjust": "magenta",
    "freeze": "cyan",
    "release": "green",
    "unfreeze": "yellow",
    "restock": "blue",
}
WIDE_COLUMNS = 120


@dataclass
class View:
    """All that a screen shows at one moment."""

    title: str
    tally: Tally
    total: int
    sent: int = 0
    processed: int = 0
    lag: int = 0
    per_second: float = 0.0
    elapsed_seconds: float = 0.0
    stage: str = "the demo begins"
    outcomes: Counter[str] = field(default_factory=Counter)


def screen(view: View, columns: int, lines: int) -> RenderableType:
    """The live screen, of as many parts as the terminal has lines."""
    tally = view.tally
    wide = columns >= WIDE_COLUMNS
    statuses = _panel(
        "orders by status", _bars(Counter(tally.statuses.values()), STATUS_COLOURS, bar_columns=4 if wide else 0)
    )
    movements = _panel("movements", _bars(tally.movements, MOVEMENT_COLOURS, bar_columns=10 if wide else 5))
    findings = _panel("archive, drift, alerts", _findings(tally))
    events = _panel("events", _outcomes(view))
    upper: list[RenderableType] = [statuses, movements, events, findings]
    if not wide:
        upper = [statuses, Group(movements, findings), events]
    parts: list[RenderableType] = [_head(view), _beside(upper)]
    lower = Table.grid(expand=True)
    lower.add_column(ratio=3)
    lower.add_column(ratio=2)
    lower.add_row(
        _panel("latest movements", _movements(tally.latest_movements)),
        _panel("lowest available stock", _levels(tally.lowest(LATEST))),
    )
    if lines >= 32:
        parts.append(lower)
    if lines >= 38:
        parts.append(_panel("latest alerts and drift", _latest_findings(tally)))
    return Group(*parts)


def _beside(panels: Sequence[RenderableType]) -> Table:
    """Panels of equal width beside each other."""
    grid = Table.grid(expand=True)
    for _ in panels:
        grid.add_column(ratio=1)
    grid.add_row(*panels)
    return grid


def line(view: View) -> str:
    """The same as one line, for a log."""
    tally = view.tally
    bad, moved = sum(tally.dead_letters.values()), sum(tally.movements.values())
    return (
        f"{view.elapsed_seconds:5.1f} s  {view.stage}: {view.processed} of {view.total} events,"
        f" {view.per_second:.0f}/s, lag {view.lag} | {len(tally.statuses)} orders, {len(tally.eligible)} to be archived"
        f" | {moved} movements | {bad} dead letters | {len(tally.drift)} drift | {sum(tally.alerts.values())} alerts"
    )


def judgement_table(rows: Iterable[Row]) -> Table:
    """What was injected against what was found."""
    table = Table(title="What was put in, and what was found", title_justify="left", title_style="bold")
    table.add_column("what")
    table.add_column("put in", justify="right")
    table.add_column("found", justify="right")
    table.add_column("")
    for row in rows:
        mark = Text("✓", "green") if row.agrees else Text(f"✗ {row.where}", "bold red")
        table.add_row(row.what, str(row.injected), str(row.found), mark)
    return table


def _head(view: View) -> Panel:
    bar = Table.grid(expand=True, padding=(0, 1))
    bar.add_column(ratio=1)
    bar.add_column(justify="right", no_wrap=True)
    numbers = Text.assemble(
        (f"{view.processed}", "bold"), f" of {view.total} events  ", (f"{view.per_second:.0f}", "bold"), "/s  lag ",
        (f"{view.lag}", "bold" if view.lag < 1000 else "bold red"), f"  {view.elapsed_seconds:.0f} s",
    )  # fmt: skip
    bar.add_row(ProgressBar(total=max(1, view.total), completed=view.processed), numbers)
    return Panel(Group(bar, Text(view.stage, "dim")), title=f"[bold]{view.title}", title_align="left")


def _panel(title: str, content: RenderableType) -> Panel:
    return Panel(content, title=title, title_align="left", border_style="bright_black")


def _bars(counts: Mapping[str, int], colours: Mapping[str, str], *, bar_columns: int) -> Table:
    """Counts with bars, in the order of the colours, so that rows do not jump about."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, justify="right", min_width=4)
    grid.add_column(no_wrap=True)
    most = max(counts.values(), default=0) or 1
    for name, colour in colours.items():
        count = counts.get(name, 0)
        bar = "█" * -(-count * bar_columns // most)
        grid.add_row(Text(name.replace("_", " "), colour if count else "bright_black"), f"{count}", Text(bar, colour))
    return grid


def _outcomes(view: View) -> Table:
    names = ("applied", "duplicate", "stale", "dead_lettered")
    grid = _pairs(
        [(name.replace("_", "-"), view.outcomes[name], "red" if name == "dead_lettered" else "") for name in names]
    )
    for code, count in sorted(view.tally.dead_letters.items()):
        grid.add_row(Text(f"  {code}", "red"), f"{count}")
    return grid


def _findings(tally: Tally) -> Table:
    rows = [
        ("may be archived", len(tally.eligible), "green"),
        ("refused, revoked", tally.eligibility["rejected"] + tally.eligibility["revoked"], "yellow"),
        ("drift on hand", sum(drift.measure == "on_hand" for drift in tally.drift), "magenta"),
        ("drift reserved", sum(drift.measure == "reserved" for drift in tally.drift), "magenta"),
    ]
    return _pairs(rows + [(name.replace("_", " "), count, "red") for name, count in sorted(tally.alerts.items())])


def _pairs(rows: Sequence[tuple[str, int, str]]) -> Table:
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(no_wrap=True)
    grid.add_column(justify="right")
    for name, count, colour in rows:
        grid.add_row(Text(name, colour if count else "bright_black"), f"{count}")
    return grid


def _movements(movements: Iterable[Mapping[str, object]]) -> Table:
    grid = Table.grid(padding=(0, 1), expand=True)
    for _ in range(6):
        grid.add_column(no_wrap=True)
    for event in reversed(list(movements)):
        kind = str(event["movement"])
        grid.add_row(
            Text(kind, MOVEMENT_COLOURS[kind]),
            Text(f"{event['quantity']:>6}", justify="right"),
            f"{event['account_id']}/{event['warehouse_id']}/{event['sku']}",
            Text(str(event.get("sub_order_id") or event.get("order_id") or ""), "dim"),
            Text(f"frozen {event['frozen']}", "cyan"),
            Text(f"on hand {'?' if event['on_hand'] is None else event['on_hand']}", "dim"),
        )
    return _filled(grid, 6)


def _levels(levels: Sequence[tuple[StockKey, SeenLevel]]) -> Table:
    grid = Table.grid(padding=(0, 1), expand=True)
    for _ in range(3):
        grid.add_column(no_wrap=True)
    for key, level in levels:
        colour = "bold red" if (level.available or 0) < 0 else "green"
        grid.add_row(
            "/".join(key),
            Text(f"{level.available} available", colour),
            Text(f"of {level.on_hand}, {level.frozen} frozen", "dim"),
        )
    return _filled(grid, 3)


def _filled(grid: Table, columns: int) -> Table:
    """Pad to the full height: a screen that keeps its shape is easier to watch."""
    for _ in range(LATEST - grid.row_count):
        grid.add_row(*[""] * columns)
    return grid


def _latest_findings(tally: Tally) -> Table:
    grid = Table.grid(padding=(0, 1))
    lines = [
        Text.assemble(
            ("drift ", "magenta"), f"{'/'.join(drift.key)}: {drift.measure} {drift.drift:+d} by {drift.snapshot_id}"
        )
        for drift in tally.drift[-3:]
    ]
    lines += [
        Text.assemble((f"{alert['alert']} ", "red"), str(alert["detail"])) for alert in list(tally.latest_alerts)[-3:]
    ]
    for text in [*lines, *[Text("")] * (6 - len(lines))]:
        grid.add_row(text)
    return grid
