"""What a worker does for vendors: reads balances and catalogues, forgets old exchanges."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import structlog

from rewards.core.clock import Clock
from rewards.infra.db import Database
from rewards.vendors import service, sql, sql_exchanges
from rewards.vendors.accounts import Accounts
from rewards.vendors.asking import (
    VendorTrouble,
    ask,
    is_sound,
    sound_balances,
    whole_catalogue,
)
from rewards.vendors.kept import What
from rewards.vendors.model import VendorNotAvailable, VendorNotFound

log = structlog.get_logger()

AT_ONCE_MAX = 8
BALANCES_TIMEOUT_S = 60.0
# A large catalogue comes in hundreds of pages, as fast as the vendor's limits allow.
CATALOGUE_TIMEOUT_S = 600.0
OFFERS_A_WRITE = 500
EXCHANGES_KEPT = timedelta(days=90)
FORGET_A_ROUND = 10_000
FORGET_ROUND_MAX = 100


class VendorTasks:
    """No transaction is open while a vendor is asked, and one vendor's failure is its own."""

    def __init__(self, db: Database, accounts: Accounts, clock: Clock) -> None:
        self._db = db
        self._accounts = accounts
        self._clock = clock

    async def read_balances(self) -> None:
        """Ask every active vendor what is left to buy with."""
        await _each(await self._active(), self._read_balance)

    async def ask_for_syncs(self) -> None:
        """Queue the reading of every active vendor's catalogue, each a job of its own."""
        async with self._db.transaction() as tx:
            await service.enqueue_syncs(tx, await sql.active_ids(tx))

    async def sync(self, vendor_ids: Sequence[int]) -> None:
        """Read these vendors' balances and catalogues; paused ones too: somebody may have asked."""
        distinct = sorted(set(vendor_ids))
        await _each(distinct, self._read_balance)
        await _each(distinct, self._read_catalogue)

    async def forget_exchanges(self) -> int:
        """Drop what is older than EXCHANGES_KEPT, in bounded rounds; how many."""
        before, count = self._clock.now() - EXCHANGES_KEPT, 0
        for _ in range(FORGET_ROUND_MAX):
            async with self._db.transaction() as tx:
                gone = await sql_exchanges.forget(tx, before, FORGET_A_ROUND)
            count += gone
            if gone < FORGET_A_ROUND:
                break
        return count

    async def _active(self) -> list[int]:
        async with self._db.connection() as connection:
            return await sql.active_ids(connection)

    async def _read_balance(self, vendor_id: int) -> None:
        at = self._clock.now()
        try:
            vendor = await self._accounts.vendor(vendor_id)
            if not vendor.capabilities.balance:
                return
            balances = await ask(sound_balances(vendor), BALANCES_TIMEOUT_S)
        except (VendorNotFound, VendorNotAvailable):
            return
        except VendorTrouble as trouble:
            await self._note(vendor_id, What.BALANCES, str(trouble), at)
            return
        async with self._db.transaction() as tx:
            await service.keep_balances(tx, vendor_id, balances, at)

    async def _read_catalogue(self, vendor_id: int) -> None:
        at = self._clock.now()
        try:
            vendor = await self._accounts.vendor(vendor_id)
            if not vendor.capabilities.catalogue:
                return
            offers = await ask(whole_catalogue(vendor), CATALOGUE_TIMEOUT_S)
        except (VendorNotFound, VendorNotAvailable):
            return
        except VendorTrouble as trouble:
            await self._note(vendor_id, What.CATALOGUE, str(trouble), at)
            return
        sound = [offer for offer in offers if is_sound(offer)]
        for start in range(0, len(sound), OFFERS_A_WRITE):
            async with self._db.transaction() as tx:
                await sql.keep_offers(tx, vendor_id, sound[start : start + OFFERS_A_WRITE], at)
        async with self._db.transaction() as tx:
            # What this reading did not find is gone.
            gone = await sql.drop_offers(tx, vendor_id, at)
            await sql.note_reading(tx, vendor_id, What.CATALOGUE, None, at)
        skipped = len(offers) - len(sound)
        log.info("catalogue_read", vendor_id=vendor_id, kept=len(sound), skipped=skipped, gone=gone)

    async def _note(self, vendor_id: int, what: What, problem: str, at: datetime) -> None:
        log.warning("vendor_not_read", vendor_id=vendor_id, what=what, problem=problem)
        async with self._db.transaction() as tx:
            await sql.note_reading(tx, vendor_id, what, problem, at)


async def _each(vendor_ids: Sequence[int], work: Callable[[int], Awaitable[None]]) -> None:
    """At most AT_ONCE_MAX at a time. What vendors do wrong `work` tells; the rest is raised."""
    turns = asyncio.Semaphore(AT_ONCE_MAX)

    async def one(vendor_id: int) -> None:
        async with turns:
            await work(vendor_id)

    ended = await asyncio.gather(*map(one, vendor_ids), return_exceptions=True)
    for problem in ended:
        if isinstance(problem, BaseException):
            raise problem
