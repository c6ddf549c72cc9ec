"""Choosing dead letters for a command: by id, or by the filters that the commands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from schemas.dead_letters import DEAD_LETTER_CODES
from schemas.times import timestamp_text
from schemas.topics import LEDGER, Topic
from worker.cli.asking import OpenSystem
from worker.cli.context import CommandError
from worker.cli.since import Since
from worker.settings import Settings

if TYPE_CHECKING:
    from worker.inspection.dead_letters import DeadLetter

LetterState = Literal["pending", "open", "accepted", "discarded", "settled"]

_RANKS: Final[dict[LetterState, int]] = {"pending": 0, "open": 1, "accepted": 2, "discarded": 2, "settled": 2}


@dataclass(frozen=True, slots=True)
class LetterEntry:
    """A dead letter, and whether it holds its order back (None: it belongs to no order)."""

    letter: DeadLetter
    pending: bool | None

    @property
    def state(self) -> LetterState:
        """Return what has become of it.

        pending: it holds its order back. open: it holds nothing back, and was neither replayed nor discarded yet.
        accepted, discarded: it held nothing back. settled: it held its order back, and was accepted or discarded.
        """
        if self.pending:
            return "pending"
        if self.letter.settled is not None:
            return self.letter.settled
        return "open" if self.pending is None else "settled"

    @property
    def rank(self) -> int:
        """Return the place of its state in lists; the least comes first."""
        return _RANKS[self.state]


@dataclass(frozen=True, slots=True)
class Choice:
    """The filters that a command was given; None: no such filter."""

    code: str | None
    account: str | None
    topic: str | None
    order: str | None
    since_ms: int | None
    limit: int | None

    @property
    def is_empty(self) -> bool:
        """Return whether no filter was given."""
        return not any((self.code, self.account, self.topic, self.order, self.since_ms, self.limit))

    def check(self, settings: Settings) -> None:
        """Raise UsageError where the topic is not an input."""
        if self.topic is not None and not {self.topic, settings.topic_prefix + self.topic} & inputs_of(settings):
            raise click.UsageError(f"there is no input topic {self.topic}; the inputs are {', '.join(LEDGER.inputs)}")

    def takes(self, entry: LetterEntry, settings: Settings) -> bool:
        """Return whether an entry passes all filters but the limit."""
        letter = entry.letter
        return (
            self.code in (None, letter.code)
            and self.account in (None, letter.account_id)
            and self.order in (None, letter.order_id)
            and (self.topic is None or letter.source_topic in (self.topic, settings.topic_prefix + self.topic))
            and (self.since_ms is None or letter.written_at >= timestamp_text(self.since_ms))
        )


def choosing(what: str, limit: int | None = None) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Add the filters to a command, which gets them as its argument `choice`. `what` begins the help of each."""

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        @wraps(command)
        def wrapper(*args: Any, **kwargs: Any) -> int:  # noqa: ANN401 - any command's
            names = ("code", "account", "topic", "order", "since_ms", "limit")
            return command(*args, choice=Choice(**{name: kwargs.pop(name) for name in names}), **kwargs)

        options = (
            click.option("--account", metavar="ACCOUNT", help=f"{what} whose key is this account."),
            click.option("--topic", metavar="TOPIC", help=f"{what} from this input topic, with or without the prefix."),
            click.option("--order", metavar="ORDER", help=f"{what} that name this order."),
            click.option(
                "--code",
                type=click.Choice(DEAD_LETTER_CODES),
                metavar="CODE",
                help=f"{what} refused with this code, such as conflict.",
            ),
            click.option(
                "--since",
                "since_ms",
                type=Since(),
                metavar="TIME",
                help=f"{what} refused since then: a time, 2h or 7d.",
            ),
            click.option(
                "--limit",
                type=click.IntRange(min=1),
                metavar="N",
                default=limit,
                show_default=limit is not None,
                help="At most so many.",
            ),
        )
        for option in reversed(options):
            wrapper = option(wrapper)
        return wrapper

    return decorate


def inputs_of(settings: Settings) -> set[str]:
    """The full names of the input topics."""
    return {settings.topic(topic) for topic in LEDGER.inputs}


async def all_entries(system: OpenSystem) -> list[LetterEntry]:
    """Read the dead letters of all partitions; each lies in the partition in which its record lay."""
    return [entry for partition in range(system.partition_count) for entry in await _entries(system, partition)]


async def find_entries(system: OpenSystem, ids: Sequence[str]) -> dict[str, LetterEntry]:
    """Read the entries of these ids, by id; ids that do not exist are left out."""
    from worker.inspection.dead_letters import DeadLetterId

    partitions = set()
    for text in ids:
        try:
            partitions.add(DeadLetterId.parse(text).partition)
        except ValueError as error:
            raise CommandError(str(error)) from error
    wanted = dict.fromkeys(ids)
    found: dict[str, LetterEntry] = {}
    for partition in sorted(partitions & set(range(system.partition_count))):
        found |= {entry.letter.id: entry for entry in await _entries(system, partition, wanted)}
    return {text: found[text] for text in wanted if text in found}


async def _entries(system: OpenSystem, partition: int, wanted: dict[str, None] | None = None) -> list[LetterEntry]:
    """Read the dead letters of a partition, and its state only where one of them belongs to an order."""
    from worker.inspection.dead_letters import read_dead_letters

    settings = system.settings
    topic, commands = settings.topic(Topic.DEAD_LETTERS), settings.topic(Topic.COMMANDS)
    letters = [
        letter
        for letter in (await read_dead_letters(system.reader, topic, partition, commands)).values()
        if wanted is None or letter.id in wanted
    ]
    if not any(letter.order for letter in letters):
        return [LetterEntry(letter, None) for letter in letters]
    ledger = (await system.state_of(partition)).ledger

    def is_pending(letter: DeadLetter) -> bool | None:
        if letter.order is None:
            return None
        order = ledger.order_of(*letter.order)
        if order is not None and letter.id in order.dead_letters:
            return True
        return None if letter.code == "too_late" else False

    return [LetterEntry(letter, is_pending(letter)) for letter in letters]
