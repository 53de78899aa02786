"""Adds up what came in, went out and is held: wallets by client, stock by where it came from."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TypeAlias

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rewards.core.clock import Clock
from rewards.core.errors import InvalidField
from rewards.infra.crypto import Vault
from rewards.infra.db import Database, Tx
from rewards.inventory import books as stock
from rewards.inventory.books import CountedUnit
from rewards.inventory.model import UnitState
from rewards.orders import books as orders
from rewards.orders.books import GoneOut
from rewards.reconciliation.model import DAY, DayNotOver, beginning_of, day_of
from rewards.reconciliation.model_statement import Book, Line, Statement
from rewards.vendors import books as vendors
from rewards.wallets import books as ledger

# Derived from a key that is never rotated.
KEY_PURPOSE = "statement-signing"
WALLETS_A_STEP = 100
# A step is counted in one go, while whoever shares this process waits: milliseconds.
UNITS_A_STEP = 2_000
ON_HAND = frozenset({UnitState.AVAILABLE, UnitState.ALLOCATED, UnitState.BLOCKED})
LEFT = (Book.DELIVERED, Book.DELIVERED_FACE)
LOST = (Book.WRITTEN_OFF, Book.WRITTEN_OFF_FACE)

Told: TypeAlias = Callable[[str, int, int], None]
# Book, client, source, vendor, currency.
Account: TypeAlias = tuple[Book, int | None, str | None, int | None, str]


@dataclass(slots=True)
class _Sum:
    opening: int = 0
    came: int = 0
    went: int = 0
    held: int = 0


@dataclass(slots=True)
class _Sums:
    """Sums by account: as many as there are parties, however much they did."""

    since: datetime
    until: datetime
    by_account: defaultdict[Account, _Sum] = field(default_factory=lambda: defaultdict(_Sum))

    def lines(self) -> Iterator[Line]:
        order = sorted(self.by_account.items(), key=lambda pair: tuple(map(str, pair[0])))
        for account, total in order:
            numbers = (total.opening, total.came, total.went, total.held)
            if any(numbers):
                yield Line(*account, *numbers)


async def state(
    db: Database, clock: Clock, first_day: date, last_day: date, told: Told | None = None
) -> Statement:
    """The statement of whole days that are over, from the first to the last.

    A window at a time, in constant memory. Refuses days in the wrong order; raises DayNotOver.
    """
    sums, made_at = _began(clock, first_day, last_day)
    await _count_wallets(db, sums, told)
    await _count_units(db, sums, told)
    return Statement(first_day, last_day, made_at, tuple(sums.lines()))


async def state_of_wallets(
    db: Database, clock: Clock, wallet_ids: Sequence[int], first_day: date, last_day: date
) -> Statement:
    """What went through these wallets on whole days that are over: the lines of MONEY of `state`.

    Refuses and raises as `state` does.
    """
    sums, made_at = _began(clock, first_day, last_day)
    ids = sorted(wallet_ids)
    for start in range(0, len(ids), WALLETS_A_STEP):
        async with db.connection() as connection:
            await _count_wallet_page(connection, sums, ids[start : start + WALLETS_A_STEP])
    return Statement(first_day, last_day, made_at, tuple(sums.lines()))


async def state_of_vendor(
    db: Database, clock: Clock, vendor_id: int, first_day: date, last_day: date
) -> Statement:
    """The stock that came from this vendor, and who got it: those lines of `state`.

    Refuses and raises as `state` does.
    """
    sums, made_at = _began(clock, first_day, last_day)
    await _count_units(db, sums, None)
    lines = tuple(line for line in sums.lines() if line.vendor_id == vendor_id)
    return Statement(first_day, last_day, made_at, lines)


def signing_key(vault: Vault) -> Ed25519PrivateKey:
    """Signs every statement of a deployment; one public key for its life."""
    return Ed25519PrivateKey.from_private_bytes(vault.mac_key(KEY_PURPOSE))


def _began(clock: Clock, first_day: date, last_day: date) -> tuple[_Sums, datetime]:
    if last_day < first_day:
        raise InvalidField("To", "min")
    made_at = clock.now()
    if last_day >= day_of(made_at):
        raise DayNotOver
    return _Sums(beginning_of(first_day), beginning_of(last_day + DAY)), made_at


async def _count_wallets(db: Database, sums: _Sums, told: Told | None) -> None:
    after_id, seen = 0, 0
    while True:
        async with db.connection() as connection:
            ids = await ledger.wallet_ids(connection, after_id, sums.until, WALLETS_A_STEP)
        if not ids:
            return
        async with db.connection() as connection:
            await _count_wallet_page(connection, sums, ids)
        after_id, seen = ids[-1], seen + len(ids)
        if told is not None:
            told("wallets", seen, seen)


async def _count_wallet_page(tx: Tx, sums: _Sums, ids: list[int]) -> None:
    """Between two places of each chain: neither end moves while we count."""
    begins = await ledger.moments(tx, ids, sums.since)
    ends = await ledger.moments(tx, ids, sums.until)
    for begin, end in zip(begins, ends, strict=True):
        flow = await ledger.flow(tx, begin.wallet_id, begin.version, end.version)
        total = sums.by_account[Book.MONEY, end.client_id, None, None, end.currency]
        total.opening += begin.balance_minor
        total.came += flow.in_minor
        total.went += flow.out_minor
        total.held += end.balance_minor


async def _count_units(db: Database, sums: _Sums, told: Told | None) -> None:
    async with db.connection() as connection:
        found = await stock.bounds(connection)
    if found is None:
        return
    first_id, last_id = found
    for start in range(first_id - 1, last_id, UNITS_A_STEP):
        upto_id = min(start + UNITS_A_STEP, last_id)
        async with db.connection() as connection:
            await _count_window(connection, sums, start, upto_id)
        if told is not None:
            told("units", upto_id - first_id + 1, last_id - first_id + 1)


async def _count_window(tx: Tx, sums: _Sums, after_id: int, upto_id: int) -> None:
    units = await stock.counted(tx, after_id, upto_id)
    # After the units: what is sold between the two looks went out after the last day.
    gone = await orders.gone_out(tx, [unit.id for unit in units])
    batch_ids = sorted({unit.batch_id for unit in units})
    sources = await stock.sources(tx, batch_ids)
    bought = await vendors.bought_batches(tx, batch_ids)
    for unit in units:
        if unit.created_at < sums.until:
            _count_unit(sums, unit, gone.get(unit.id), sources, bought)


def _count_unit(
    sums: _Sums,
    unit: CountedUnit,
    gone: GoneOut | None,
    sources: Mapping[int, str],
    bought: Mapping[int, int],
) -> None:
    """In, out and held are each seen for themselves; only then do they prove one another."""
    # Two clocks: a unit that came and went in one moment came first.
    left_at = gone.out_at if gone else unit.written_off_at
    out_at = max(left_at, unit.created_at) if left_at else None
    before = unit.created_at < sums.since
    out_before = out_at is not None and out_at < sums.since
    out_within = out_at is not None and sums.since <= out_at < sums.until
    held = unit.state in ON_HAND or (out_at is not None and out_at >= sums.until)
    origin = (sources.get(unit.batch_id), bought.get(unit.batch_id))
    amounts = [(Book.CODES, 1, unit.currency), (Book.FACE, unit.denomination_minor, unit.currency)]
    if unit.cost_minor is not None and unit.cost_currency is not None:
        amounts.append((Book.COST, unit.cost_minor, unit.cost_currency))
    for book, amount, currency in amounts:
        total = sums.by_account[book, None, *origin, currency]
        total.opening += amount * (before - out_before)
        total.came += amount * (not before)
        total.went += amount * out_within
        total.held += amount * held
    if out_within:
        client_id = gone.client_id if gone else None
        codes, face = LEFT if gone else LOST
        for book, amount in ((codes, 1), (face, unit.denomination_minor)):
            total = sums.by_account[book, client_id, *origin, unit.currency]
            total.came += amount
            total.went += amount
