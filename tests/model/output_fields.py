"""Which fields outputs have, as the contract lists them: for judges that share nothing with the types."""

from __future__ import annotations

ENVELOPE = ("type", "event_id", "account_id", "occurred_at", "cause")
