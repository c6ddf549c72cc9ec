"""The demo from its first process to its last: a broker, a worker, real orders, a screen and a judgement.

Whatever ends it (its end, an error, Ctrl-C, SIGTERM), it leaves no process, no directory and no topic behind.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from io import StringIO
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.live import Live

from schemas.topics import Topic
from worker.configuration import load_settings
from worker.demo.broker import embedded_broker
from worker.demo.delivering import feed
from worker.demo.disturbance import Delivery, Injected, calm, disturb, injected
from worker.demo.judgement import Row, judge
from worker.demo.retail import Invoice, read_invoices
from worker.demo.scenario import Scenario, scenario_of
from worker.demo.screen import View, judgement, line, screen
from worker.demo.system import PARTITIONS, DemoFailed, DemoSystem, DemoWorker
from worker.demo.tally import Tally
from worker.demo.watching import Watch, watching
from worker.inspection import connecting

PACE_SECONDS_MAX = 24.0
PACE_PER_SECOND = 210.0
"""How fast events are fed: slow enough to watch, but not for longer than PACE_SECONDS_MAX."""
STANDSTILL_SECONDS_MAX = 30.0
REFRESH_SECONDS = 0.2
LINE_SECONDS = 2.0
FORGET_SECONDS_MAX = 10.0
PICTURE_COLUMNS, PICTURE_LINES = 128, 40


@dataclass(frozen=True)
class Options:
    """The options that the user gave.

    `bootstrap_servers` None: the embedded broker; `events` None: all of the shipped slice.
    """

    bootstrap_servers: str | None = None
    events: int | None = None
    seed: int = 1
    stay: bool = False
    picture: Path | None = None


async def play(options: Options, console: Console) -> bool:
    """Play the demo on `console`, and return whether everything was as expected.

    Raises DemoFailed, BrokerUnavailable.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    if task is not None:
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="stockfreeze-demo-")))
        servers = options.bootstrap_servers or stack.enter_context(embedded_broker())
        system = DemoSystem(servers, f"stockfreeze-demo-{secrets.token_hex(3)}", directory)
        client_options = load_settings(None, system.environ).client_options()
        console.print(f"Kafka: {servers}{'' if options.bootstrap_servers else ', embedded'}. Starting the worker …")
        if options.bootstrap_servers is not None:
            stack.push_async_callback(_forget, system, client_options)
        await system.create_topics()
        worker = stack.enter_context(system.worker())
        show = _Show(options, console, system, worker, client_options)
        await worker.become_ready()
        return await show.run()


