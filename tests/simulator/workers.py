"""The workers of a run: how they are set up."""

from __future__ import annotations

from dataclasses import replace

from tests.model.run import AccountPolicies
from tests.simulator.audit.expected import OUTPUTS
from tests.simulator.audit.partition_audit import INPUTS, JOURNAL, STATE
from tests.simulator.scenario import Plan
from tests.simulator.world import Simulation
from worker.domain.policies import AccountPolicies as WorkerPolicies
from worker.domain.policies import Policies
from worker.stream import EngineConfig

PREFIX = "shop."
APP_ID = "stockfreeze"
FETCH_WAIT_MS = 250
"""Longer than the engine's own: it costs nothing but idle fetches, which are most of what a run computes."""
PACED = (
    "request_timeout_ms",
    "session_timeout_ms",
    "heartbeat_interval_ms",
    "rebalance_timeout_ms",
    "transaction_timeout_ms",
    "step_ms_max",
    "revoke_ms_max",
    "abort_ms_max",
    "restore_silence_ms_max",
    "backoff_ms_max",
    "fenced_backoff_ms",
    "silence_ms_max",
)
"""Settings that depend on each other, so all of them follow the pace."""


def config_of(plan: Plan, simulation: Simulation, worker: str) -> EngineConfig:
    """The settings of a worker: the defaults, but for the pace."""
    config = EngineConfig(
        app_id=APP_ID,
        client=simulation.client_options,
        inputs=tuple(PREFIX + topic for topic in INPUTS),
        outputs=tuple(PREFIX + topic for topic in OUTPUTS),
        journal_topic=PREFIX + JOURNAL,
        state_topic=PREFIX + STATE,
        breaker_bad_max=plan.breaker_bad_max,
        breaker_window=plan.breaker_window,
        fetch_wait_ms_max=FETCH_WAIT_MS,
        group_instance_id=worker if plan.static else None,
    )
    return replace(config, **{name: int(getattr(config, name) * plan.pace) for name in PACED})  # type: ignore[arg-type]


def rules_of(rules: AccountPolicies) -> Policies:
    """The worker's form of the model's rules."""
    return Policies(defaults=WorkerPolicies(**rules._asdict()))
