"""What a broker or an operator can take away from a system: topics, and parts of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

from tests.simulator.audit.expected import OUTPUTS
from tests.simulator.audit.partition_audit import INPUTS

SHARE: Final = 0.1
"""Of the seeds."""


class What(StrEnum):
    """What is lost."""

    STATE_ANEW = "the state is deleted and made anew"
    STATE_TAIL = "the end of the state is lost, as by an unclean election"
    STATE_PART = "a part of the state expires"
    STATE_POLICY = "the state gets a retention"
    JOURNAL_ANEW = "the journal is deleted and made anew"
    JOURNAL_TAIL = "the end of the journal is lost, as by an unclean election"
    INPUT_SHORTER = "an input is deleted and made anew, shorter"
    INPUT_LONGER = "an input is deleted and made anew, longer"
    OUTPUT_GONE = "an output is deleted"


UNCLEAN: Final = (What.STATE_TAIL, What.JOURNAL_TAIL, What.STATE_PART)
"""These happen while nobody runs: the brokers were down too."""


@dataclass(frozen=True)
class Loss:
    """Something that is taken away at a moment."""

    what: What
    at_seconds: float
    partition: int
    """Of which it is, where it is not of a whole topic; of the next one that has something to lose."""
    topic: str
    """The input or output, where it is of one."""
    nobody_runs: bool
    """Whether all workers crash at that moment, and come back later."""

    def __str__(self) -> str:
        where = f" ({self.topic})" if self.what in (What.INPUT_SHORTER, What.INPUT_LONGER, What.OUTPUT_GONE) else ""
        return (
            f"loss: at {self.at_seconds:.2f} s{', while nobody runs' if self.nobody_runs else ''}: {self.what}{where}"
        )


def drawn_loss(seed: int, partitions: int, until_seconds: float) -> Loss | None:
    """The loss of a seed; most have none."""
    chance = Random(f"loss/{seed}")
    if chance.random() >= SHARE:
        return None
    what = chance.choice(list(What))
    topic = chance.choice(INPUTS[:3] if what in (What.INPUT_SHORTER, What.INPUT_LONGER) else OUTPUTS)
    at_seconds = until_seconds * (0.3 + 0.6 * chance.random())
    return Loss(
        what, at_seconds, chance.randrange(partitions), topic, nobody_runs=what in UNCLEAN or chance.random() < 0.5
    )
