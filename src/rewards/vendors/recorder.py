"""Keeps every exchange with a vendor in the database, and never gets in the way of a purchase."""

import asyncio

import asyncpg
import structlog

from rewards.core.clock import Clock
from rewards.core.errors import Unavailable
from rewards.infra.db import Database
from rewards.vendors import sql_exchanges
from rewards.vendors.wire import Exchange

log = structlog.get_logger()

# What the vendor did must be booked; that is not to wait long for the note of it.
RECORD_TIMEOUT_S = 3.0


class DatabaseRecorder:
    """The recorder of one account's wire."""

    def __init__(self, db: Database, clock: Clock, vendor_id: int) -> None:
        self._db = db
        self._clock = clock
        self._vendor_id = vendor_id

    async def record(self, exchange: Exchange) -> None:
        """Write it down in a transaction of its own; what cannot be written is logged."""
        try:
            async with asyncio.timeout(RECORD_TIMEOUT_S), self._db.transaction() as tx:
                await sql_exchanges.add(tx, self._vendor_id, exchange, self._clock.now())
        except (Unavailable, TimeoutError, asyncpg.PostgresError) as problem:
            log.warning(
                "exchange_not_kept",
                vendor_id=self._vendor_id,
                purchase_id=exchange.purchase_id,
                call=exchange.call,
                status=exchange.status,
                problem=type(problem).__name__,
            )
