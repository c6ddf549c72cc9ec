"""The proxy: what passes, and what each kind of weather does to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from deploy.kafka.local import free_port
from tests.chaos.proxy import CHUNK_BYTES, Proxy, Weather

TEXT = b"anything"


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """A proxy before a server that sends back what it gets."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
        writer.close()

    upstream_port = free_port()
    async with await asyncio.start_server(echo, "127.0.0.1", upstream_port):
        between = Proxy(free_port(), upstream_port)
        await between.start()
        try:
            yield between
        finally:
            await between.stop()


async def opened(proxy: Proxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def echoed(proxy: Proxy, text: bytes) -> tuple[bytes, float]:
    """What comes back, and after how many seconds."""
    clock = asyncio.get_running_loop().time
    reader, writer = await opened(proxy)
    sent_at = clock()
    writer.write(text)
    got = await asyncio.wait_for(reader.readexactly(len(text)), 30)
    writer.close()
    return got, clock() - sent_at


async def test_what_is_sent_passes_in_both_directions(proxy: Proxy) -> None:
    text = bytes(range(256)) * 8000
    assert (await echoed(proxy, text))[0] == text


async def test_a_delay_comes_in_both_directions_and_adds_up_once(proxy: Proxy) -> None:
    proxy.weather = Weather(delay_seconds=0.1)
    text = TEXT * CHUNK_BYTES  # many chunks, which are under way together
    got, seconds = await echoed(proxy, text)
    assert got == text
    assert seconds >= 0.2


async def test_a_slow_connection_takes_its_time(proxy: Proxy) -> None:
    proxy.weather = Weather(bytes_per_second=100_000)
    text = bytes(3 * CHUNK_BYTES)
    got, seconds = await echoed(proxy, text)
    assert got == text
    assert seconds >= 2 * CHUNK_BYTES / 100_000


async def test_a_cut_ends_connections_that_there_are_and_no_later_ones(proxy: Proxy) -> None:
    reader, writer = await opened(proxy)
    writer.write(TEXT)
    assert await reader.readexactly(len(TEXT)) == TEXT
    proxy.cut()
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(1), 10)
    writer.close()
    assert (await echoed(proxy, TEXT))[0] == TEXT


async def test_what_is_held_comes_when_it_is_released(proxy: Proxy) -> None:
    reader, writer = await opened(proxy)
    proxy.hold()
    writer.write(TEXT)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await reader.readexactly(1)
    proxy.release()
    assert await asyncio.wait_for(reader.readexactly(len(TEXT)), 10) == TEXT
    writer.close()


async def test_a_server_that_is_down_ends_the_connection() -> None:
    proxy = Proxy(free_port(), free_port())
    await proxy.start()
    reader, writer = await opened(proxy)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(1), 10)
    writer.close()
    await proxy.stop()
