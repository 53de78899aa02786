"""Takes purchases one call further: lease, call, settle; nothing is open during the call."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Protocol
from uuid import UUID, uuid4

import structlog

from rewards.core.clock import Clock
from rewards.core.errors import Unavailable
from rewards.infra.db import Database, Tx
from rewards.vendors import decide, sql_purchases
from rewards.vendors.model import (
    Accepted,
    Delivered,
    Outcome,
    Purchase,
    PurchaseState,
    Reason,
    Refused,
    Stage,
    Unknown,
    VendorNotAvailable,
)
from rewards.vendors.port import Vendor
from rewards.vendors.purchases import Buyers, Settlement, apply
from rewards.vendors.storable import lost, storable
from rewards.vendors.wire import asking_about

log = structlog.get_logger()

# One outcome may take several requests, each with limits of its own.
CALL_S = 60.0
NO_ADAPTER = "this version has no adapter for the vendor's account"
# How often a lease is renewed in its time.
RENEWALS = 4
# Whoever lost the lease may still be placing: "not known" says nothing before that call is over.
GRACE_MIN_S = 2 * CALL_S
AT_ONCE_MAX = 32
SWEEP_MAX = 200


def in_hand(outcome: Outcome) -> bool:
    """Of a recharge: the operator has it, not only the vendor's queue."""
    return isinstance(outcome, Accepted) and outcome.stage is Stage.IN_HAND


class AdapterSource(Protocol):
    """Where the adapters are; a paused account can still be read."""

    async def vendor(self, vendor_id: int) -> Vendor: ...


@dataclass(frozen=True, slots=True)
class Buying:
    """What a worker does with purchases. Each step may be killed anywhere, and run twice.

    `buyers`: for each purpose, who it is bought for. `lease_s`: how long a purchase is left alone
    when a worker died in its call; less than the job's own lease, so that the job finds it free.
    """

    db: Database
    accounts: AdapterSource
    clock: Clock
    buyers: Buyers
    lease_s: float

    async def work_on(self, purchase_ids: Sequence[int]) -> None:
        """One call for each; what is settled or leased to somebody else is left alone.

        Raises the last problem at the end; none keeps the others waiting.
        """
        turns = asyncio.Semaphore(AT_ONCE_MAX)

        async def one(purchase_id: int) -> None:
            async with turns:
                await self.step(purchase_id)

        done = await asyncio.gather(*map(one, set(purchase_ids)), return_exceptions=True)
        for problem in done:
            if isinstance(problem, BaseException):
                raise problem

    async def sweep(self) -> int:
        """Take up what is due and whose job was lost; how many."""
        async with self.db.connection() as connection:
            due = await sql_purchases.due(connection, self.clock.now(), SWEEP_MAX)
        await self.work_on(due)
        return len(due)

    async def step(self, purchase_id: int) -> Purchase | None:
        """One call to the vendor and what follows from it; None when there was nothing to do."""
        token = uuid4()
        async with self.db.connection() as connection:
            found = await sql_purchases.read(connection, purchase_id)
        if found is None or not found.open:
            return None
        # Before the lease: what cannot be called is not on its way.
        vendor = await self._vendor(found.vendor_id)

        async def lease(tx: Tx) -> tuple[Purchase, bool] | None:
            return await sql_purchases.lease(tx, purchase_id, token, self.lease_s, self.clock.now())

        # From this commit on the vendor may have heard of it.
        leased = await self.db.run(lease)
        if leased is None:
            return None
        purchase, fresh = leased
        async with self._held(purchase.id, token):
            outcome = storable(await self._ask(vendor, purchase, fresh))
        return await self._settle(purchase, token, vendor, outcome, fresh)

    async def _vendor(self, vendor_id: int) -> Vendor | None:
        """None where this version has no adapter for the account: nobody can be asked."""
        try:
            return await self.accounts.vendor(vendor_id)
        except VendorNotAvailable:
            return None

    @asynccontextmanager
    async def _held(self, purchase_id: int, token: UUID) -> AsyncIterator[None]:
        """Keep the lease for as long as the block runs."""
        renewing = asyncio.create_task(self._renew(purchase_id, token))
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)

    async def _renew(self, purchase_id: int, token: UUID) -> None:
        """Renew the lease until it is lost: settling finds that out, and the call goes on."""

        async def renew(tx: Tx) -> bool:
            return await sql_purchases.renew(tx, purchase_id, token, self.lease_s)

        held = True
        while held:
            await asyncio.sleep(self.lease_s / RENEWALS)
            try:
                held = await self.db.run(renew)
            except Unavailable:
                log.warning("vendor_lease_not_renewed", purchase_id=purchase_id)

    async def _ask(self, vendor: Vendor | None, purchase: Purchase, fresh: bool) -> Outcome:
        if vendor is None:
            return Refused(Reason.VENDOR_DOWN, NO_ADAPTER) if fresh else Unknown(NO_ADAPTER)
        try:
            with asking_about(purchase.id):
                async with asyncio.timeout(CALL_S):
                    if fresh:
                        return await vendor.place(purchase.key, purchase.line)
                    return await vendor.read(purchase)
        except TimeoutError:
            return Unknown("no outcome in time")

    async def _settle(
        self, leased: Purchase, token: UUID, vendor: Vendor | None, outcome: Outcome, fresh: bool
    ) -> Purchase | None:
        cards = outcome.cards if isinstance(outcome, Delivered) else ()
        told_s = vendor.capabilities.not_found_grace_s if vendor else GRACE_MIN_S
        grace_s = max(told_s, GRACE_MIN_S)
        buyer = self.buyers[leased.purpose]

        async def work(tx: Tx) -> Purchase | None:
            at = self.clock.now()
            await buyer.lock(tx, leased.subject_id)
            before = await sql_purchases.lock_leased(tx, leased.id, token)
            if before is None:
                # The lease ran out and somebody else read it back: what they saw is newer.
                return None
            if fresh:
                after = decide.after_placing(before, outcome, at)
            else:
                after = decide.after_reading(before, outcome, at, grace_s)
            after = replace(after, message=lost(outcome) or after.message)
            settlement = Settlement(before, after, cards, in_hand(outcome), vendor)
            return await apply(tx, settlement, buyer, at)

        after = await self.db.run(work)
        if after is None:
            log.warning("vendor_answer_late", purchase_id=leased.id)
        elif after.state is PurchaseState.UNKNOWN or after.case_at is not None:
            log.warning("vendor_outcome_unknown", purchase_id=leased.id, why=after.message)
        return after
