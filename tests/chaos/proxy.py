"""A TCP proxy between workers and one broker, in which connections are cut, delayed, slowed and held up."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

CHUNK_BYTES: Final = 16 * 1024
_CHUNKS_MAX: Final = 64
"""On their way in one direction of a connection: so much is held back at most, then nothing more is read."""


class _Chunk(NamedTuple):
    due_at: float
    data: bytes


@dataclass
class Weather:
    """What happens to everything that passes, in both directions of every connection."""

    delay_seconds: float = 0.0
    bytes_per_second: float | None = None
    """Of each direction of each connection."""


class Proxy:
    """Listens on one port of 127.0.0.1 and passes connections on to another."""

    def __init__(self, port: int, upstream_port: int) -> None:
        self.port = port
        self.weather = Weather()
        self._upstream_port = upstream_port
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return len(self._writers) // 2

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._begin, "127.0.0.1", self.port)

    async def stop(self) -> None:
        """Stop listening, and cut all connections."""
        if self._server is not None:
            self._server.close()
        for serving in self._serving:
            serving.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def cut(self) -> None:
        """Reset every connection: neither side gets what is on its way."""
        for writer in list(self._writers):
            writer.transport.abort()

    def hold(self) -> None:
        """Let nothing pass until `release`: connections stay open and silent."""
        self._flowing.clear()

    def release(self) -> None:
        """Pass on what was held back."""
        self._flowing.set()

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.ensure_future(self._serve(reader, writer))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
            self._writers.add(upstream_writer)
            try:
                await self._pass_on(reader, upstream_writer, upstream_reader, writer)
            finally:
                self._drop(upstream_writer)
        except* OSError:
            pass  # one side is down, or was cut off: the other sees its connection end
        finally:
            self._drop(writer)

    def _drop(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        writer.transport.abort()

    async def _pass_on(
        self,
        client_reader: asyncio.StreamReader,
        broker_writer: asyncio.StreamWriter,
        broker_reader: asyncio.StreamReader,
        client_writer: asyncio.StreamWriter,
    ) -> None:
        """Pass on both directions until one ends: Kafka's protocol has no half-closed connections."""
        async with asyncio.TaskGroup() as group:
            directions = [
                group.create_task(work)
                for reader, writer in ((client_reader, broker_writer), (broker_reader, client_writer))
                for work in self._direction(reader, writer)
            ]
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
            for direction in directions:
                direction.cancel()

    def _direction(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[Coroutine[Any, Any, None], ...]:
        under_way: asyncio.Queue[_Chunk] = asyncio.Queue(_CHUNKS_MAX)
        return self._take(reader, under_way), self._give(under_way, writer)

    async def _take(self, reader: asyncio.StreamReader, under_way: asyncio.Queue[_Chunk]) -> None:
        clock = asyncio.get_running_loop().time
        while data := await reader.read(CHUNK_BYTES):
            await under_way.put(_Chunk(clock() + self.weather.delay_seconds, data))

    async def _give(self, under_way: asyncio.Queue[_Chunk], writer: asyncio.StreamWriter) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            due_at, data = await under_way.get()
            if (ahead := due_at - clock()) > 0:
                await asyncio.sleep(ahead)
            await self._flowing.wait()
            if writer.is_closing():  # cut off meanwhile
                return
            writer.write(data)
            await writer.drain()
            if self.weather.bytes_per_second is not None:
                await asyncio.sleep(len(data) / self.weather.bytes_per_second)
