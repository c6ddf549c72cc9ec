"""All planted faults: the engine, broken in ways in which engines get broken. The simulation must find each of them.

`make mutants` shows which seed finds which, and with which finding. How they are planted: `seams`.
"""

from __future__ import annotations

from tests.simulator.mutants.alert_mutants import ALERT_MUTANTS
from tests.simulator.mutants.breaker_mutants import BREAKER_MUTANTS
from tests.simulator.mutants.guard_mutants import GUARD_MUTANTS
from tests.simulator.mutants.reading_mutants import READING_MUTANTS
from tests.simulator.mutants.start_mutants import START_MUTANTS
from tests.simulator.mutants.transaction_mutants import TRANSACTION_MUTANTS

MUTANTS = (*TRANSACTION_MUTANTS, *START_MUTANTS, *READING_MUTANTS, *BREAKER_MUTANTS, *GUARD_MUTANTS, *ALERT_MUTANTS)

BY_NAME = {mutant.name: mutant for mutant in MUTANTS}
