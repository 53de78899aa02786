"""What clients ask for, over all of them: the demand of some days, and what they still wait for."""

from collections import Counter
from datetime import datetime

from rewards.catalog.model import ShelfKey
from rewards.infra.db import Tx
from rewards.infra.hours import Hours
from rewards.orders import sql_demand


class Demand:
    """One a process, which remembers what was asked for in hours that are over."""

    def __init__(self) -> None:
        self._hours = Hours(sql_demand.asked_for)

    async def asked_for(self, tx: Tx, since: datetime, until: datetime) -> dict[ShelfKey, int]:
        """Units of each shelf in orders placed from `since` to before `until`, which is now.

        Also those that were never served, or given up: they are demand that stock would have met.
        Not the ones that a cap had refused when their hour was first looked at, and no recharges.
        """
        found: Counter[ShelfKey] = Counter()
        for asked in (await self._hours.between(tx, since, until)).values():
            found.update({shelf: units for shelf, (units,) in asked.items()})
        return dict(found)


async def waited_for(tx: Tx) -> dict[ShelfKey, int]:
    """Units of each shelf that open orders still lack."""
    return await sql_demand.waited_for(tx)
