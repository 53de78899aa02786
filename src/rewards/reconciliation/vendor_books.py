"""A vendor's books against our purchases of a day: listed, or read back one by one."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta

import structlog

from rewards.infra.db import Tx
from rewards.reconciliation import sql
from rewards.reconciliation.matching import match_purchase, not_told, unknown_to_us
from rewards.reconciliation.model import DAY, Finding, Gain, Run
from rewards.reconciliation.turns import Turn
from rewards.vendors import books
from rewards.vendors.model import (
    BookLine,
    NotKnown,
    Outcome,
    Purchase,
    SaleState,
    Unknown,
    VendorNotAvailable,
    VendorNotFound,
)
from rewards.vendors.port import Vendor, VendorRefused
from rewards.vendors.wire import NoAnswer, NotSent, asking_about

log = structlog.get_logger()

LINES_A_STEP = 200
LISTING_S = 420.0
PURCHASES_A_STEP = 20
READ_S = 60.0
READS_MAX = 3
# A vendor that says nothing so often in a row is left alone for a while.
SILENT_MAX = 5
LIST_AGAIN = timedelta(minutes=15)
# From then on the day is compared without the vendor's list, and what was never told is drift.
LISTING_ENDS = timedelta(days=1)
READING_ENDS = timedelta(days=7)
TROUBLE = (NotSent, NoAnswer, VendorRefused, VendorNotAvailable, VendorNotFound, TimeoutError)


async def list_book(turn: Turn, run: Run) -> Run:
    """Go through what the vendor lists; nothing is open between its pages."""
    assert run.vendor_id is not None
    try:
        vendor = await turn.accounts.vendor(run.vendor_id)
        if vendor.capabilities.book:
            # What was sold before midnight may be settled after it.
            lines = vendor.book(run.since - DAY, run.until)
            async with asyncio.timeout(LISTING_S):
                async for chunk in _chunks(lines):
                    run = await _compare_lines(turn, run, chunk)
    except TROUBLE as trouble:
        if turn.clock.now() < run.started_at + LISTING_ENDS:
            return await turn.rest(run, LIST_AGAIN, f"the vendor's list: {_words(trouble)}")
        log.warning("reconciled_without_list", run_id=run.id, problem=_words(trouble))
    return await turn.move(replace(run.after_phase(turn.clock.now()), problem=None))


def _words(trouble: BaseException) -> str:
    return str(trouble) or "no answer in time"


async def _chunks(lines: AsyncIterator[BookLine]) -> AsyncIterator[list[BookLine]]:
    chunk: list[BookLine] = []
    async for line in lines:
        chunk.append(line)
        if len(chunk) == LINES_A_STEP:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


async def _compare_lines(turn: Turn, run: Run, lines: Sequence[BookLine]) -> Run:
    vendor_id = run.vendor_id
    assert vendor_id is not None

    async def work(tx: Tx) -> tuple[Run, Gain]:
        pairs = await books.of_lines(tx, vendor_id, lines)
        strange = [
            unknown_to_us(vendor_id, line)
            for line, purchase in pairs
            if purchase is None and line.state is SaleState.SOLD
        ]
        known = {
            purchase.id: (purchase, line)
            for line, purchase in pairs
            if purchase is not None and _settled_in(run, purchase)
        }
        again = await sql.read_in_round(tx, run, list(known))
        fresh = [pair for purchase_id, pair in known.items() if purchase_id not in again]
        return run, await _keep(tx, turn, run, fresh, strange)

    return await turn.step(work)


def _settled_in(run: Run, purchase: Purchase) -> bool:
    return purchase.settled_at is not None and run.since <= purchase.settled_at < run.until


async def _keep(
    tx: Tx,
    turn: Turn,
    run: Run,
    pairs: Sequence[tuple[Purchase, BookLine | None]],
    others: Sequence[Finding] = (),
) -> Gain:
    """Compare each purchase with its line and remember whether they agree."""
    findings = list(others)
    read = []
    for purchase, line in pairs:
        found = match_purchase(purchase, line)
        findings += found
        read.append((purchase.id, not found))
    await sql.keep_read(tx, run, read, turn.clock.now())
    return Gain(purchases=len(read), findings=tuple(findings))


async def read_back(turn: Turn, run: Run) -> Run:
    """A few of the day's purchases that the vendor did not list, each asked for by its key."""
    assert run.vendor_id is not None
    async with turn.db.connection() as connection:
        page = await books.settled(
            connection, run.vendor_id, run.since, run.until, run.position, PURCHASES_A_STEP
        )
        listed = await sql.read_in_round(connection, run, [purchase.id for purchase in page])
    if not page:
        moved = run.after_phase(turn.clock.now())
        return await turn.move(replace(moved, problem=run.problem if run.unread else None))
    told, silent, why = await _ask_for(turn, run, [one for one in page if one.id not in listed])
    given_up = turn.clock.now() >= run.started_at + READING_ENDS
    # A vendor that is away now is not asked for the others of the day.
    away = len(silent) >= SILENT_MAX
    after = replace(run, position=2**62 if away and not given_up else page[-1].id)
    if not given_up:
        after = replace(after, unread=run.unread + len(silent), problem=why or run.problem)

    async def work(tx: Tx) -> tuple[Run, Gain]:
        lost = [not_told(purchase) for purchase in silent] if given_up else []
        return after, await _keep(tx, turn, run, told, lost)

    return await turn.step(work)


async def _ask_for(
    turn: Turn, run: Run, purchases: Sequence[Purchase]
) -> tuple[list[tuple[Purchase, BookLine | None]], list[Purchase], str | None]:
    """What the vendor says of each; those it said nothing about, and why."""
    told: list[tuple[Purchase, BookLine | None]] = []
    silent: list[Purchase] = []
    why: str | None = None
    assert run.vendor_id is not None
    for purchase in purchases:
        if len(silent) >= SILENT_MAX:
            silent.append(purchase)
            continue
        try:
            vendor = await turn.accounts.vendor(run.vendor_id)
            outcome = await _read(vendor, purchase, turn.pause_s)
        except (VendorNotAvailable, VendorNotFound) as gone:
            outcome = Unknown(str(gone))
        line = books.told(purchase, outcome)
        if line is None:
            silent.append(purchase)
            why = outcome.why if isinstance(outcome, Unknown) else None
        else:
            told.append((purchase, None if isinstance(line, NotKnown) else line))
    return told, silent, why


async def _read(vendor: Vendor, purchase: Purchase, pause_s: float) -> Outcome:
    """The vendor's word about it, asked again a few times while it has none."""
    outcome: Outcome = Unknown("not asked")
    for attempt in range(READS_MAX):
        if attempt:
            await asyncio.sleep(pause_s)
        try:
            with asking_about(purchase.id):
                async with asyncio.timeout(READ_S):
                    outcome = await vendor.read(purchase)
        except TimeoutError:
            outcome = Unknown("no outcome in time")
        if not isinstance(outcome, Unknown):
            break
    return outcome
