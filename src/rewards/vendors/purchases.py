"""Purchases as other slices see them: prepared in their transaction, settled through a hook."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, TypeAlias
from uuid import uuid4

from rewards.core.errors import Conflict, NotFound, Refusal
from rewards.infra import jobs
from rewards.infra.db import Tx
from rewards.vendors import sql_purchases, sql_sources, sql_verdicts
from rewards.vendors.model import (
    Card,
    Line,
    Offer,
    Purchase,
    PurchaseState,
    PurchaseUnderWay,
    Purpose,
    Reason,
    Source,
)
from rewards.vendors.port import Vendor

BUY_JOB = jobs.declare("vendors.buy")
RECORD_OF = timedelta(days=30)
OF_SUBJECT_MAX = 1_000
GIVEN_UP = "it was cancelled, or failed"


@dataclass(frozen=True, slots=True)
class PurchaseAsk:
    """Buy `line` from a vendor under `key`, for a subject; and `remaining` more after it."""

    vendor_id: int
    key: str
    purpose: Purpose
    subject_id: int
    line: Line
    window: timedelta
    position: int = 0
    remaining: int = 0
    asked_by: int | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """A purchase that a call has moved: as it was, as it will be, and the codes it brought."""

    before: Purchase
    after: Purchase
    cards: tuple[Card, ...] = ()
    # Of a recharge: whether the operator has it in hand, or the vendor has only queued it.
    in_hand: bool = False
    # Whose answer moved it. None: a person's word did.
    vendor: Vendor | None = None


@dataclass(frozen=True, slots=True)
class Intake:
    """What came of the cards: how many came, how many of them cannot be sold, and their batch.

    `wanted`: how many units are still wanted of what was refused for now; None: as many as before.
    """

    received: int = 0
    quarantined: int = 0
    batch_id: int | None = None
    wanted: int | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """How a vendor did in the last 30 days: purchases settled, of them delivered, usual time."""

    settled: int = 0
    fulfilled: int = 0
    usual_s: int | None = None


@dataclass(frozen=True, slots=True)
class ReadBalance:
    """What a vendor said was left to buy with, and when."""

    currency: str
    amount_minor: int
    read_at: datetime


@dataclass(frozen=True, slots=True)
class Part:
    """What is bought for a subject: all of it, or what has this position."""

    subject_id: int
    position: int | None = None


class Buyer(Protocol):
    """What a purchase is for does about it; its slice is above this one."""

    async def lock(self, tx: Tx, subject_id: int) -> None:
        """Lock what the purchase is for. Always before the purchase, here as in approving."""
        ...

    async def settle(self, tx: Tx, settlement: Settlement, at: datetime) -> Intake:
        """All that follows from it, in the transaction that settles; what it took in."""
        ...


Buyers: TypeAlias = Mapping[Purpose, Buyer]


class PurchaseNotFound(NotFound):
    code = "VENDOR_ORDER_NOT_FOUND"
    default_message = "Vendor order not found"


class NoCase(Conflict):
    """It is settled, still read back by itself, or the vendor had accepted it."""

    code = "VENDOR_ORDER_NO_CASE"
    default_message = "That cannot be decided about this vendor order"


class PurchaseBeingRead(Conflict):
    """A worker asks the vendor about it just now; what it answers counts first."""

    code = "VENDOR_ORDER_BEING_READ"
    default_message = "The vendor is being asked about this just now; try again in a moment"


class Verdict(StrEnum):
    """What a person decides about an unknown outcome."""

    READ_AGAIN = "READ_AGAIN"
    # The vendor says, by telephone or in its portal, that there never was such an order.
    NOT_PLACED = "NOT_PLACED"
    # It was charged, and its codes cannot be had: the money is claimed back from the vendor.
    LOST = "LOST"


async def prepare(
    tx: Tx, asks: Sequence[PurchaseAsk], at: datetime
) -> list[Purchase | PurchaseUnderWay]:
    """Commit to buying: each ask with its key, READY; the vendor hears of it after the commit.

    Refused: another purchase for the same subject and position is open. Buys nothing by itself.
    """
    answers: list[Purchase | PurchaseUnderWay] = []
    for ask in asks:
        one = await sql_purchases.insert(
            tx,
            vendor_id=ask.vendor_id,
            key=ask.key,
            purpose=ask.purpose,
            subject_id=ask.subject_id,
            position=ask.position,
            line=ask.line,
            remaining=ask.remaining,
            at=at,
            window_ends_at=at + ask.window,
            asked_by=ask.asked_by,
        )
        answers.append(one or PurchaseUnderWay())
    made = [answer for answer in answers if isinstance(answer, Purchase)]
    await jobs.enqueue(tx, [buy_job(purchase.id) for purchase in made])
    return answers


async def buy_on(
    tx: Tx, purchase: Purchase, vendor: Vendor, left: int, window: timedelta, at: datetime
) -> None:
    """Commit to the next part of what one call could not take, under a key of its own.

    `left`: units still wanted; of these the vendor is asked for as many as it sells at once.
    """
    quantity = min(left, vendor.capabilities.quantity_max)
    ask = PurchaseAsk(
        vendor_id=purchase.vendor_id,
        key=vendor.key(uuid4()),
        purpose=purchase.purpose,
        subject_id=purchase.subject_id,
        line=replace(purchase.line, quantity=quantity),
        window=window,
        position=purchase.position + 1,
        remaining=left - quantity,
        asked_by=purchase.asked_by,
    )
    await prepare(tx, [ask], at)


def buy_job(purchase_id: int, not_before: datetime | None = None) -> jobs.JobAsk:
    """The job that takes a purchase one call further."""
    return jobs.JobAsk(
        BUY_JOB, {"purchase_id": purchase_id}, execute_after=not_before, dedupe_key=str(purchase_id)
    )


async def ever(tx: Tx, purposes: Sequence[Purpose], subject_ids: Iterable[int]) -> set[int]:
    """Of these subjects, those that any vendor was ever asked for."""
    return await sql_purchases.ever(tx, purposes, subject_ids)


async def under_way(tx: Tx, purposes: Sequence[Purpose], subject_ids: Iterable[int]) -> set[int]:
    """Of these subjects, those that a vendor may be delivering for."""
    return await sql_purchases.open_subjects(tx, purposes, subject_ids)


async def withdraw(
    tx: Tx, purposes: Sequence[Purpose], parts: Sequence[Part], why: str, at: datetime
) -> set[int]:
    """Call off what no vendor has heard of yet; the subjects of it. What was sent goes on."""
    if not parts:
        return set()
    asked = [(part.subject_id, part.position) for part in parts]
    withdrawn = await sql_purchases.withdraw(tx, purposes, asked, why, at)
    return {purchase.subject_id for purchase in withdrawn}


async def narrow(tx: Tx, purpose: Purpose, wanted: Mapping[int, int]) -> None:
    """Buy no more than so many units (at least one) for each subject, now and in later parts, of
    what no vendor has heard of yet. What was sent goes on."""
    assert all(units > 0 for units in wanted.values()), "what nobody wants is withdrawn"
    if wanted:
        await sql_purchases.narrow(tx, purpose, sorted(wanted.items()))


async def lock_open(
    tx: Tx, purpose: Purpose, subject_ids: Sequence[int]
) -> dict[int, list[Purchase]]:
    """What is open for these subjects, locked: nothing more is sent while the caller decides."""
    found: dict[int, list[Purchase]] = {subject_id: [] for subject_id in subject_ids}
    if subject_ids:
        for purchase in await sql_purchases.lock_open(tx, purpose, subject_ids):
            found[purchase.subject_id].append(purchase)
    return found


async def open_of(
    tx: Tx, purposes: Sequence[Purpose], subject_ids: Sequence[int]
) -> dict[int, list[Purchase]]:
    """What is open for each of these subjects, oldest first; nothing is locked."""
    found: dict[int, list[Purchase]] = {subject_id: [] for subject_id in subject_ids}
    for purchase in await sql_purchases.open_of(tx, purposes, list(found)):
        found[purchase.subject_id].append(purchase)
    return found


async def find(tx: Tx, purchase_id: int) -> Purchase | None:
    """One purchase, whatever became of it."""
    return await sql_purchases.read(tx, purchase_id)


async def of_subject(tx: Tx, purposes: Sequence[Purpose], subject_id: int) -> list[Purchase]:
    """Every purchase for one subject, oldest first."""
    return await sql_purchases.of_subject(tx, purposes, subject_id, OF_SUBJECT_MAX)


async def sources(tx: Tx, product_ids: Sequence[int]) -> dict[int, list[Source]]:
    """Where each product can be bought, the first to ask first; also sources that are paused."""
    return await sql_sources.sources(tx, product_ids)


async def records(tx: Tx, vendor_ids: Sequence[int], now: datetime) -> dict[int, Record]:
    """How each of these vendors did in the last 30 days."""
    rows = await sql_purchases.record(tx, vendor_ids, now - RECORD_OF)
    told = {
        row["vendor_id"]: Record(
            row["settled"],
            row["fulfilled"],
            None if row["usual"] is None else round(row["usual"].total_seconds()),
        )
        for row in rows
    }
    return {vendor_id: told.get(vendor_id, Record()) for vendor_id in vendor_ids}


async def balances(tx: Tx, vendor_ids: Sequence[int], currency: str) -> dict[int, ReadBalance]:
    """What each vendor last said it holds for us in this currency; those that said nothing lack."""
    return {
        row["vendor_id"]: ReadBalance(row["currency"], row["balance_minor"], row["read_at"])
        for row in await sql_sources.balances(tx, vendor_ids, currency)
    }


async def offers(tx: Tx, found: Iterable[Source]) -> dict[tuple[int, str], Offer]:
    """What these sources sell, by vendor and sku, as their catalogues were last read."""
    pairs = sorted({(source.vendor_id, source.sku) for source in found})
    return await sql_sources.offers(tx, pairs)


async def cases(tx: Tx, after_id: int = 0, limit: int = 100) -> list[Purchase]:
    """Unknown outcomes whose window is over: they wait for a person. By id, a page at a time."""
    return await sql_purchases.cases(tx, after_id, limit)


def choices(purchase: Purchase) -> list[Verdict]:
    """What a person may decide about it; nothing while it is settled or still read by itself."""
    if purchase.case_at is None or not purchase.open:
        return []
    if purchase.state is PurchaseState.ACCEPTED:
        return [Verdict.READ_AGAIN, Verdict.LOST]
    return list(Verdict)


async def judge(
    tx: Tx, purchase_id: int, verdict: Verdict, note: str, buyers: Buyers, at: datetime
) -> tuple[Purchase, Purchase] | Refusal:
    """Carry out a person's decision on an unknown outcome; the purchase before and after.

    READ_AGAIN opens a new look at once and decides nothing. The others settle it for good, through
    the same hook as a vendor's answer. Refused: unknown purchase, one that is no case, and, but for
    READ_AGAIN, one that is being read: the codes it may bring must not fall to the ground (0016).
    """
    found = await sql_purchases.read(tx, purchase_id)
    if found is None:
        return PurchaseNotFound()
    buyer = buyers[found.purpose]
    await buyer.lock(tx, found.subject_id)
    before = await sql_purchases.lock(tx, purchase_id) or found
    if verdict not in choices(before):
        return NoCase()
    if verdict is Verdict.READ_AGAIN:
        await sql_verdicts.read_at(tx, before.id, at)
        await jobs.enqueue(tx, [buy_job(before.id)])
        return before, replace(before, next_at=at)
    if await sql_verdicts.being_asked(tx, before.id):
        return PurchaseBeingRead()
    never = verdict is Verdict.NOT_PLACED
    target = PurchaseState.NOT_PLACED if never else PurchaseState.FULFILLED
    reason = None if never else Reason.OTHER
    after = replace(before, state=target, reason=reason, message=note, settled_at=at)
    await apply(tx, Settlement(before, after), buyer, at)
    return before, after


async def apply(tx: Tx, settlement: Settlement, buyer: Buyer, at: datetime) -> Purchase:
    """Write a settlement with all that follows from it, in the caller's transaction."""
    before, after = settlement.before, settlement.after
    intake = await buyer.settle(tx, settlement, at)
    after = replace(
        after,
        received=before.received + intake.received,
        quarantined=before.quarantined + intake.quarantined,
        batch_id=intake.batch_id or before.batch_id,
    )
    await sql_purchases.write(tx, before, after)
    if after.state is PurchaseState.READY and intake.wanted is not None:
        await _keep_wanted(tx, after, intake.wanted, at)
        after = await sql_purchases.read(tx, after.id) or after
    if after.open:
        await jobs.enqueue(tx, [buy_job(after.id, after.next_at)])
    return after


async def _keep_wanted(tx: Tx, purchase: Purchase, wanted: int, at: datetime) -> None:
    """What was given up while the vendor was asked is not asked for again."""
    if wanted:
        await narrow(tx, purchase.purpose, {purchase.subject_id: wanted})
    else:
        part = Part(purchase.subject_id, purchase.position)
        await withdraw(tx, (purchase.purpose,), [part], GIVEN_UP, at)


async def made_bounds(tx: Tx, since: datetime, until: datetime) -> tuple[int, int] | None:
    """The first and last id of the purchases that were made in that time; None for none."""
    return await sql_purchases.made_bounds(tx, since, until)


async def made(
    tx: Tx,
    after_id: int,
    upto_id: int,
    since: datetime,
    until: datetime,
    *,
    vendor_id: int | None = None,
) -> list[Purchase]:
    """Purchases made in that time, with an id above the first and up to the last, in order."""
    return await sql_purchases.made(tx, after_id, upto_id, since, until, vendor_id)
