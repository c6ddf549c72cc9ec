"""Planted faults of the breaker, and of what is halted: broken in ways in which such counts get broken."""

from __future__ import annotations

from tests.simulation.planting import Edit, Mutant

BATCH = "worker.stream.batch"
BREAKER = "worker.stream.breaker"
SESSION = "worker.stream.session"
TASK = "worker.stream.task"

BREAKER_MUTANTS = (
    Mutant(
        "breaker-never-opens",
        "However many records are bad, the partition goes on.",
        (Edit(BREAKER, "return bad and 0 < self._bad_max <= len(self._bad)", "return False"),),
    ),
    Mutant(
        "breaker-counts-in-a-row",
        "A good record lets the breaker forget the bad ones before it.",
        (
            Edit(
                BREAKER,
                "            self._bad.append(self._seen)\n",
                "            self._bad.append(self._seen)\n        else:\n            self._bad.clear()\n",
            ),
        ),
    ),
    Mutant(
        "breaker-forgets-nothing",
        "The breaker counts all bad records, however long ago they were.",
        (Edit(BREAKER, "            self._bad.popleft()\n", "            break\n"),),
    ),
    Mutant(
        "breaker-of-a-batch",
        "The breaker counts within one transaction.",
        (
            Edit(
                TASK,
                "self.processor, progress, breaker)\n",
                "self.processor, progress, Breaker(breaker._bad_max, breaker._window))\n",
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
        "halt-forgotten",
        "A partition that was halted is started again by the next rebalance.",
        (Edit(SESSION, "            if partition in self._halted:\n", "            if False:\n"),),
    ),
)
