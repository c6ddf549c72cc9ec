"""A fetch that waits: until there is something to read, or its time is over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from aiokafka.protocol.fetch import FetchResponse_v11

from tests.simulator.kafka.cluster import Cluster, Node
from tests.simulator.kafka.network import Reply, Request, Response
from tests.simulator.kafka.partition_log import PartitionLog


class Answer(NamedTuple):
    """What a fetch would be answered at a moment."""

    topics: list[tuple[str, list[Any]]]
    size: int
    failed: bool
    """Whether there is an error in it: it is not waited with then."""


class Fetching:
    """One fetch, from its arrival to its answer."""

    def __init__(
        self, cluster: Cluster, node: Node, request: Request, look: Callable[[], Answer], reply: Reply
    ) -> None:
        self._node = node
        self._request = request
        self._look = look
        self._reply = reply
        self._watched: list[PartitionLog] = []
        answer = look()
        if self._suffices(answer) or request.max_wait_time <= 0:
            self._end(answer)
            return
        self._over = cluster.loop.later(request.max_wait_time / 1000, lambda: node.awake(self._time_is_over))
        for topic, partitions in request.topics:
            for partition, *_ in partitions:
                log = cluster.log(topic, partition)
                if log is not None:
                    log.watchers.append(self._look_again)
                    self._watched.append(log)

    def _suffices(self, answer: Answer) -> bool:
        return answer.failed or answer.size >= self._request.min_bytes

    def _look_again(self) -> None:
        if not self._node.up:
            self._forget()
        elif self._node.is_awake:
            answer = self._look()
            if self._suffices(answer):
                self._over.cancel()
                self._end(answer)

    def _time_is_over(self) -> None:
        self._end(self._look())

    def _end(self, answer: Answer) -> None:
        self._forget()
        self._reply(FetchResponse_v11(0, 0, 0, answer.topics))

    def _forget(self) -> None:
        for log in self._watched:
            log.watchers.remove(self._look_again)
        self._watched.clear()


def garbled(response: Response, number: int) -> Response | None:
    """The answer with a byte changed in one of its batches; `number` selects it. None: it has none."""
    filled = [(topic, answer[0]) for topic, answers in response.topics for answer in answers if answer[-1]]
    if not filled:
        return None
    chosen = filled[number % len(filled)]
    topics = [
        (topic, [_spoilt(answer) if (topic, answer[0]) == chosen else answer for answer in answers])
        for topic, answers in response.topics
    ]
    return FetchResponse_v11(0, 0, 0, topics)


def _spoilt(answer: tuple[Any, ...]) -> tuple[Any, ...]:
    *facts, data = answer
    return (*facts, bytes((*data[:-1], data[-1] ^ 1)))
