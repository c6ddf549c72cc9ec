"""Which member of the group gets which partitions: by range, but never by a leader that does not know them all.

The client's own assignor leaves out a topic of which its leader has no metadata yet (the answer may be late), and so
gives its partitions to nobody. The broker keeps such an assignment: nobody notices, and a static member that comes back
is given it again without a rebalance. A leader that refuses instead joins anew, and the group is led by somebody who
knows. It also logs its refusal: of what is raised in here, the client hands on a text.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata

from worker.stream.errors import NotReady

log = logging.getLogger(__name__)


class KnowingRangeAssignor(RangePartitionAssignor):  # type: ignore[misc] # aiokafka has no types
    """The range assignor; its protocol name is the same, so workers of either kind can be in one group."""

    @classmethod
    def assign(cls, cluster: Any, members: Mapping[str, Any]) -> Any:  # noqa: ANN401 - aiokafka has no types
        """Assign the partitions of all topics that members read. Raises NotReady where some are not known."""
        topics = {topic for metadata in members.values() for topic in metadata.subscription}
        unknown = sorted(topic for topic in topics if not cluster.partitions_for_topic(topic))
        if unknown:
            refusal = NotReady(f"the leader of the group has not learned of the partitions of {', '.join(unknown)}")
            log.warning("no partitions are assigned: %s", refusal)
            raise refusal
        return super().assign(cluster, members)


def assignor_with(member_data: bytes) -> type[KnowingRangeAssignor]:
    """The assignor of a member that joins with these bytes: whoever describes the group reads them.

    A static member that comes back with other bytes is described with those, whereas the broker keeps its client id.
    """

    class AssignorWithData(KnowingRangeAssignor):
        @classmethod
        def metadata(cls, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
            return ConsumerProtocolMemberMetadata(cls.version, list(topics), member_data)

    return AssignorWithData
