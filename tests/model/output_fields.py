"""Which fields outputs have, as the contract lists them: for judges that share nothing with the types."""

from __future__ import annotations

ENVELOPE = ("type", "event_id", "account_id", "occurred_at", "cause")
OF_ALERT = {
    "oversold": ("warehouse_id", "sku"),
    "over_allocated": ("order_id", "sku"),
    "over_returned": ("order_id", "sub_order_id", "sku"),
    "superseded_shipped": ("order_id", "sub_order_id"),
    "conflict": ("order_id", "warehouse_id", "sku"),
    "flooding": (),
}
ALERT_FIELDS = ("order_id", "sub_order_id", "warehouse_id", "sku")
