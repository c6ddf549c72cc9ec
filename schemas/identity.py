"""What makes two records the same event: contract section 2, "Identity".

An event remembers others by 16 bytes: a hash of its id and one of its content. They are kept in the state, so how they
are computed is part of the state's format: changing it would turn every repeat of an older event into a conflict. A new
optional field does not, as absent fields are not encoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from xxhash import xxh3_64_digest, xxh3_128_hexdigest

from schemas.inputs import (
    InputEvent,
    StockCounted,
    SubOrderCreated,
    SubOrderInTransit,
    SubOrderLabelIssued,
    SubOrderShipped,
    SubOrderSplit,
)

_SINCE_VERSION_1: Final[dict[type, tuple[str, ...]]] = {
    SubOrderCreated: ("revision",),
    SubOrderSplit: ("split_reason",),
    SubOrderLabelIssued: ("carrier",),
    SubOrderShipped: ("carrier",),
    SubOrderInTransit: ("carrier",),
}
"""Fields that programs of state version 1 did not know: they ignored them, and took identities without them."""

_encode: Final = msgspec.msgpack.Encoder().encode


def identity_of(event: InputEvent) -> tuple[bytes, bytes]:
    """Returns the hash of the event's id and that of its content, 8 bytes each.

    The event must be in its normal form, as decoded. The content of a snapshot's part is its facts of the stock: the
    same part may be sent again under another event_id.
    """
    content: object = event
    if type(event) is StockCounted:  # isinstance costs more: the metaclass of structs takes part in it
        content = (event.parts, event.as_of, event.absent, event.counts)
    return xxh3_64_digest(event.event_id.encode()), xxh3_64_digest(_encode(content))


def alert_id_of(alert: str, account_id: str, ids: Mapping[str, object]) -> str:
    """Returns the `alert_id` of a condition: the alert's name, and a hash of the account and the ids, by their names.

    Its record is cleared by the same, perhaps years later. So how it is computed is part of the wire's format, too.
    """
    return f"{alert}-{xxh3_128_hexdigest(_encode([account_id, alert, sorted(ids.items())]))}"


def content_of_version_1(event: InputEvent) -> bytes:
    """Returns the hash of the event's content as a program of state version 1 took it: without the fields since."""
    fields = dict.fromkeys(_SINCE_VERSION_1.get(type(event), ()))
    return xxh3_64_digest(_encode(msgspec.structs.replace(event, **fields)))
