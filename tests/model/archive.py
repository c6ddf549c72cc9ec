"""May an order be archived, and what is `archive.requested` answered (contract section 7).

Choices where the contract leaves room:
- `blocking` lists the leaves whose status is not terminal, and (null, processing) once for uncovered units. An
  order that is not placed and has nothing else against it is refused with an empty list.
"""

from __future__ import annotations

from typing import Any

from tests.model.units import TERMINAL, Picture


def blocking(picture: Picture) -> list[dict[str, Any]]:
    leaves = [(leaf, picture.sub_orders[leaf]) for leaf in picture.leaves]
    rows: list[dict[str, Any]] = [
        {"sub_order_id": leaf, "status": status} for leaf, status in leaves if status not in TERMINAL
    ]
    if picture.uncovered:
        rows.append({"sub_order_id": None, "status": "processing"})
    return rows


def refusal(picture: Picture, *, dead_letter_pending: bool) -> str | None:
    """Why a known order is not eligible; None if it is."""
    if not picture.placed or blocking(picture) or any(row.open for row in picture.rows):
        return "VALIDATION_ERROR"
    if picture.return_under_way:
        return "RETURN_IN_PROGRESS"
    if dead_letter_pending:
        return "DEAD_LETTERED"
    return None


def answer(order_id: str, picture: Picture | None, *, departed: bool, dead_letter_pending: bool) -> dict[str, Any]:
    """What `archive.requested` is answered, without the envelope and the message."""
    if picture is None:
        if departed:
            return {"type": "archive.eligible", "order_id": order_id, "statuses": {}}
        return {"type": "archive.rejected", "order_id": order_id, "statuses": {}, "code": "NOT_FOUND"}
    code = refusal(picture, dead_letter_pending=dead_letter_pending)
    if code is None:
        return {"type": "archive.eligible", "order_id": order_id, "statuses": picture.sub_orders}
    rejected: dict[str, Any] = {"type": "archive.rejected", "order_id": order_id, "code": code}
    rejected["statuses"] = picture.sub_orders
    if code == "VALIDATION_ERROR":
        rejected["blocking"] = blocking(picture)
    return rejected
