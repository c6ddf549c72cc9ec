"""What an event changed the facts of: all that is computed anew, and nothing else."""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum
from typing import Final, final

from mypy_extensions import mypyc_attr


class Shortcut(Enum):
    """An event that in most cases changes units in one simple way: `claims` knows when that is all."""

    COVERS = "covers"
    """A sub-order got its first lines."""
    SHIPS = "ships"
    """A sub-order shipped."""


@mypyc_attr(acyclic=True)
@final
class Touch:
    """What an event changed the facts of; None stands for all.

    rows: units may lie in other rows of the status record although every stock key's claim is the same.
    """

    __slots__ = ("rows", "shortcut", "skus", "sub_orders")

    def __init__(
        self,
        sub_orders: Collection[str] | None,
        skus: Collection[str] | None,
        *,
        rows: bool = False,
        shortcut: Shortcut | None = None,
    ) -> None:
        self.sub_orders = sub_orders
        self.skus = skus
        self.rows = rows
        self.shortcut = shortcut


NOTHING: Final[Collection[str]] = ()
COVERS: Final = Shortcut.COVERS
SHIPS: Final = Shortcut.SHIPS
