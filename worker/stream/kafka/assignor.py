"""Which member of the group gets which partitions: by range, and only if the group's leader knows all of them.

aiokafka's own assignor leaves out a topic if the leader has no metadata of it yet, so no member gets its partitions.
The broker keeps such an assignment, and a returning static member gets it again without a rebalance. So this assignor
raises instead. The leader then joins again, and a member that knows the topic leads the group. The error is also
logged, because aiokafka passes on only the text of an exception raised here.
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
    """The range assignor. It has the same protocol name, so members with either assignor can be in one group."""

    @classmethod
    def assign(cls, cluster: Any, members: Mapping[str, Any]) -> Any:  # noqa: ANN401 - aiokafka has no types
        """Assign the partitions of all topics that members read. Raises NotReady if some are not known."""
        topics = {topic for metadata in members.values() for topic in metadata.subscription}
        unknown = sorted(topic for topic in topics if not cluster.partitions_for_topic(topic))
        if unknown:
            refusal = NotReady(f"the leader of the group has no metadata yet for partitions of {', '.join(unknown)}")
            log.warning("no partitions are assigned: %s", refusal)
            raise refusal
        return super().assign(cluster, members)


def assignor_with(member_data: bytes) -> type[KnowingRangeAssignor]:
    """Make the assignor of a member that joins with these bytes, which a description of the group shows.

    If a static member returns with other bytes, the description shows those, but still its old client id.
    """

    class AssignorWithData(KnowingRangeAssignor):
        @classmethod
        def metadata(cls, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
            return ConsumerProtocolMemberMetadata(cls.version, list(topics), member_data)

    return AssignorWithData
