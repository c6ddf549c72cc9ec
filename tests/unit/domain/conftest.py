"""A shop for every test that asks for one."""

from __future__ import annotations

import pytest

from tests.unit.domain.shop import Shop


@pytest.fixture
def shop() -> Shop:
    return Shop()
