"""`python -m tests.simulator.mutants`: hunt all planted faults, or run one of them."""

from tests.simulator import hashes
from tests.simulator.mutants.hunt import main

hashes.fix()
main(prog_name="python -m tests.simulator.mutants")
