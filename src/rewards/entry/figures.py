"""Figures that stand in the database: read by one look at a time, and kept for some seconds.

Every process tells the same of them, so whoever sums over processes takes the largest instead.
"""

import asyncio
from contextlib import suppress
from datetime import datetime
from time import monotonic

import structlog

from rewards.alerts import service as alerts
from rewards.alerts.model import AlertKind
from rewards.audit import service as audit
from rewards.catalog.catalog import Catalog
from rewards.catalog.model import ProductType, ShelfKey
from rewards.core.clock import Clock
from rewards.core.currency import exponent_of
from rewards.core.money import to_decimal
from rewards.infra import beats, jobs
from rewards.infra.beats import Beat, ProcessKind
from rewards.infra.db import TROUBLE, Database, Tx
from rewards.infra.metrics import LATER_S, Gauge, Histogram
from rewards.inventory import service as inventory
from rewards.notices import service as notices
from rewards.orders import overview
from rewards.reconciliation import service as reconciliation
from rewards.vendors import service as vendors
from rewards.webhooks import service as webhooks

log = structlog.get_logger()

KEPT_S = 10.0
# However much there is to count, looks take a twentieth of the time at most.
KEPT_SHARE = 20
# A scraper waits no longer, and gets what was known before.
WAIT_S = 1.5
LOOK_S = 8.0
# What was known is told for so long; then nobody knows.
TOLD_S = 60.0
SHELVES_MAX = 500
COUNT_MAX = 100_000
SILENT_S = 60.0

UP = Gauge("db_up", "Whether the database answered the last look at what stands in it.")
RUNS = Histogram(
    "job_run_seconds", "Jobs that were run, by how they ended.", "job_name", "outcome", ends=LATER_S
)
JOBS_DUE = Gauge("jobs_due", "Jobs that could run now.", "job_name")
JOBS_LATE = Gauge(
    "job_oldest_seconds", "How long the oldest job that is due has waited.", "job_name"
)
JOBS_DEAD = Gauge("jobs_dead", "Jobs that failed too often and wait for a person.", "job_name")
POOL = Gauge(
    "pool_units",
    "Units for sale, counted up to 10,000, of at most 500 shelves.",
    *("product", "denomination", "currency"),
)
OPEN_ORDERS = Gauge("open_orders", "Orders that wait.", "sub_status")
OPEN_OLDEST = Gauge("open_order_oldest_seconds", "Age of the oldest that waits.", "sub_status")
UNSEALED = Gauge("events_unsealed_seconds", "Age of the oldest event that has no number yet.")
TRAIL = Gauge("audit_unsealed_seconds", "Age of the oldest audit entry that is in no seal yet.")
DELIVERIES = Gauge("webhooks_waiting", "Deliveries that are due, counted up to 100,000.")
DELIVERIES_LATE = Gauge("webhooks_late_seconds", "How long the first of them has been due.")
ENDPOINTS = Gauge(
    "webhook_endpoints_in_trouble", "Endpoints that fail or were switched off.", "state"
)
MAILS = Gauge("mails_waiting", "Mails that are due.")
MAILS_LATE = Gauge("mails_late_seconds", "How long the first of them has been due.")
ALERTS = Gauge("alerts_open", "Alerts that are not cleared.", "kind")
PROCESSES = Gauge("processes", "Processes that beat in the last minute.", "kind")
DRIFTS = Gauge("drifts_open", "Findings of reconciliation that nobody has explained.")
BALANCES = Gauge(
    "vendor_balance",
    "What is left to buy with, as last read, in the currency's units.",
    "vendor",
    "currency",
)
BALANCES_AGE = Gauge("vendor_balance_age_seconds", "How long ago that was.", "vendor", "currency")
# What nobody may tell as it was an hour ago.
_LABELLED = (
    JOBS_DUE,
    JOBS_LATE,
    JOBS_DEAD,
    POOL,
    OPEN_ORDERS,
    OPEN_OLDEST,
    ENDPOINTS,
    BALANCES,
    BALANCES_AGE,
    PROCESSES,
    ALERTS,
)
_PLAIN = (UNSEALED, TRAIL, DELIVERIES, DELIVERIES_LATE, MAILS, MAILS_LATE, DRIFTS)


def note_job(name: str, outcome: str, took_s: float) -> None:
    """A worker did a job: `done`, `failed` or `dead`."""
    RUNS.observe(took_s, name, outcome)


