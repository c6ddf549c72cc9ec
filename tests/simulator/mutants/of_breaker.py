"""Planted faults of the breaker, and of what is halted: broken in ways in which such counts get broken."""

from __future__ import annotations

from tests.simulator.mutants.planting import Edit, Mutant

BATCH = "worker.stream.transactions.batch"
BREAKER = "worker.stream.transactions.breaker"
FLOODS = "worker.domain.floods"
PARTIES = "worker.processors.parties"
SESSION = "worker.stream.session"
TASK = "worker.stream.task"

BREAKER_MUTANTS = (
    Mutant(
        "breaker-never-opens",
        "However many records are bad, the partition goes on.",
        (
            Edit(
                BREAKER,
                "return bad and 0 < self._bad_max <= len(self._bad) and not self._is_flood(party)",
                "return False",
            ),
        ),
    ),
    Mutant(
        "breaker-counts-in-a-row",
        "A good record lets the breaker forget the bad ones before it.",
        (
            Edit(
                BREAKER,
                "            self._by_party[party] = self._by_party.get(party, 0) + 1\n",
                "            self._by_party[party] = self._by_party.get(party, 0) + 1\n"
                "        else:\n            self._bad.clear()\n            self._by_party.clear()\n",
            ),
        ),
    ),
    Mutant(
        "breaker-forgets-nothing",
        "The breaker counts all bad records, however long ago they were.",
        (Edit(BREAKER, "            self._forget()\n", "            break\n"),),
    ),
    Mutant(
        "breaker-of-a-batch",
        "The breaker counts within one transaction.",
        (
            Edit(
                TASK,
                "self.processor, progress, breaker)\n",
                "self.processor, progress, Breaker(breaker._bad_max, breaker._window, self.processor.parties))\n",
            ),
        ),
    ),
    Mutant(
        "breaker-ends-the-batch",
        "The breaker opens once the chunk in hand is decided to its end.",
        (
            Edit(
                BATCH,
                "                self.tripped = True\n                return\n",
                "                self.tripped = True\n",
            ),
        ),
    ),
    Mutant(
        "breaker-passes-over",
        "The rest of the chunk at which the breaker opened counts as gaps.",
        (Edit(TASK, "if not batch.tripped:", "if True:"),),
    ),
    Mutant(
        "breaker-stops-others",
        "A flood of one account stops the others of its partition.",
        (Edit(BREAKER, "not self._is_flood(party)", "True"),),
    ),
    Mutant(
        "flood-of-two",
        "The bad records of two accounts are taken for a flood of one.",
        (Edit(BREAKER, "len(self._bad) * FLOOD_PERCENT", "len(self._bad) * 40"),),
    ),
    Mutant(
        "flood-of-the-only-account",
        "An account floods on where nobody else would be stopped.",
        (Edit(PARTIES, "return self._ledger.serves_others(party)", "return True"),),
    ),
    Mutant(
        "flood-told-with-every-record",
        "A flood is told again with every bad record.",
        (Edit(BREAKER, "if party == last and party not in self._flooding:", "if party == last:"),),
    ),
    Mutant(
        "flood-forgotten-by-a-restart",
        "Who has the partition next tells a flood again.",
        (Edit(BREAKER, "set(parties.flooding())", "set()"),),
    ),
    Mutant(
        "flood-never-ceases",
        "A flood that ceased keeps the next one from being told.",
        (Edit(BREAKER, "if self._by_party.get(party, 0) * 100 < self._bad_max * FLOOD_PERCENT:", "if False:"),),
    ),
    Mutant(
        "flood-ceases-with-a-restart",
        "A flood is taken to have ceased before a whole window is known.",
        (Edit(BREAKER, " or self._seen < self._window", ""),),
    ),
    Mutant(
        "flood-not-in-the-state",
        "That a flood was told is not written down.",
        (Edit(FLOODS, '        self._out.keep(flood, "flood", account.id)\n', ""),),
    ),
    Mutant(
        "halt-forgotten",
        "A partition that was halted is started again by the next rebalance.",
        (Edit(SESSION, "            if partition in self._halted:\n", "            if False:\n"),),
    ),
)
