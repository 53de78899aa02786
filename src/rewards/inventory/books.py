"""Stock as it is compared with other books: every unit in order of id; nothing here writes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rewards.infra.db import Tx
from rewards.inventory import sql_books
from rewards.inventory.model import UnitState


@dataclass(frozen=True, slots=True)
class CountedUnit:
    """What of a unit is counted; never its code.

    `written_off_at`: when it was taken out of stock for good, which nobody had had.
    """

    id: int
    product_id: int
    batch_id: int
    denomination_minor: int
    currency: str
    cost_minor: int | None
    cost_currency: str | None
    state: UnitState
    created_at: datetime
    written_off_at: datetime | None


async def bounds(tx: Tx) -> tuple[int, int] | None:
    """The first and last id of all units; None for none."""
    return await sql_books.bounds(tx)


async def counted(tx: Tx, after_id: int, upto_id: int) -> list[CountedUnit]:
    """The units with an id above the first and up to the last, in order."""
    return [
        CountedUnit(**{**dict(row), "state": UnitState(row["state"])})
        for row in await sql_books.counted(tx, after_id, upto_id)
    ]


async def sold(tx: Tx, after_id: int, upto_id: int) -> list[int]:
    """Of those ids the ones that count as sold: DELIVERED or COMPLETED."""
    return await sql_books.sold(tx, after_id, upto_id)


async def sources(tx: Tx, batch_ids: Sequence[int]) -> dict[int, str]:
    """How each of these batches came: FILE, VENDOR, SANDBOX."""
    return await sql_books.sources(tx, batch_ids)
