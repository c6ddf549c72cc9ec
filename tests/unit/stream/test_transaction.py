from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest
from aiokafka.errors import KafkaError

from tests.unit.stream.fakes import CONFIG, Time
from worker.stream.transaction import TransactionWriter


class _Untold(TransactionWriter):
    """Its broker tells no offset, as for a batch that it has already."""

    def __init__(self) -> None:
        self._config, self._clock = CONFIG, Time().clock

    def append(self, records: Iterable[object]) -> None:
        assert records

    async def commit(self, offsets: Mapping[str, int]) -> int:
        assert not offsets
        return -1


async def test_a_fence_whose_place_is_not_told_is_none() -> None:
    with pytest.raises(KafkaError, match="where the fence record lies"):
        await _Untold().fence()
