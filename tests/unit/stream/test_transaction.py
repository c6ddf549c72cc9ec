from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import ConcurrentTransactions, KafkaError
from aiokafka.producer import sender

from tests.unit.stream.fakes import CONFIG, Time
from worker.stream.transaction import MARKER_SECONDS, TransactionWriter, ask_soon_for_markers


def test_a_producer_asks_soon_again_where_the_markers_of_its_last_transaction_are_not_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sender, "BACKOFF_OVERRIDE", sender.BACKOFF_OVERRIDE)
    ask_soon_for_markers()
    transaction = SimpleNamespace(txn_partitions=set())
    asking = sender.AddPartitionsToTxnHandler(
        SimpleNamespace(_retry_backoff=100, _txn_manager=transaction), {TopicPartition("t", 0)}
    )
    answer = SimpleNamespace(errors=[("t", [(0, ConcurrentTransactions.errno)])])
    assert asking.handle_response(answer) == MARKER_SECONDS


class _Untold(TransactionWriter):
    """Its broker tells no offset, as for a batch that it has already."""

    def __init__(self) -> None:
        self._config, self._clock = CONFIG, Time().clock

    async def begin(self) -> None:
        """Nothing."""

    def append(self, records: Iterable[object]) -> None:
        assert records

    async def commit(self, offsets: Mapping[str, int]) -> int:
        assert not offsets
        return -1


async def test_a_fence_whose_place_is_not_told_is_none() -> None:
    with pytest.raises(KafkaError, match="where the fence record lies"):
        await _Untold().fence()
