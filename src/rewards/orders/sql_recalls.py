"""The statements of recalls: who holds a unit, and which one an item had before."""

from collections.abc import Sequence
from datetime import datetime

from rewards.infra.db import Tx
from rewards.orders.model import Holder, Item, ItemStatus, State, Status, SubStatus

HOLDERS = """
SELECT i.unit_id, i.order_id, i.position, i.status AS item_status, o.client_id, o.status,
    o.sub_status, o.currency, o.amount_minor, o.quantity, o.cancelled + o.revoked AS returned
FROM order_items AS i JOIN orders AS o ON o.id = i.order_id
WHERE i.unit_id = ANY($1::bigint[])
ORDER BY i.unit_id
"""

ADD_REPLACEMENTS = """
INSERT INTO order_replacements (unit_id, order_id, position, replaced_by, at)
SELECT unit_id, order_id, position, replaced_by, $5
FROM unnest($1::bigint[], $2::bigint[], $3::int[], $4::bigint[])
    AS ask (unit_id, order_id, position, replaced_by)
"""


async def holders(tx: Tx, unit_ids: Sequence[int]) -> list[Holder]:
    """In order of unit; units of no item are left out."""
    return [
        Holder(
            row["unit_id"],
            row["order_id"],
            row["position"],
            ItemStatus(row["item_status"]),
            row["client_id"],
            State(Status(row["status"]), SubStatus(row["sub_status"])),
            row["currency"],
            row["amount_minor"],
            row["quantity"],
            row["returned"],
        )
        for row in await tx.fetch(HOLDERS, list(unit_ids))
    ]


async def add_replacements(tx: Tx, swaps: Sequence[tuple[Item, Item]], at: datetime) -> None:
    """Remember (before, after) pairs of items that got another unit."""
    if swaps:
        await tx.execute(
            ADD_REPLACEMENTS,
            [before.unit_id for before, _ in swaps],
            [before.order_id for before, _ in swaps],
            [before.position for before, _ in swaps],
            [after.unit_id for _, after in swaps],
            at,
        )
