"""The input that outputs are made for, and the fields that all of them share."""

from __future__ import annotations

from typing import final

from schemas.encoding import envelope_of, json_string
from worker.domain.accounts import Account


@final
class Cause:
    """The input that outputs are made for.

    `source` is its `topic/partition/offset`, `recorded_at` its timestamp in milliseconds, `number` the running number
    of the last output.
    """

    __slots__ = (
        "_envelope",
        "_order_json",
        "account",
        "event_id",
        "number",
        "occurred_at",
        "order_id",
        "recorded_at",
        "source",
        "sub_order_id",
    )

    def __init__(
        self,
        account: Account,
        source: str,
        recorded_at: int,
        occurred_at: str,
        event_id: str | None,
        order_id: str | None = None,
        sub_order_id: str | None = None,
    ) -> None:
        self.account = account
        self.source = source
        self.recorded_at = recorded_at
        self.occurred_at = occurred_at
        self.event_id = event_id
        self.order_id = order_id
        self.sub_order_id = sub_order_id
        self.number = -1
        self._envelope: str | None = None
        self._order_json: str | None = None

    @property
    def envelope(self) -> str:
        """The fields that all its outputs share, as JSON."""
        if self._envelope is None:
            cause = None if self.event_id is None else json_string(self.event_id)
            self._envelope = envelope_of(self.account.json, self.occurred_at, cause)
        return self._envelope

    @property
    def order_json(self) -> str:
        """The fields order_id and sub_order_id as far as there are any, to be put behind others."""
        if self._order_json is None:
            order = "" if self.order_id is None else f',"order_id":{json_string(self.order_id)}'
            if self.sub_order_id is not None:
                order += f',"sub_order_id":{json_string(self.sub_order_id)}'
            self._order_json = order
        return self._order_json

    def next_id(self) -> str:
        """The `event_id` of the next output."""
        self.number += 1
        return self.last_id()

    def last_id(self) -> str:
        """The `event_id` of the last output."""
        return f"{self.source}/{self.number}"