class _Show:
    """A run of the demo on a running system."""

    def __init__(
        self, options: Options, console: Console, system: DemoSystem, worker: DemoWorker, client_options: dict[str, Any]
    ) -> None:
        self._options = options
        self._console = console
        self._system = system
        self._worker = worker
        self._client_options = client_options
        now_ms = time.time_ns() // 1_000_000
        self._scenario = _scenario(options, now_ms)
        self._deliveries = disturb(self._scenario.events, now_ms=now_ms, seed=options.seed)
        self._injected = injected(self._deliveries)
        self._tally = Tally()
        total = len(self._deliveries) + len(self._scenario.requests)
        self._view = View(f"Stockfreeze · {system.bootstrap_servers} · worker {worker.pid}", self._tally, total)

    async def run(self) -> bool:
        start = time.monotonic()
        async with watching(self._client_options, self._system.topic, PARTITIONS, self._tally) as watch:
            with _presenting(self._console) as show:
                try:
                    async with asyncio.TaskGroup() as tasks:
                        background = [tasks.create_task(watch.run()), tasks.create_task(self._refresh(start, show))]
                        await self._feed_all(watch)
                        for task in background:
                            task.cancel()
                except ExceptionGroup as group:
                    raise group.exceptions[0] from None
                show(self._view)
        rows = judge(self._scenario, self._injected, self._view.outcomes, self._tally)
        self._console.print(judgement(rows))
        self._console.print(_stock_error(self._scenario, self._tally))
        verdict = await self._system.verify()
        # The tables matter only where something is wrong.
        text = verdict.text.splitlines()[-1] if verdict.ok else verdict.text
        self._console.print(f"\nstockfreeze {text}", markup=False)
        ok = verdict.ok and all(row.agrees for row in rows)
        self._console.print(
            "\n" + (_proof(self._injected, self._scenario) if ok else _doubt(rows, verified=verdict.ok))
        )
        if self._options.picture is not None:
            _draw(self._view, rows, self._options.picture)
        if self._options.stay:
            await self._stay()
        return ok

    async def _feed_all(self, watch: Watch) -> None:
        """Send the events, then the archive requests, each when what was before has been processed."""
        view = self._view
        async with _producer(self._client_options) as producer:
            view.stage = "orders, parcels and counts of three days arrive"
            per_second = max(PACE_PER_SECOND, len(self._deliveries) / PACE_SECONDS_MAX)
            await self._send(producer, self._deliveries, per_second)
            await self._settle()
            view.stage = "the archive asks which orders may go"
            requests = calm(self._scenario.requests)
            await self._send(producer, requests, None)
            await self._settle()
        view.stage = "all processed"
        await watch.catch_up()

    async def _send(self, producer: AIOKafkaProducer, deliveries: Sequence[Delivery], per_second: float | None) -> None:
        def sent(_delivery: Delivery) -> None:
            self._view.sent += 1

        await feed(
            producer,
            deliveries,
            topic_name=self._system.topic,
            partition_count=PARTITIONS,
            per_second=per_second,
            sent=sent,
        )

    async def _settle(self) -> None:
        """Wait until the worker has processed all that was sent. Raises DemoFailed when it makes no progress."""
        view = self._view
        processed, since = view.processed, time.monotonic()
        while view.processed < view.sent or view.lag:
            await asyncio.sleep(REFRESH_SECONDS)
            if view.processed != processed:
                processed, since = view.processed, time.monotonic()
            elif time.monotonic() - since > STANDSTILL_SECONDS_MAX:
                raise DemoFailed(self._worker.with_log(f"the worker stands still at {processed} of {view.sent} events"))

    async def _refresh(self, start: float, show: Callable[[View], None]) -> None:
        """Keep the numbers of the view, and what is shown, up to date."""
        view = self._view
        past = [(start, 0)]
        while True:
            progress = await self._worker.progress()
            now = time.monotonic()
            past = [(at, processed) for at, processed in past if now - at < 3.0] or past[-1:]
            view.per_second = (progress.processed - past[0][1]) / max(0.1, now - past[0][0])
            past.append((now, progress.processed))
            view.outcomes, view.processed, view.lag = progress.outcomes, progress.processed, progress.lag
            view.elapsed_seconds = now - start
            show(view)
            await asyncio.sleep(REFRESH_SECONDS)

    async def _stay(self) -> None:
        """Print where everything is, and wait for Ctrl-C."""
        account_id, order_id = min(self._scenario.orders)
        url = self._system.url
        names = ("BOOTSTRAP_SERVERS", "APP_ID", "TOPIC_PREFIX")
        settings = [f"STOCKFREEZE_{name}={self._system.environ[f'STOCKFREEZE_{name}']}" for name in names]
        key = max(self._scenario.levels, key=lambda key: self._scenario.levels[key].frozen)
        self._console.print(
            "\n".join(
                [
                    "\nIt all stays up until Ctrl-C:",
                    f"  {url}/  {url}/health/ready  {url}/metrics",
                    f"  {url}/accounts/{account_id}/stock  {url}/accounts/{account_id}/orders/{order_id}",
                    "and for the commands, in another terminal:",
                    f"  export {' '.join(settings)}",
                    f"  stockfreeze why {' '.join(key)}",
                    f"  stockfreeze order {account_id} {order_id}",
                    "  stockfreeze dead-letters list",
                ]
            ),
            soft_wrap=True,
            highlight=False,
        )
        await asyncio.Event().wait()


