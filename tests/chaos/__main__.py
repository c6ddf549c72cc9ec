"""`python -m tests.chaos`: real faults on a real cluster under load, and whether anything was lost or doubled
(`make chaos`).

Three Apache Kafka brokers, three workers behind TCP proxies, and a plan of faults from a seed. The report goes to
stdout, what is going on to stderr. Exit code 0: nothing lost, doubled or different from a calm run, and every worker
behaved. 1: something is wrong, and the workers' logs are kept. 2: bad usage.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import shutil
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from deploy.kafka.jars import KafkaUnavailable
from deploy.kafka.local import KafkaStartError
from tests.chaos import run
from tests.chaos.report import WIDTH, as_data, show
from tests.chaos.run import Options, Result, run_chaos
from tests.chaos.storm import NotRecoveredError

MINUTES: Final = 10.0
FAULTS_PER_MINUTE: Final = 10
FAULTS_MIN: Final = 100
_REFRESH_SECONDS: Final = 0.5


def main() -> int:
    """Run, and report."""
    given = _arguments()
    faults = given.faults or max(FAULTS_MIN, int(given.minutes * FAULTS_PER_MINUTE))
    options = Options(
        seed=given.seed,
        seconds=given.minutes * 60,
        faults=faults,
        brokers=given.brokers,
        take_overs=given.take_overs,
    )
    # The clients of the harness meet the same faults and go on; what fails raises.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    logging.getLogger("aiokafka").propagate = False
    # Both ways of stopping it leave nothing behind.
    signal.signal(signal.SIGTERM, lambda _number, _frame: signal.raise_signal(signal.SIGINT))
    folder = Path(tempfile.mkdtemp(prefix="stockfreeze-chaos-"))
    keep = False
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            result = runner.run(_shown(options, folder))
        keep = not result.right
    except (KafkaUnavailable, KafkaStartError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BaseException as error:
        keep = True
        failure = _first_of(error)
        if not isinstance(failure, NotRecoveredError | TimeoutError | AssertionError):
            raise
        print(f"error: {type(failure).__name__}: {failure}", file=sys.stderr)
        return 1
    finally:
        if keep:
            print(f"The workers' logs are in {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    _report(result, as_json=given.json)
    return 0 if result.right else 1


async def _shown(options: Options, folder: Path) -> Result:
    console = Console(stderr=True, highlight=False)
    columns = (
        TextColumn("faults"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[state]}"),
    )
    with Progress(*columns, console=console, redirect_stdout=False, redirect_stderr=False) as bar:
        task = bar.add_task("faults", total=options.faults, state="")

        def note(text: str) -> None:
            bar.console.print(
                f"{bar.tasks[0].elapsed or 0.0:6.1f} s  {text}", style="dim", soft_wrap=True, markup=False
            )

        progress = run.Progress(note)
        refreshing = asyncio.ensure_future(_refresh(bar, task, progress))
        try:
            return await run_chaos(options, folder, progress)
        finally:
            refreshing.cancel()
            with suppress(asyncio.CancelledError):
                await refreshing


async def _refresh(bar: Progress, task: TaskID, progress: run.Progress) -> None:
    while True:
        await asyncio.sleep(_REFRESH_SECONDS)
        if progress.load is not None and progress.watch is not None and progress.storm is not None:
            behind = max(progress.watch.delays())
            state = f"{progress.load.sent} records sent, the oldest waits {behind:.1f} s"
            bar.update(task, completed=len(progress.storm.outcomes), state=state)


def _report(result: Result, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(as_data(result), indent=2))
    else:
        show(result, Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False))


def _first_of(error: BaseException) -> BaseException:
    """The first error of a group of tasks: it is why the others were cancelled."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="decides on faults and load (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="how long faults come (default: %(default)s)")
    parser.add_argument("--faults", type=int, help="how many (default: 10 a minute, at least 100)")
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=3, help="default: %(default)s")
    parser.add_argument(
        "--take-overs", type=int, default=3, help="of each kind, before the faults (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
