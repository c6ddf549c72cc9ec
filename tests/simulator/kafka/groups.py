"""The group coordinator: members, generations and rebalances of one consumer group.

The classic protocol: members join, the first of them assigns, all get their share, and all keep up heartbeats. A
rebalance waits for every known member to join again, as long as their rebalance time-out allows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from tests.simulator.kafka.codes import Code
from tests.simulator.kafka.group_offsets import GroupOffsets, Offsets
from tests.simulator.loop import SimulatedLoop

NO_GENERATION = -1


class GroupState(StrEnum):
    """As Apache Kafka names them."""

    EMPTY = "Empty"
    PREPARING = "PreparingRebalance"
    COMPLETING = "CompletingRebalance"
    STABLE = "Stable"


class Joined(NamedTuple):
    """The answer to a join."""

    code: Code
    generation: int = NO_GENERATION
    protocol: str = ""
    leader: str = ""
    member_id: str = ""
    members: tuple[tuple[str, str | None, bytes], ...] = ()


class Join(NamedTuple):
    """A request to join."""

    member_id: str
    instance_id: str | None
    session_timeout_ms: int
    rebalance_timeout_ms: int
    protocols: tuple[tuple[str, bytes], ...]


@dataclass
class _Member:
    member_id: str
    instance_id: str | None
    session_seconds: float
    rebalance_seconds: float
    protocols: tuple[tuple[str, bytes], ...]
    heard_at: float
    joining: Callable[[Joined], None] | None = None
    syncing: Callable[[Code, bytes], None] | None = None
    assignment: bytes = b""


class Group:
    """One consumer group."""

    def __init__(self, loop: SimulatedLoop, group_id: str) -> None:
        self._loop = loop
        self.group_id = group_id
        self.state = GroupState.EMPTY
        self.generation = 0
        self._members: dict[str, _Member] = {}
        self._static: dict[str, str] = {}
        self._leader = ""
        self._made = 0
        self._rebalance = 0
        self.offsets = GroupOffsets()
        self.awake: Callable[[Callable[[], None]], None] = lambda action: action()
        """Does something once the coordinator is up and awake."""
        self.on_event: Callable[[str], None] | None = None

    # -- requests

    def join(self, request: Join, reply: Callable[[Joined], None]) -> None:
        """Join, or join again. Answered when the rebalance is complete."""
        member_id = request.member_id
        if not member_id and request.instance_id is None:
            # It is asked to come again under this name, so that a lost answer leaves no dead member behind.
            self._made += 1
            reply(Joined(Code.MEMBER_ID_REQUIRED, member_id=f"member-{self._made}"))
            return
        if request.instance_id is not None and self._join_static(request, reply):
            return
        member = self._members.get(member_id)
        if member is None:
            if request.instance_id is None and not self._was_given(member_id):
                reply(Joined(Code.UNKNOWN_MEMBER_ID, member_id=member_id))
                return
            member = self._add(request)
        elif self.state is GroupState.STABLE and member.protocols == request.protocols and member_id != self._leader:
            # It asks for what it should know; nothing has changed.
            member.heard_at = self._loop.time()
            reply(self._joined(member))
            return
        elif self.state is GroupState.COMPLETING and member.protocols == request.protocols:
            reply(self._joined(member))
            return
        member.protocols = request.protocols
        member.joining = reply
        member.heard_at = self._loop.time()
        self._prepare()
        self._complete_if_all()

    def _was_given(self, member_id: str) -> bool:
        number = member_id.removeprefix("member-")
        return number.isdigit() and int(number) <= self._made

    def _join_static(self, request: Join, reply: Callable[[Joined], None]) -> bool:
        """Let a static member that came back under its instance id take its place; whether that answers the join."""
        assert request.instance_id is not None
        known = self._static.get(request.instance_id)
        if known is None:
            return False
        if request.member_id:
            if request.member_id != known:
                reply(Joined(Code.FENCED_INSTANCE_ID, member_id=request.member_id))
                return True
            return False
        old = self._members.pop(known)
        if old.joining is not None:
            old.joining(Joined(Code.FENCED_INSTANCE_ID, member_id=known))
        if old.syncing is not None:
            old.syncing(Code.FENCED_INSTANCE_ID, b"")
        member = self._add(request)
        member.assignment = old.assignment
        if self._leader == known:
            self._leader = member.member_id
        if self.state is GroupState.STABLE and old.protocols == request.protocols:
            # The answer has the leader's old name: so it does not assign, and takes what its predecessor had.
            reply(self._joined(member)._replace(leader=known if self._leader == member.member_id else self._leader))
            return True
        member.joining = reply
        self._prepare()
        self._complete_if_all()
        return True

    def sync(
        self,
        generation: int,
        member_id: str,
        instance_id: str | None,
        assignments: dict[str, bytes],
        reply: Callable[[Code, bytes], None],
    ) -> None:
        """Give or get the assignment. Answered when the leader has given it."""
        code = self._check(member_id, generation, instance_id)
        if code is not Code.NONE:
            reply(code, b"")
            return
        member = self._members[member_id]
        member.heard_at = self._loop.time()
        match self.state:
            case GroupState.PREPARING:
                reply(Code.REBALANCE_IN_PROGRESS, b"")
            case GroupState.STABLE:
                reply(Code.NONE, member.assignment)
            case GroupState.EMPTY:
                reply(Code.UNKNOWN_MEMBER_ID, b"")
            case GroupState.COMPLETING:
                member.syncing = reply
                if member_id == self._leader:
                    self._stabilize(assignments)

    def heartbeat(self, generation: int, member_id: str) -> Code:
        """Keep a member's session alive."""
        code = self._check(member_id, generation, None)
        if code is not Code.NONE:
            return code
        self._members[member_id].heard_at = self._loop.time()
        return Code.REBALANCE_IN_PROGRESS if self.state is GroupState.PREPARING else Code.NONE

    def leave(self, member_id: str) -> Code:
        """Leave for good."""
        if member_id not in self._members:
            return Code.UNKNOWN_MEMBER_ID
        self._remove(member_id)
        return Code.NONE

    def commit(self, generation: int, member_id: str, offsets: Offsets) -> Code:
        """Commit offsets, as a member of this generation or as nobody's member in an empty group."""
        if generation >= 0 or self.state is not GroupState.EMPTY:
            code = self._check(member_id, generation, None)
            if code is not Code.NONE:
                return code
            if self.state is GroupState.COMPLETING:
                return Code.REBALANCE_IN_PROGRESS
        self.offsets.commit(offsets)
        return Code.NONE

    def forget_requests(self) -> None:
        """Its coordinator moved: who waits for an answer waits in vain, and the sessions begin anew."""
        for member in self._members.values():
            member.joining = member.syncing = None
            member.heard_at = self._loop.time()
        if self.state in (GroupState.PREPARING, GroupState.COMPLETING):
            # What was not finished was not written: the new coordinator finds members that must join.
            self.state = GroupState.STABLE
            self._prepare()

    # -- rebalances

    def _check(self, member_id: str, generation: int, instance_id: str | None) -> Code:
        if instance_id is not None and self._static.get(instance_id, member_id) != member_id:
            return Code.FENCED_INSTANCE_ID
        if member_id not in self._members:
            return Code.UNKNOWN_MEMBER_ID
        return Code.NONE if generation == self.generation else Code.ILLEGAL_GENERATION

    def _add(self, request: Join) -> _Member:
        member_id = request.member_id
        if not member_id:
            self._made += 1
            member_id = f"{request.instance_id}-{self._made}"
        member = _Member(
            member_id,
            request.instance_id,
            request.session_timeout_ms / 1000,
            request.rebalance_timeout_ms / 1000,
            request.protocols,
            self._loop.time(),
        )
        self._members[member_id] = member
        if request.instance_id is not None:
            self._static[request.instance_id] = member_id
        self._watch(member)
        return member

    def _watch(self, member: _Member) -> None:
        at = member.heard_at + member.session_seconds
        self._loop.later(at - self._loop.time(), lambda: self.awake(lambda: self._expire(member)))

    def _expire(self, member: _Member) -> None:
        if self._members.get(member.member_id) is not member:
            return
        if member.joining is not None or member.syncing is not None:
            member.heard_at = self._loop.time()
        if member.heard_at + member.session_seconds > self._loop.time() + 1e-6:
            self._watch(member)
            return
        self._event(f"{member.member_id} was not heard of for {member.session_seconds:.0f} s")
        self._remove(member.member_id)

    def _remove(self, member_id: str) -> None:
        member = self._members.pop(member_id)
        if member.instance_id is not None and self._static.get(member.instance_id) == member_id:
            del self._static[member.instance_id]
        if member.joining is not None:
            member.joining(Joined(Code.UNKNOWN_MEMBER_ID, member_id=member_id))
        if member.syncing is not None:
            member.syncing(Code.UNKNOWN_MEMBER_ID, b"")
        self._event(f"{member_id} is no member any more")
        if self.state is GroupState.PREPARING:
            self._complete_if_all()
        else:
            self._prepare()
            self._complete_if_all()

    def _prepare(self) -> None:
        if self.state is GroupState.PREPARING:
            return
        if self.state is GroupState.COMPLETING:
            for member in self._members.values():
                if member.syncing is not None:
                    member.syncing(Code.REBALANCE_IN_PROGRESS, b"")
                    member.syncing = None
        self.state = GroupState.PREPARING
        self._rebalance += 1
        number = self._rebalance
        seconds = max((member.rebalance_seconds for member in self._members.values()), default=0.0)
        self._loop.later(seconds, lambda: self.awake(lambda: self._give_up_waiting(number)))

    def _give_up_waiting(self, number: int) -> None:
        """Go on without those who have not joined in time."""
        if self.state is not GroupState.PREPARING or self._rebalance != number:
            return
        for member_id in [m.member_id for m in self._members.values() if m.joining is None]:
            member = self._members.pop(member_id)
            if member.instance_id is not None:
                del self._static[member.instance_id]
        self._complete_if_all()

    def _complete_if_all(self) -> None:
        if self.state is not GroupState.PREPARING:
            return
        if not self._members:
            self.state = GroupState.EMPTY
            self.generation += 1
            return
        if any(member.joining is None for member in self._members.values()):
            return
        self.generation += 1
        self.state = GroupState.COMPLETING
        if self._leader not in self._members:
            self._leader = next(iter(self._members))
        self._event(f"generation {self.generation}: {', '.join(self._members)}")
        for member in list(self._members.values()):
            joining, member.joining = member.joining, None
            member.heard_at = self._loop.time()
            if joining is not None:
                joining(self._joined(member))

    def _joined(self, member: _Member) -> Joined:
        protocol = member.protocols[0][0]
        members: tuple[tuple[str, str | None, bytes], ...] = ()
        if member.member_id == self._leader:
            members = tuple((m.member_id, m.instance_id, dict(m.protocols)[protocol]) for m in self._members.values())
        return Joined(Code.NONE, self.generation, protocol, self._leader, member.member_id, members)

    def _stabilize(self, assignments: dict[str, bytes]) -> None:
        self.state = GroupState.STABLE
        for member in list(self._members.values()):
            member.assignment = assignments.get(member.member_id, b"")
            syncing, member.syncing = member.syncing, None
            member.heard_at = self._loop.time()
            if syncing is not None:
                syncing(Code.NONE, member.assignment)

    def _event(self, what: str) -> None:
        if self.on_event is not None:
            self.on_event(f"group {self.group_id}: {what}")
