"""A plan of faults taking its course in one simulation: it watches the requests and the time, and strikes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_never

from aiokafka.protocol.metadata import MetadataRequest_v5
from aiokafka.protocol.produce import ProduceRequest_v7
from aiokafka.protocol.transaction import (
    AddOffsetsToTxnRequest_v0,
    AddPartitionsToTxnRequest_v0,
    EndTxnRequest_v0,
    TxnOffsetCommitRequest_v0,
)

from tests.simulator.faults.faults import AtRequest, AtTime, Fault, FaultPlan
from tests.simulator.kafka.cluster import GROUP, TRANSACTION
from tests.simulator.kafka.error_answers import ERRORS, refused, weakened
from tests.simulator.kafka.fetch_answers import garbled
from tests.simulator.kafka.network import Request, Response, Verdict
from worker.stream.kafka.transaction_requests import EndTxnRequest_v5, ProduceRequest_v12, TxnOffsetCommitRequest_v5

if TYPE_CHECKING:
    from tests.simulator.world import Simulation

AS_KAFKA_4 = {
    EndTxnRequest_v5: (EndTxnRequest_v0,),
    ProduceRequest_v12: (ProduceRequest_v7, AddPartitionsToTxnRequest_v0),
    TxnOffsetCommitRequest_v5: (TxnOffsetCommitRequest_v0, AddOffsetsToTxnRequest_v0),
}
"""A plan names the requests of the old way. What takes their place is struck by what was meant for each of them: of two
together, the second one strikes at the next.
"""
SLOW_SECONDS_MAX = 1.0
MARKERS_SECONDS_MAX = 3.0


@dataclass
class _Outlived:
    """A request of a transactional id that is held up until its sender goes on without it."""

    fault: Fault
    transactional_id: str
    arrive: Callable[[], None]
    is_given_up: Callable[[], bool]
    produced: int = 0
    """How often since."""


class Course:
    """One run of a plan."""

    def __init__(self, plan: FaultPlan, simulation: Simulation) -> None:
        self._simulation = simulation
        self._until_seconds = plan.until_seconds
        self._counts: Counter[Any] = Counter()
        self._at_requests = {(fault.request, fault.nth): fault for fault in plan.faults if fault.request is not None}
        self.struck: set[int] = set()
        """The numbers of the faults that had a chance to do something."""
        self._slow_until = 0.0
        self._markers_slow_until = 0.0
        self._outlived: list[_Outlived] = []
        if self._at_requests:
            simulation.network.interference = self
        for fault in plan.faults:
            if fault.request is None:
                simulation.after(fault.at_seconds, lambda fault=fault: self._strike(fault))  # type: ignore[misc]

    # -- at requests

    def on_request(self, request: Request, process: str) -> Verdict | None:
        """What becomes of a request; None: nothing special."""
        kind = type(request)
        self._counts[kind] += 1
        if kind in (ProduceRequest_v7, ProduceRequest_v12) and self._outlived:
            self._release(request.transactional_id)
        nth = self._counts[kind]
        planned = [(named, nth) for named in AS_KAFKA_4.get(kind, (kind,)) if (named, nth) in self._at_requests]
        fault = self._at_requests[planned[0]] if planned else None
        for named, _ in planned[1:]:
            self._at_requests.setdefault((named, nth + 1), self._at_requests[named, nth])
        if fault is None or self._simulation.seconds > self._until_seconds:
            return None
        assert isinstance(fault.blow, AtRequest)
        self._note(fault)
        return self._verdict(fault, fault.blow, request, process)

    def _verdict(self, fault: Fault, blow: AtRequest, request: Request, process: str) -> Verdict:
        verdict = Verdict()
        match blow:
            case AtRequest.LOSE_REQUEST:
                verdict.request = False
            case AtRequest.CUT_BEFORE:
                verdict.request, verdict.cut = False, True
            case AtRequest.LOSE_ANSWER:
                verdict.answer = False
            case AtRequest.CUT_AFTER:
                verdict.answer, verdict.cut = False, True
            case AtRequest.DELAY_REQUEST:
                verdict.request_after = fault.seconds
            case AtRequest.DELAY_ANSWER:
                verdict.answer_after = fault.seconds
            case AtRequest.REFUSE:
                verdict.refuse = lambda request: self._error(request, None, fault.code)
            case AtRequest.REFUSE_AFTER:
                verdict.replace = lambda request, response: self._error(request, response, fault.code)
            case AtRequest.GARBLE:
                verdict.replace = lambda request, response: self._garbled(request, response, fault)
            case AtRequest.OUTLIVE:
                verdict.held = lambda *ways: self._outlived.append(_Outlived(fault, request.transactional_id, *ways))
            case AtRequest.CRASH_SENT | AtRequest.CRASH_DONE | AtRequest.FREEZE_SENT | AtRequest.FREEZE_DONE:
                self._strike_sender(fault, blow, process, verdict)
            case _:
                assert_never(blow)
        return verdict

    def _release(self, transactional_id: str) -> None:
        """A produce of an id is on its way: so may be what was held up."""
        for held in list(self._outlived):
            if held.transactional_id == transactional_id and held.is_given_up():
                held.produced += 1
                if held.produced == held.fault.amount:
                    self._outlived.remove(held)
                    self._simulation.after(held.fault.seconds, held.arrive)

    def _strike_sender(self, fault: Fault, blow: AtRequest, process: str, verdict: Verdict) -> None:
        simulation = self._simulation

        def strike() -> None:
            if blow in (AtRequest.CRASH_SENT, AtRequest.CRASH_DONE):
                simulation.crash(process)
            else:
                simulation.freeze(process, fault.seconds)

        if blow in (AtRequest.CRASH_DONE, AtRequest.FREEZE_DONE):
            verdict.done = strike
        else:
            simulation.after(0.0, strike)
            if blow is AtRequest.CRASH_SENT:
                verdict.request_after = fault.seconds

    def _error(self, request: Request, response: Response | None, code: int) -> Response | None:
        """The answer with an error in it; what was to be answered, where there is no such answer."""
        if type(request) is MetadataRequest_v5:
            return None if response is None else weakened(response, code)
        errors = ERRORS.get(type(request), ())
        if errors and code not in errors:  # it was drawn for a request of the old way
            code = errors[code % len(errors)]
        return refused(request, code) or response

    def _garbled(self, request: Request, response: Response, fault: Fault) -> Response:
        answer = garbled(response, fault.amount)
        if answer is None:  # most hold nothing: the next one, then
            kind = type(request)
            self._at_requests.setdefault((kind, self._counts[kind] + 1), fault)
        return answer or response

    # -- at a time

    def _strike(self, fault: Fault) -> None:
        blow = fault.blow
        assert isinstance(blow, AtTime)
        self._note(fault)
        if fault.process:
            self._strike_process(fault, blow)
        else:
            self._strike_cluster(fault, blow)

    def _strike_process(self, fault: Fault, blow: AtTime) -> None:
        simulation, process = self._simulation, fault.process
        if blow is AtTime.MOVE_CLOCK:
            simulation.move_wall_clock(process, (fault.amount - 1) * fault.seconds)
        elif not simulation.running(process):
            return
        elif blow is AtTime.CRASH_STEP:
            simulation.crash_at_step(process, simulation.steps(process) + fault.amount)
        elif blow is AtTime.CRASH:
            simulation.crash(process)
        elif blow is AtTime.FREEZE:
            simulation.freeze(process, fault.seconds)
        elif blow is AtTime.ISOLATE:
            simulation.network.isolate(process, fault.seconds)

    def _strike_cluster(self, fault: Fault, blow: AtTime) -> None:
        simulation = self._simulation
        cluster = simulation.cluster
        node_id = fault.amount % len(cluster.nodes)
        strikes: dict[AtTime, Callable[[], None]] = {
            AtTime.KILL_NODE: lambda: cluster.kill(node_id, restart_after=fault.seconds),
            AtTime.FREEZE_NODE: lambda: cluster.freeze(node_id, fault.seconds),
            AtTime.CUT_NODE: lambda: simulation.network.cut(node_id),
            AtTime.MOVE_GROUP: lambda: cluster.move_coordinators(GROUP),
            AtTime.OLD_OFFSETS: lambda: cluster.answer_old_offsets(fault.amount, fault.seconds),
            AtTime.AGREE: lambda: cluster.agree_on_transactions(fault.amount),
            AtTime.MOVE_TRANSACTIONS: lambda: cluster.move_coordinators(TRANSACTION),
            AtTime.SLOW_MARKERS: lambda: cluster.transactions.slow_markers(MARKERS_SECONDS_MAX, fault.seconds),
            AtTime.SLOW_NETWORK: lambda: simulation.network.slow(SLOW_SECONDS_MAX, fault.seconds),
            AtTime.COMPACT: cluster.clean_logs,
        }
        strikes[blow]()

    def _note(self, fault: Fault) -> None:
        self.struck.add(fault.number)
        self._simulation.note("fault", f"{fault.number}: {fault.what}")
