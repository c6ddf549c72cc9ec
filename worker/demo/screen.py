"""What the demo looks like: a live screen on a terminal, a line every two seconds elsewhere, and the table at the end.

Nothing is decided here; everything is drawn from a tally and a few numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from typing import Literal

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from worker.demo.judgement import Row
from worker.demo.shelves import StockKey
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
    "transfer": "bright_magenta",
    "freeze": "cyan",
    "release": "green",
    "unfreeze": "yellow",
    "restock": "blue",
}
PanelKind = Literal["name", "number"]
WIDE_COLUMNS = 120
"""From here on the latest movements and the lowest stock stand beside each other, and the counts in four panels."""
WIDEST_COLUMNS = 150
BAR_COLUMNS_MAX = 20
NUMBER_COLUMNS = 5


@dataclass
class View:
    """The numbers that a screen shows at one moment."""

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
    """The live screen, of as many parts as the terminal has room for. A number is never cut; a name may be."""
    tally = view.tally
    wide = columns >= WIDE_COLUMNS
    panel_columns = columns // (4 if wide else 3)
    statuses = _panel("orders by status", _bars(Counter(tally.statuses.values()), STATUS_COLOURS, panel_columns))
    movements = _panel("movements", _bars(tally.movements, MOVEMENT_COLOURS, panel_columns))
    findings = _panel("archive, drift, alerts", _findings(tally))
    events = _panel("events", _outcomes(view))
    upper: list[RenderableType] = [statuses, movements, events, findings]
    if not wide:
        upper = [statuses, Group(movements, findings), events]
    latest = _panel("latest movements", _movements(tally.latest_movements))
    lowest = _panel("lowest available stock", _levels(tally.lowest(LATEST), with_frozen=columns >= WIDEST_COLUMNS))
    parts: list[RenderableType] = [_beside([latest, lowest], ratios=(8, 5))] if wide else [latest, lowest]
    parts.append(_panel("latest alerts and drift", _latest_findings(tally)))
    return Group(*_with_room([_head(view), _beside(upper)], parts, columns, lines))


def _with_room(
    always: Sequence[RenderableType], more: Sequence[RenderableType], columns: int, lines: int
) -> list[RenderableType]:
    """Lay out the parts that are always shown, then as many others as have room, in their order."""
    ruler = Console(width=columns, file=StringIO())
    shown = list(always)
    left = lines - sum(len(ruler.render_lines(part)) for part in always)
    for part in more:
        left -= len(ruler.render_lines(part))
        if left < 0:
            break
        shown.append(part)
    return shown


def _beside(panels: Sequence[RenderableType], ratios: Sequence[int] = ()) -> Table:
    """Panels beside each other, of equal width where no ratios are given."""
    grid = Table.grid(expand=True)
    for ratio in ratios or [1] * len(panels):
        grid.add_column(ratio=ratio)
    grid.add_row(*panels)
    return grid


def line(view: View) -> str:
    """Format a view as one line, for a log."""
    tally = view.tally
    bad, moved = sum(tally.dead_letters.values()), sum(tally.movements.values())
    return (
        f"{view.elapsed_seconds:5.1f} s  {view.stage}: {view.processed} of {view.total} events,"
        f" {view.per_second:.0f}/s, lag {view.lag} | {len(tally.statuses)} orders, {len(tally.eligible)} to be archived"
        f" | {moved} movements | {bad} dead letters | {len(tally.drift)} drift | {sum(tally.alerts.values())} alerts"
    )


def judgement(rows: Sequence[Row]) -> RenderableType:
    """Format what was injected beside what was found, with an example of each difference below."""
    table = Table(title="What was put in, and what was found", title_justify="left", title_style="bold")
    table.add_column("what")
    table.add_column("put in", justify="right")
    table.add_column("found", justify="right")
    table.add_column("")
    for row in rows:
        mark = Text("✓", "green") if row.agrees else Text("✗", "bold red")
        table.add_row(row.what, str(row.injected), str(row.found), mark)
    examples = [Text(f"✗ {row.what}: {row.where}", "bold red") for row in rows if row.where]
    return Group(table, *examples)


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


def _bars(counts: Mapping[str, int], colours: Mapping[str, str], panel_columns: int) -> Table:
    """Counts with bars, in the order of the colours, so that rows do not jump about. The bars take what is left."""
    names = {name: name.replace("_", " ") for name in colours}
    taken = max(map(len, names.values())) + NUMBER_COLUMNS + len("│  │  ")
    bar_columns = max(0, min(BAR_COLUMNS_MAX, panel_columns - taken))
    grid = _grid("name", "number", "name")
    most = max(counts.values(), default=0) or 1
    for name, colour in colours.items():
        count = counts.get(name, 0)
        bar = "█" * -(-count * bar_columns // most)
        grid.add_row(_name(names[name], colour if count else "bright_black"), f"{count}", _name(bar, colour))
    return grid


def _outcomes(view: View) -> Table:
    names = ("applied", "duplicate", "stale", "dead_lettered")
    grid = _pairs(
        [(name.replace("_", "-"), view.outcomes[name], "red" if name == "dead_lettered" else "") for name in names]
    )
    for code, count in sorted(view.tally.dead_letters.items()):
        grid.add_row(_name(f"  {code}", "red"), f"{count}")
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
    grid = _grid("name", "number", expand=True)
    for name, count, colour in rows:
        grid.add_row(_name(name, colour if count else "bright_black"), f"{count}")
    return grid


def _movements(movements: Iterable[Mapping[str, object]]) -> Table:
    grid = _grid("name", "number", "name", "name", "number", "number", expand=True)
    grid.add_row("", "units", "", "", "frozen", "on hand", style="dim")
    for event in reversed(list(movements)):
        kind = str(event["movement"])
        grid.add_row(
            _name(kind, MOVEMENT_COLOURS[kind]),
            f"{event['quantity']}",
            _name(f"{event['account_id']}/{event['warehouse_id']}/{event['sku']}"),
            _name(str(event.get("sub_order_id") or event.get("order_id") or ""), "dim"),
            Text(f"{event['frozen']}", "cyan"),
            Text("?" if event["on_hand"] is None else f"{event['on_hand']}", "dim"),
        )
    return _filled(grid)


def _levels(levels: Sequence[tuple[StockKey, SeenLevel]], *, with_frozen: bool) -> Table:
    numbers = ["available", "on hand", *(["frozen"] if with_frozen else [])]
    kinds: list[PanelKind] = ["number" for _ in numbers]
    grid = _grid("name", *kinds, expand=True)
    grid.add_row("", *numbers, style="dim")
    for key, level in levels:
        shown = {"available": level.available, "on hand": level.on_hand, "frozen": level.frozen}
        colour = "bold red" if (level.available or 0) < 0 else "green"
        available, *others = (f"{shown[name]}" for name in numbers)
        grid.add_row(_name("/".join(key)), Text(available, colour), *(Text(number, "dim") for number in others))
    return _filled(grid)


def _filled(grid: Table) -> Table:
    """Pad to the full height: a screen that keeps its shape is easier to watch."""
    for _ in range(1 + LATEST - grid.row_count):
        grid.add_row("")
    return grid


def _grid(*kinds: PanelKind, expand: bool = False) -> Table:
    """Columns without lines. Where there is too little room, names are cut and numbers stay whole."""
    grid = Table.grid(padding=(0, 1), expand=expand)
    for kind in kinds:
        if kind == "number":
            grid.add_column(no_wrap=True, justify="right")
        else:
            grid.add_column()
    return grid


def _name(text: str, style: str = "") -> Text:
    return Text(text, style, no_wrap=True, overflow="ellipsis")


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
