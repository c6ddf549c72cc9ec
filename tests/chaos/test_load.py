"""The load goes on when its client does not."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from schemas.topics import Topic
from tests.chaos import load
from tests.chaos.load import Item, Sender

ITEM = Item(Topic.ORDERS, b"acme", b"{}")


class _Client:
    """The first one hangs in every send, the others answer at once."""

    made: list[_Client]

    def __init__(self, **_settings: object) -> None:
        self.stopped = False
        self.made.append(self)

    async def start(self) -> None:
        """Connects to nothing."""

    async def stop(self) -> None:
        self.stopped = True

    async def send_and_wait(self, *_record: object, **_place: object) -> SimpleNamespace:
        if self is self.made[0]:
            await asyncio.Event().wait()
        return SimpleNamespace(offset=7)


async def test_a_client_that_hangs_is_replaced_once_for_all_that_wait_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    _Client.made = []
    monkeypatch.setattr(load, "AIOKafkaProducer", _Client)
    monkeypatch.setattr(load, "SEND_SECONDS_MAX", 0.01)
    sender = Sender("nowhere:1")
    await sender.start()
    hung = await asyncio.gather(*(sender.send("t", ITEM, 0) for _ in range(3)), return_exceptions=True)
    assert [type(error) for error in hung] == [TimeoutError] * 3
    assert await sender.send("t", ITEM, 0) == 7
    await sender.stop()
    assert [client.stopped for client in _Client.made] == [True, True]
