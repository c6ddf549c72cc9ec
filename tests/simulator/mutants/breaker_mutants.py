"""Planted faults of the breaker, of floods, and of what is halted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence

from schemas.state import VERSION, FloodState
from tests.simulator.mutants.seams import Mutant, edit, replace, wrap
from worker.domain.accounts import Account
from worker.domain.floods import Floods
from worker.processors.parties import AccountParties
from worker.stream.merge import Merge
from worker.stream.processor import Parties, Processor
from worker.stream.records import InputRecord
from worker.stream.session import Session
from worker.stream.state.input_progress import InputProgress
from worker.stream.task import PartitionTask
from worker.stream.transactions.batch import Batch
from worker.stream.transactions.breaker import Breaker
from worker.stream.transactions.transaction import TransactionWriter


def breaker_without_a_bound(
    original: Callable[..., None], self: Breaker, bad_max: int, window: int, parties: Parties | None = None
) -> None:
    del bad_max
    original(self, 0, window, parties)


def forgetting_at_good_ones(original: Callable[..., bool], self: Breaker, *, bad: bool) -> bool:
    if not bad:
        self._bad.clear()
        self._by_party.clear()
    return original(self, bad=bad)


async def breaker_of_its_own(
    original: Callable[..., Awaitable[None]],
    self: PartitionTask[Processor],
    writer: TransactionWriter,
    merge: Merge,
    chunk: Sequence[InputRecord],
    progress: InputProgress,
    breaker: Breaker,
) -> None:
    own = Breaker(breaker._bad_max, breaker._window, self.processor.parties)
    await original(self, writer, merge, chunk, progress, own)


def no_flood(self: Breaker, last: str | None) -> bool:
    del self, last
    return False


def always_others(self: AccountParties, party: str) -> bool:
    del self, party
    return True


def no_flooding(self: AccountParties) -> Collection[str]:
    del self
    return ()


def no_calm(self: Breaker) -> None:
    del self


def calm_before_a_window(original: Callable[..., None], self: Breaker) -> None:
    seen, self._seen = self._seen, max(self._seen, self._window)
    original(self)
    self._seen = seen


class UnknownFloods(set[str]):
    """Knows the floods that go on, and denies each that is asked about."""

    def __contains__(self, party: object) -> bool:
        return False


def breaker_that_reports_again(
    original: Callable[..., None], self: Breaker, bad_max: int, window: int, parties: Parties | None = None
) -> None:
    original(self, bad_max, window, parties)
    self._flooding = UnknownFloods(self._flooding)


def began_in_memory(self: Floods, account: Account, recorded_at: int, raised_as: str) -> None:
    self.known[account.id] = FloodState(VERSION, recorded_at, raised_as)


def halted_started_again(original: Callable[..., None], self: Session[Processor], partitions: Iterable[int]) -> None:
    self._halted.clear()
    original(self, partitions)


BREAKER_MUTANTS = (
    Mutant(
        "breaker-never-opens",
        "However many records are bad, the partition goes on.",
        (wrap(Breaker, "__init__", breaker_without_a_bound),),
    ),
    Mutant(
        "breaker-counts-in-a-row",
        "A good record lets the breaker forget the bad ones before it.",
        (wrap(Breaker, "open_after", forgetting_at_good_ones),),
    ),
    Mutant(
        "breaker-forgets-nothing",
        "The breaker counts all bad records, however long ago they were.",
        (edit(Breaker, "open_after", "self._forget()", "break"),),
    ),
    Mutant(
        "breaker-of-a-batch",
        "The breaker counts within one transaction.",
        (wrap(PartitionTask, "_transact", breaker_of_its_own),),
    ),
    Mutant(
        "breaker-ends-the-batch",
        "The breaker opens once the chunk in hand is decided to its end.",
        (edit(Batch, "decide", "return\n", "pass\n"),),
    ),
    Mutant(
        "breaker-passes-over",
        "The rest of the chunk at which the breaker opened counts as gaps.",
        (edit(PartitionTask, "_transact", "if not batch.tripped:", "if True:"),),
    ),
    Mutant(
        "breaker-stops-others",
        "A flood of one account stops the others of its partition.",
        (replace(Breaker, "_is_flood", no_flood),),
    ),
    Mutant(
        "flood-of-two",
        "The bad records of two accounts are taken for a flood of one.",
        (edit(Breaker, "_is_flood", "FLOOD_PERCENT", "40"),),
    ),
    Mutant(
        "flood-of-the-only-account",
        "An account floods on where nobody else would be stopped.",
        (replace(AccountParties, "serves_others", always_others),),
    ),
    Mutant(
        "flood-reported-with-every-record",
        "A flood is reported again with every bad record.",
        (wrap(Breaker, "__init__", breaker_that_reports_again),),
    ),
    Mutant(
        "flood-forgotten-by-a-restart",
        "The next owner of the partition reports a flood again.",
        (replace(AccountParties, "flooding", no_flooding),),
    ),
    Mutant(
        "flood-never-ceases",
        "After a flood has ceased, the next one of the account is not reported.",
        (replace(Breaker, "_look_for_calm", no_calm),),
    ),
    Mutant(
        "flood-ceases-with-a-restart",
        "A flood is taken to have ceased before a whole window is known.",
        (wrap(Breaker, "_look_for_calm", calm_before_a_window),),
    ),
    Mutant(
        "flood-not-in-the-state",
        "That a flood was reported is not written to the state.",
        (replace(Floods, "began", began_in_memory),),
    ),
    Mutant(
        "halt-forgotten",
        "A partition that was halted is started again by the next rebalance.",
        (wrap(Session, "_start_tasks", halted_started_again),),
    ),
)