class StoredFigures:
    """One a process. `refresh` before its figures are told."""

    def __init__(self, db: Database, catalog: Catalog, clock: Clock) -> None:
        self._db = db
        self._catalog = catalog
        self._clock = clock
        # Until when nobody looks again, and until when what was read is told.
        self._until_s = self._told_until_s = float("-inf")
        self._looking: asyncio.Task[None] | None = None

    async def refresh(self) -> None:
        """Look again where the last look is too old; waits WAIT_S for it at most. Never raises."""
        if monotonic() >= self._until_s:
            if self._looking is None or self._looking.done():
                self._looking = asyncio.create_task(self._look())
            # It goes on for the next scraper; one that hangs is not waited for twice.
            await asyncio.wait({self._looking}, timeout=WAIT_S)
        if monotonic() >= self._told_until_s:
            _forget()

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            with suppress(asyncio.CancelledError):
                await self._looking

    async def _look(self) -> None:
        began_s = monotonic()
        try:
            async with asyncio.timeout(LOOK_S), self._db.connection() as connection:
                await self._read(connection)
        except TROUBLE as problem:
            UP.set(0)
            log.warning("figures_not_read", problem=type(problem).__name__)
        except Exception:
            # Nobody else hears of it: what was known grows old, and is forgotten.
            log.exception("figures_broke")
        else:
            UP.set(1)
            # Longer than it is kept, and than the look that follows takes.
            kept_s = self._kept_s(began_s)
            self._told_until_s = monotonic() + max(TOLD_S, kept_s + LOOK_S)
        self._until_s = monotonic() + self._kept_s(began_s)

    @staticmethod
    def _kept_s(began_s: float) -> float:
        return max(KEPT_S, (monotonic() - began_s) * KEPT_SHARE)

    async def _read(self, tx: Tx) -> None:
        now = self._clock.now()

        def age_s(since: datetime | None) -> float:
            return max((now - since).total_seconds(), 0.0) if since else 0.0

        lines = await jobs.lines(tx)
        JOBS_DUE.replace({(line.name,): line.due for line in lines})
        JOBS_LATE.replace({(line.name,): line.late_s for line in lines})
        JOBS_DEAD.replace({(line.name,): line.dead for line in lines})
        depths = await inventory.depths(tx, self._shelves(), now, SHELVES_MAX)
        POOL.replace({_shelf(key): depth for key, depth in depths.items()})
        waiting = await overview.open_orders(tx)
        OPEN_ORDERS.replace({(name,): count for name, (count, _) in waiting.items()})
        OPEN_OLDEST.replace({(name,): age_s(oldest) for name, (_, oldest) in waiting.items()})
        UNSEALED.set(age_s(await webhooks.unsealed_since(tx)))
        TRAIL.set(age_s(await audit.unsealed_since(tx)))
        due = await webhooks.waiting(tx, COUNT_MAX)
        DELIVERIES.set(due.waiting)
        DELIVERIES_LATE.set(age_s(due.since))
        failing, disabled = await webhooks.troubled_counts(tx)
        ENDPOINTS.replace({("failing",): failing, ("disabled",): disabled})
        mails, since = await notices.waiting(tx)
        MAILS.set(mails)
        MAILS_LATE.set(age_s(since))
        DRIFTS.set(sum((await reconciliation.count_open(tx)).values()))
        known = await beats.read(tx)
        PROCESSES.replace({(kind.lower(),): _at_work(known, kind) for kind in ProcessKind})
        raised = await alerts.count_open(tx)
        ALERTS.replace({(kind,): raised.get(kind, 0) for kind in AlertKind})
        left = await vendors.standing(tx)
        BALANCES.replace(
            {
                (one.vendor, one.currency): float(
                    to_decimal(one.balance_minor, exponent_of(one.currency))
                )
                for one in left
            }
        )
        BALANCES_AGE.replace({(one.vendor, one.currency): age_s(one.read_at) for one in left})

    def _shelves(self) -> list[ShelfKey]:
        """What the catalogue sells at fixed values: told also when none is left."""
        return [
            ShelfKey(product.id, value.min_minor, product.currency)
            for product in self._catalog.products()
            if product.active and product.type is ProductType.VOUCHER
            for value in product.denominations
            if value.min_minor == value.max_minor
        ][:SHELVES_MAX]


def _shelf(key: ShelfKey) -> tuple[str, str, str]:
    denomination = to_decimal(key.denomination_minor, exponent_of(key.currency))
    return str(key.product_id), str(denomination), key.currency


def _at_work(known: list[Beat], kind: ProcessKind) -> int:
    return len(beats.beating(known, kind, SILENT_S))


def _forget() -> None:
    for gauge in _LABELLED:
        gauge.replace({})
    for gauge in _PLAIN:
        gauge.set(float("nan"))
