"""Planted faults of the guards: each of them is left out, and a loss goes unnoticed."""

from __future__ import annotations

from tests.simulator.mutants.planting import Edit, Mutant

ENGINE = "worker.stream.engine"
GUARDS = "worker.stream.start.guards"
RESTORE = "worker.stream.start.restore"
SESSION = "worker.stream.session"
STARTING = "worker.stream.start.partition_start"
TRANSACTION = "worker.stream.transactions.transaction"

GUARD_MUTANTS = (
    Mutant(
        "guard-lost-state",
        "A state without positions is a new one, whatever was written from the one before.",
        (Edit(GUARDS, "            yield from self._lost_state(found)\n", ""),),
    ),
    Mutant(
        "guard-journal",
        "Nobody looks where the journal ends.",
        (Edit(GUARDS, "        yield from self._journal(checkpoint, found)\n", ""),),
    ),
    Mutant(
        "guard-state-records",
        "Nobody counts what the state has.",
        (Edit(GUARDS, "        yield from self._state_records(checkpoint, found)\n", ""),),
    ),
    Mutant(
        "guard-inputs",
        "An input is taken for the one that was read.",
        (Edit(GUARDS, "            if position is not None:\n", "            if False:\n"),),
    ),
    Mutant(
        "guard-ids",
        "A topic that is made anew under a running worker goes unnoticed.",
        (Edit(SESSION, "        if changed:\n", "        if False:\n"),),
    ),
    Mutant(
        "guard-anchor",
        "The last record that was read proves a topic, though it may be the new one's own.",
        (
            Edit(
                GUARDS,
                "        is_proven = anchor is not None and records.get(anchor.offset) == anchor\n",
                "        is_proven = bool(proofs) and records.get(proofs[0].offset) == proofs[0]\n",
            ),
            Edit(GUARDS, "    if is_changed and anchor is not None and anchor not in proofs:\n", "    if False:\n"),
        ),
    ),
    Mutant(
        "guard-places",
        "Nobody looks where the records of a transaction lie, in state and journal.",
        (Edit(TRANSACTION, "        self._check_places(ends, counts)\n", ""),),
    ),
    Mutant(
        "guard-memory",
        "A state in memory is used though the topic is another one.",
        (
            Edit(RESTORE, "        if fence_offset <= since_offset:\n            return False\n", ""),
            Edit(STARTING, "        if memory.known_topics.changed(self._ids):\n            return None\n", ""),
        ),
    ),
    Mutant(
        "guard-policies",
        "Nobody looks whether the state may expire.",
        (
            Edit(ENGINE, "            await check.check_policies()\n", ""),
            Edit(SESSION, "        await self._check.check_policies()\n", ""),
        ),
    ),
)
