"""Planted faults: the engine, broken on purpose, so that the simulation has something to find."""
