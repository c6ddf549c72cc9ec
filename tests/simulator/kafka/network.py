"""The network: connections that take the place of aiokafka's own, and the time that messages take on them.

A connection keeps the order of its messages, and its node answers one request before it looks at the next one, as
Apache Kafka does. What is sent may come late, not at all, or be answered to nobody: a plan of faults decides.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from typing import Any, Protocol

from aiokafka.conn import CloseReason
from aiokafka.errors import KafkaConnectionError
from aiokafka.util import wait_for

from tests.simulator.loop import PROCESS, SimulatedLoop

Request = Any
"""A request struct of aiokafka."""
Response = Any
Reply = Callable[[Response], None]

LATENCY_SECONDS_MIN = 0.0002
LATENCY_SECONDS_SPREAD = 0.0008
GAP_SECONDS = 1e-7
"""What comes later on a connection comes so much later at least."""


class Node(Protocol):
    """A broker, as the network sees it."""

    node_id: int
    up: bool

    def receive(self, request: Request, reply: Reply) -> None:
        """Handle a request, now or when it is awake again."""

    def awake(self, action: Callable[[], None]) -> None:
        """Do something now, or when it is awake again; never, when it dies before."""


Held = Callable[[Callable[[], None], Callable[[], bool]], None]
"""Takes what lets a message arrive at last, and a check whether its sender has closed the connection."""


class Verdict:
    """What a fault does to one request. By default nothing."""

    __slots__ = ("answer", "answer_after", "cut", "done", "held", "refuse", "replace", "request", "request_after")

    def __init__(self) -> None:
        self.request = True
        """Whether it reaches the node."""
        self.request_after = 0.0
        """Seconds it takes longer."""
        self.held: Held | None = None
        """Whether, and by whom, it is held up on its way."""
        self.answer = True
        self.answer_after = 0.0
        self.cut = False
        """Where the message is lost, the connection is cut."""
        self.refuse: Callable[[Request], Response | None] | None = None
        """What the node answers without any effect; None: it cannot refuse it."""
        self.replace: Callable[[Request, Response], Response] | None = None
        """What it answers after the effect."""
        self.done: Callable[[], None] | None = None
        """What happens when it has taken effect."""


class Interference(Protocol):
    """A plan of faults, as the network asks it."""

    def on_request(self, request: Request, process: str) -> Verdict | None:
        """What becomes of a request; None: nothing special."""


Delivery = tuple[Request, "asyncio.Future[Response] | None", Verdict | None]


class Network:
    """All connections between processes and nodes."""

    def __init__(self, loop: SimulatedLoop, seed: int, node_at: Callable[[int], Node | None]) -> None:
        self.loop = loop
        self.chance = random.Random(f"network/{seed}")
        self.node_at = node_at
        self.interference: Interference | None = None
        self.connections: dict[int, set[Connection]] = {}
        """By node."""
        self.versions: dict[int, tuple[int, int]] = {}
        self._slow = (0.0, 0.0)
        self._isolated: Counter[str] = Counter()
        loop.connect = self.connect

    def latency(self) -> float:
        """Seconds that a message takes."""
        seconds = LATENCY_SECONDS_MIN + LATENCY_SECONDS_SPREAD * self.chance.random()
        if self._slow[1] > self.loop.time():
            seconds += self._slow[0] * self.chance.random()
        return seconds

    def slow(self, seconds_max: float, for_seconds: float) -> None:
        """Let every message be late, for a while."""
        self._slow = (seconds_max, self.loop.time() + for_seconds)

    def isolate(self, process: str, for_seconds: float) -> None:
        """Cut a process off, for a while."""
        self._isolated[process] += 1
        for node_id in sorted(self.connections):
            self.cut(node_id, process)
        self.loop.later(for_seconds, lambda: self._isolated.subtract((process,)))

    async def connect(
        self,
        _host: str,
        port: int,
        *,
        request_timeout_ms: int = 40_000,
        on_close: Callable[[Any, CloseReason | None], None] | None = None,
        **_: object,
    ) -> Connection:
        """Take the place of `aiokafka.client.create_conn`: connect, and ask for the versions."""
        node = self.node_at(port)
        await asyncio.sleep(4 * self.latency())
        process = PROCESS.get()
        if node is None or not node.up or (process is not None and self._isolated[process.name] > 0):
            raise ConnectionRefusedError(f"nobody listens at {port}")
        answered: asyncio.Future[None] = self.loop.create_future()
        node.awake(lambda: _resolve(answered))
        if not answered.done():
            # The connection is accepted by the machine, but nobody answers.
            await wait_for(answered, request_timeout_ms / 1000)
        connection = Connection(self, node, request_timeout_ms / 1000, on_close)
        self.connections.setdefault(node.node_id, set()).add(connection)
        return connection

    def cut(self, node_id: int, process: str | None = None) -> None:
        """Break all connections of a node, or those that a process has with it."""
        for connection in sorted(self.connections.get(node_id, ()), key=lambda connection: connection.number):
            if process is None or connection.process_name == process:
                connection.broken()


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Connection:
    """What aiokafka's client asks of an `AIOKafkaConnection`."""

    count = 0

    def __init__(
        self,
        network: Network,
        node: Node,
        timeout_seconds: float,
        on_close: Callable[[Any, CloseReason | None], None] | None,
    ) -> None:
        Connection.count += 1
        self.number = Connection.count
        self._network = network
        self._loop = network.loop
        self._node = node
        self._timeout_seconds = timeout_seconds
        self._on_close = on_close
        self._context: Context = copy_context()
        process = PROCESS.get()
        self.process_name = "" if process is None else process.name
        self._closed = False
        self._gone = self._loop.create_future()
        self._waiting: dict[asyncio.Future[Response], None] = {}
        self._inbox: deque[Delivery] = deque()
        self._busy = False
        self._arrives_at = 0.0
        self._answers_at = 0.0

    # -- the client's side

    def connected(self) -> bool:
        """Whether it is open, as far as the client knows."""
        return not self._closed

    def send(self, request: Any, expect_response: bool = True) -> Awaitable[Response]:  # noqa: ANN401, FBT001, FBT002 - aiokafka's
        """Send a request; the answer comes, or the time-out does."""
        if self._closed:
            raise KafkaConnectionError("No connection to broker")
        struct = request.prepare(self._network.versions)
        future: asyncio.Future[Response] = self._loop.create_future()
        interference = self._network.interference
        verdict = None if interference is None else interference.on_request(struct, self.process_name)
        request_after = 0.0 if verdict is None else verdict.request_after
        at = max(self._loop.time() + self._network.latency() + request_after, self._arrives_at + GAP_SECONDS)
        self._arrives_at = at
        if expect_response:
            self._waiting[future] = None
        else:
            future.set_result(None)
        delivery = (struct, future if expect_response else None, verdict)
        if verdict is not None and verdict.held is not None:
            verdict.held(lambda: self._arrive(delivery), lambda: self._closed)
        else:
            self._loop.call_at(at, self._arrive, delivery, context=self._loop.environment)
        answer: Awaitable[Response] = wait_for(future, self._timeout_seconds)
        return answer

    def close(self, reason: CloseReason | None = None, exc: BaseException | None = None) -> asyncio.Future[None]:
        """Close it on the client's side. What was sent may still arrive."""
        if not self._closed:
            self._closed = True
            self._network.connections[self._node.node_id].discard(self)
            for future in list(self._waiting):
                if not future.done():
                    error = KafkaConnectionError("Connection closed")
                    error.__cause__ = exc
                    future.set_exception(error)
            self._waiting.clear()
            if self._on_close is not None:
                self._on_close(self, reason)
                self._on_close = None
            if not self._gone.done():
                self._gone.set_result(None)
        return self._gone

    def broken(self) -> None:
        """Let the client see, a little later, that the connection is gone."""
        self._inbox.clear()
        self._loop.call_at(
            self._loop.time() + self._network.latency(),
            self.close,
            CloseReason.CONNECTION_BROKEN,
            ConnectionResetError("Connection reset by peer"),
            context=self._context,
        )

    # -- the node's side

    def _arrive(self, delivery: Delivery) -> None:
        verdict = delivery[2]
        if verdict is not None and not verdict.request:
            if verdict.cut:
                self.broken()
            # Else the node's side stays silent: what follows on this connection waits behind it for ever.
            self._busy = True
            return
        self._inbox.append(delivery)
        if not self._busy:
            self._next()

    def _next(self) -> None:
        if not self._node.up:
            self._inbox.clear()
            return
        request, future, verdict = self._inbox.popleft()
        self._busy = True
        answered = False

        def reply(response: Response) -> None:
            nonlocal answered
            if not answered:
                answered = True
                self._answer(request, response, future, verdict)

        refusal = verdict.refuse(request) if verdict is not None and verdict.refuse is not None else None
        if refusal is not None:
            reply(refusal)
        else:
            self._node.receive(request, reply)

    def _answer(
        self,
        request: Request,
        response: Response,
        future: asyncio.Future[Response] | None,
        verdict: Verdict | None,
    ) -> None:
        answer_after = 0.0
        if verdict is not None:
            if verdict.done is not None:
                verdict.done()
            if verdict.replace is not None:
                response = verdict.replace(request, response)
            if not verdict.answer:
                if verdict.cut:
                    self.broken()
                return
            answer_after = verdict.answer_after
        if future is not None:
            at = max(self._loop.time() + self._network.latency() + answer_after, self._answers_at + GAP_SECONDS)
            self._answers_at = at
            self._loop.call_at(at, self._deliver, future, response, context=self._context)
        self._busy = False
        if self._inbox:
            self._next()

    def _deliver(self, future: asyncio.Future[Response], response: Response) -> None:
        self._waiting.pop(future, None)
        if not future.done():
            future.set_result(response)