def _scenario(options: Options, now_ms: int) -> Scenario:
    """The shipped invoices as a scenario of about as many events as asked for."""
    invoices = read_invoices()
    whole = scenario_of(invoices, now_ms=now_ms, seed=options.seed)
    if options.events is None:
        return whole
    wanted = max(1, len(invoices) * options.events // len(whole.events))
    return scenario_of(list(_many(invoices, wanted)), now_ms=now_ms, seed=options.seed)


def _many(invoices: Sequence[Invoice], wanted: int) -> Iterator[Invoice]:
    """The first of the invoices, or all of them several times, under other numbers."""
    for turn in count():
        for number in range(len(invoices)):
            if turn * len(invoices) + number == wanted:
                return
            invoice = invoices[number]
            yield invoice if turn == 0 else replace(invoice, number=f"{invoice.number}-{turn}")


@contextmanager
def _presenting(console: Console) -> Iterator[Callable[[View], None]]:
    """Shows views: live on a terminal, else a line every LINE_SECONDS."""
    if console.is_terminal:
        with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
            yield lambda view: live.update(screen(view, *console.size), refresh=True)
        return
    last = -LINE_SECONDS

    def show(view: View) -> None:
        nonlocal last
        if view.elapsed_seconds - last >= LINE_SECONDS:
            last = view.elapsed_seconds
            console.print(line(view), markup=False, highlight=False, soft_wrap=True)

    yield show


@asynccontextmanager
async def _producer(client_options: Mapping[str, Any]) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(**client_options, acks="all", enable_idempotence=True, linger_ms=5)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def _forget(system: DemoSystem, client_options: Mapping[str, Any]) -> None:
    """Delete the demo's topics on a Kafka that stays, if it lets us. Empty groups it forgets by itself, in a week."""
    admin = AIOKafkaAdminClient(**client_options)
    with suppress(connecting.BrokerUnreachable, KafkaError, OSError, TimeoutError):
        async with asyncio.timeout(FORGET_SECONDS_MAX):
            try:
                await connecting.start(admin, client_options)
                await admin.delete_topics([system.topic(topic) for topic in Topic])
            finally:
                await admin.close()


def _stock_error(scenario: Scenario, tally: Tally) -> str:
    ours = tally.skus_drifted / max(1, tally.skus_checked)
    return (
        f"\nStock keys that the daily counts found wrong: [bold]{ours:.1%}[/], those from which units were lost."
        f" [bold]{scenario.order_level_error:.1%}[/] in a system without sub-orders, which books a whole order out with"
        " its first parcel (modelled on the same events)."
    )


def _proof(injected: Injected, scenario: Scenario) -> str:
    bad = sum(injected.broken.values())
    return (
        f"[bold green]Proved:[/] of {injected.records + len(scenario.requests)} events ({injected.repeats} sent twice,"
        f" {injected.late} late, {injected.early} before their order was placed, {bad} broken) every good one was"
        " applied exactly once, and every broken one is in the dead letters:"
        f" all {len(scenario.levels)} stock levels equal plain arithmetic."
    )


def _doubt(rows: Sequence[Row], *, verified: bool) -> str:
    wrong = [row.what for row in rows if not row.agrees] + ([] if verified else ["stockfreeze verify"])
    return f"[bold red]Not proved:[/] {'; '.join(wrong)}"


def _draw(view: View, rows: Sequence[Row], path: Path) -> None:
    """Save the last screen and the judgement as a picture that fetches nothing (rich has its font come from a host)."""
    console = Console(
        record=True, width=PICTURE_COLUMNS, file=StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(screen(view, PICTURE_COLUMNS, PICTURE_LINES))
    console.print(judgement(rows))
    picture = console.export_svg(title="stockfreeze demo")
    path.write_text(re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL), encoding="utf-8")
