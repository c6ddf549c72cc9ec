"""A shop for every example, first of the model, then of the worker's ledger."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.examples.shops import ExampleShop, LedgerShop, ModelShop

NewShop = Callable[..., ExampleShop]


@pytest.fixture(params=[ModelShop, LedgerShop], ids=["model", "ledger"])
def new_shop(request: pytest.FixtureRequest) -> NewShop:
    """Makes a shop with policies of its own."""
    made: NewShop = request.param
    return made


@pytest.fixture
def shop(new_shop: NewShop) -> ExampleShop:
    return new_shop()
