"""What clients ask for, over all of them: the demand of some days, and what they still wait for."""

from datetime import datetime

from rewards.catalog.model import ShelfKey
from rewards.infra.db import Tx
from rewards.orders import sql_demand


async def asked_for(tx: Tx, since: datetime, until: datetime) -> dict[ShelfKey, int]:
    """Units of each shelf in orders placed from `since` to before `until`.

    Also those that were never served, or given up: they are demand that stock would have met. Not
    the ones that a cap refused, and no recharges.
    """
    return await sql_demand.asked_for(tx, since, until)


async def waited_for(tx: Tx) -> dict[ShelfKey, int]:
    """Units of each shelf that open orders still lack."""
    return await sql_demand.waited_for(tx)
