"""What goes wrong in a simulated world: a plan, drawn from a seed, of faults with stable numbers."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from tests.simulation.world import Simulation


class Fault(NamedTuple):
    """One thing that goes wrong. Its number is the same whatever other faults are left out."""

    number: int
    what: str
    """A sentence for people: what happens when."""


class FaultPlan:
    """All faults of a run."""

    @classmethod
    def drawn(cls, seed: int, *, processes: Collection[str] = (), until_seconds: float = 20.0) -> Self:
        """The faults of a seed: of the network, the brokers and the `processes`; none begins after `until_seconds`."""
        raise NotImplementedError

    @classmethod
    def none(cls) -> Self:
        """A calm run."""
        raise NotImplementedError

    @property
    def faults(self) -> list[Fault]:
        """The faults, in the order of their numbers."""
        raise NotImplementedError

    def without(self, numbers: Collection[int]) -> Self:
        """The same plan with some faults left out, for shrinking."""
        raise NotImplementedError

    def only(self, numbers: Collection[int]) -> Self:
        """The same plan with all others left out, for replaying."""
        raise NotImplementedError

    def begin(self, simulation: Simulation) -> None:
        """Let the plan take its course in a simulation that has just been made."""
        raise NotImplementedError
