from __future__ import annotations

from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import ConcurrentTransactions
from aiokafka.producer import sender

from worker.stream.transaction import MARKER_SECONDS, ask_soon_for_markers


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
