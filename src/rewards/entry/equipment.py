"""What a worker does: every job's name, its handler, and how often it comes round by itself."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, TypeAlias

import structlog

from rewards.catalog.catalog import Catalog
from rewards.claims.service import ClaimLinks
from rewards.claims.tasks import LinkTasks
from rewards.clients.sessions import forget_sessions
from rewards.core.clock import Clock
from rewards.entry.purchasing import Purchasing
from rewards.infra import beats, changes, idempotency, jobs
from rewards.infra.db import Database
from rewards.infra.runner import Handler
from rewards.infra.settings import Settings
from rewards.infra.worker import Worker
from rewards.inventory import service as inventory
from rewards.notices.service import SEND_JOB
from rewards.notices.tasks import NoticeTasks
from rewards.orders.links import MAKE_LINKS_JOB
from rewards.orders.placing import FILL_JOB, FLAGGED_JOB
from rewards.orders.tasks import OrderTasks
from rewards.portal import service as portal
from rewards.pricing.provider import provider_of
from rewards.pricing.tasks import refresh_rates
from rewards.reconciliation.tasks import RUN_JOB, Reconciling
from rewards.reports.service import WRITE_JOB
from rewards.reports.sources import sources
from rewards.reports.tasks import Writing
from rewards.restocks.service import Restocks
from rewards.staff import alone, approvals, bookings, cancels, fulfilments, recalls, stock_orders
from rewards.staff import sessions as staff_sessions
from rewards.staff.credit import carry_out as raise_credit
from rewards.staff.model_approvals import ApprovalKind
from rewards.traffic.tasks import forget_requests
from rewards.vendors.accounts import Accounts
from rewards.vendors.purchases import BUY_JOB
from rewards.vendors.service import SYNC_JOB
from rewards.vendors.tasks import VendorTasks
from rewards.webhooks.deliveries import give_up_deleted
from rewards.webhooks.endpoints import GIVE_UP_JOB
from rewards.webhooks.tasks import EventTasks

log = structlog.get_logger()

PUMP = jobs.declare("inventory.pump")
DEAD_IMPORTS = jobs.declare("inventory.dead_imports")
STOCK_ARRIVED = jobs.declare("orders.stock_arrived")
RETRY_WAITING = jobs.declare("orders.retry_waiting")
SWEEP = jobs.declare("orders.sweep")
DEADLINES = jobs.declare("orders.deadlines")
REFUNDS_OWED = jobs.declare("orders.refunds_owed")
STUCK = jobs.declare("orders.stuck")
EXPIRE_APPROVALS = jobs.declare("staff.expire_approvals")
VENDOR_BALANCES = jobs.declare("vendors.balances")
VENDOR_CATALOGUES = jobs.declare("vendors.catalogues")
FORGET_EXCHANGES = jobs.declare("vendors.forget_exchanges")
PURCHASES_DUE = jobs.declare("vendors.purchases_due")
FLAGGED_WAITING = jobs.declare("orders.flagged_waiting")
RECONCILE_DAILY = jobs.declare("reconciliation.daily")
RECONCILE_SWEEP = jobs.declare("reconciliation.sweep")
LINKS_LACKING = jobs.declare("claims.links_lacking")
LINKS_LAPSED = jobs.declare("claims.links_lapsed")
NOTICE_CAUSES = jobs.declare("notices.causes")
NOTICE_ENDPOINTS = jobs.declare("notices.endpoints")
FORGET_NOTICES = jobs.declare("notices.forget")
FORGET_REQUESTS = jobs.declare("traffic.forget_requests")
FORGET_CHANGES = jobs.declare("infra.forget_changes")
REFRESH_RATES = jobs.declare("pricing.refresh_rates")
REPORTS_LEFT = jobs.declare("reports.left")
FORGET_REPORTS = jobs.declare("reports.forget")
FORGET_EVENTS = jobs.declare("webhooks.forget_events")

PUMP_EVERY_S = 1_800
SWEEP_EVERY_S = 60
DEADLINES_EVERY_S = 15
REFUNDS_EVERY_S = 300
STUCK_EVERY_S = 3_600
FORGET_EVERY_S = 3_600
GIVE_UP_EVERY_S = 300
BALANCES_EVERY_S = 600
CATALOGUES_EVERY_S = 86_400
# At 02:00 UTC, when few buy.
CATALOGUES_OFFSET_S = 7_200
RECONCILE_EVERY_S = 86_400
# At 03:00 UTC: what was sent before midnight is settled by then, and vendors have closed their day.
RECONCILE_OFFSET_S = 10_800
RECONCILE_SWEEP_EVERY_S = 300
# Each turn leaves a line in the log of jobs.
NOTICE_CAUSES_EVERY_S = 5
NOTICE_SEND_EVERY_S = 20
SESSIONS_KEPT = timedelta(days=30)
CHANGES_KEPT = timedelta(hours=changes.RETENTION_HOURS_MIN * 2)
LONG_S = 900.0
SYNCS_MAX, PURCHASES_MAX = 8, 32
RETENTION = jobs.declare("infra.retention")
JOB_LOG_KEPT = timedelta(days=7)
FORGET_ROUND_MAX = 100


@dataclass(frozen=True, slots=True)
class Context:
    """What handlers are built with. `db` is theirs; the queue has connections of its own."""

    settings: Settings
    dsn: str
    db: Database
    clock: Clock


# Registers a slice's handlers and schedules.
Equip: TypeAlias = Callable[[Worker, Context], None]
# What a worker does besides jobs: goes on until the event is set, and then ends soon.
Beside: TypeAlias = Callable[[asyncio.Event], Coroutine[Any, Any, None]]


def retention(worker: Worker, context: Context) -> None:
    """Forget what nobody may ask for any more: job logs after 7 days, replays after 30."""

    async def forget(_payloads: Sequence[Mapping[str, Any]]) -> None:
        now = context.clock.now()
        for _ in range(FORGET_ROUND_MAX):
            async with context.db.transaction() as tx:
                if not await jobs.forget(tx, now - JOB_LOG_KEPT):
                    break
        async with context.db.transaction() as tx:
            await idempotency.forget(tx, now - idempotency.KEPT_FOR)

    worker.register(RETENTION, forget)
    worker.schedule(RETENTION, FORGET_EVERY_S)


def _alone(task: Callable[[], Awaitable[object]]) -> Handler:
    """A handler for jobs that carry nothing: however many are queued, the task runs once."""

    async def run(_payloads: Sequence[Mapping[str, Any]]) -> None:
        await task()

    return run


def orders(worker: Worker, context: Context) -> None:
    """Filling, retrying, deadlines, owed refunds, stuck orders (spec.md §9)."""
    tasks = OrderTasks(context.db, context.clock, context.settings)

    async def fill(payloads: Sequence[Mapping[str, Any]]) -> None:
        await tasks.fill([int(payload["order_id"]) for payload in payloads])

    worker.register(FILL_JOB, fill)
    for name, task, every_s in (
        (SWEEP, tasks.sweep, SWEEP_EVERY_S),
        (DEADLINES, tasks.deadlines, DEADLINES_EVERY_S),
        (REFUNDS_OWED, tasks.refunds_owed, REFUNDS_EVERY_S),
        (STUCK, tasks.report_stuck, STUCK_EVERY_S),
        (RETRY_WAITING, tasks.retry_waiting, PUMP_EVERY_S),
    ):
        worker.register(name, _alone(task), timeout_s=LONG_S)
        worker.schedule(name, every_s)
    worker.register(STOCK_ARRIVED, _alone(tasks.retry_waiting), timeout_s=LONG_S)


def stock(catalog: Catalog) -> Equip:
    """The pump every 30 minutes, and the end of imports whose process died (spec.md §4)."""

    def equip(worker: Worker, context: Context) -> None:
        async def pump() -> None:
            report = await inventory.pump(context.db, catalog, context.clock)
            log.info("pumped", shelves=len(report.shelves), arrived=len(report.arrived))
            if report.arrived:
                async with context.db.transaction() as tx:
                    await jobs.enqueue(tx, [jobs.JobAsk(STOCK_ARRIVED, dedupe_key="any")])

        async def dead_imports() -> None:
            async with context.db.transaction() as tx:
                await inventory.fail_dead_imports(tx, context.clock.now())

        async def block(payloads: Sequence[Mapping[str, Any]]) -> None:
            for payload in payloads:
                batch_id = int(payload["batch_id"])
                await inventory.block_unsold(context.db, batch_id, context.clock.now())

        worker.register(inventory.BLOCK_JOB, block, timeout_s=LONG_S)
        worker.register(PUMP, _alone(pump), timeout_s=LONG_S)
        worker.schedule(PUMP, PUMP_EVERY_S)
        worker.register(DEAD_IMPORTS, _alone(dead_imports))
        worker.schedule(DEAD_IMPORTS, SWEEP_EVERY_S)

    return equip


def _agreed(carry_out: Callable[[int], Awaitable[None]]) -> Handler:
    """A handler for how requests ended: each is carried out, or closed, by its id."""

    async def run(payloads: Sequence[Mapping[str, Any]]) -> None:
        for payload in payloads:
            await carry_out(int(payload["approval_id"]))

    return run


def second_persons(restocks: Restocks) -> Equip:
    """What staff asked for and another approved; and requests that nobody looked at."""

    def equip(worker: Worker, context: Context) -> None:
        ours = (context.db, context.clock)

        async def expire() -> None:
            async with context.db.transaction() as tx:
                await approvals.expire(tx, context.clock.now())
                await alone.forget(tx, context.clock.now())

        recall = _agreed(partial(recalls.carry_out, *ours))
        worker.register(approvals.JOBS[ApprovalKind.BATCH_RECALL], recall, timeout_s=LONG_S)
        for name, carry_out in (
            (approvals.JOBS[ApprovalKind.STOCK_ORDER], partial(stock_orders.carry_out, restocks)),
            (approvals.JOBS[ApprovalKind.LATE_CANCEL], partial(cancels.carry_out, *ours)),
            (approvals.BOOK_MONEY, partial(bookings.carry_out, *ours)),
            (approvals.JOBS[ApprovalKind.CREDIT_LIMIT], partial(raise_credit, *ours)),
        ):
            worker.register(name, _agreed(carry_out))
        worker.register(EXPIRE_APPROVALS, _alone(expire))
        worker.schedule(EXPIRE_APPROVALS, SWEEP_EVERY_S)

    return equip


def reports(catalog: Catalog) -> Equip:
    """Files that staff asked for: written, taken up again where they were left, dropped."""

    def equip(worker: Worker, context: Context) -> None:
        tasks = Writing(context.db, context.clock, sources(catalog, context.clock))

        async def write(payloads: Sequence[Mapping[str, Any]]) -> None:
            await tasks.work_on([int(payload["report_id"]) for payload in payloads])

        worker.register(WRITE_JOB, write, batch_max=1, timeout_s=LONG_S)
        worker.register(REPORTS_LEFT, _alone(tasks.sweep))
        worker.schedule(REPORTS_LEFT, SWEEP_EVERY_S)
        worker.register(FORGET_REPORTS, _alone(tasks.expire), timeout_s=LONG_S)
        worker.schedule(FORGET_REPORTS, FORGET_EVERY_S)

    return equip


def rates(catalog: Catalog) -> Equip:
    """Exchange rates from a provider, where the settings name one."""

    def equip(worker: Worker, context: Context) -> None:
        provider = provider_of(context.settings)

        async def refresh() -> None:
            # A turn may still be queued from when a provider was named.
            if provider is not None:
                codes = {currency.code for currency in catalog.currencies()}
                await refresh_rates(context.db, context.clock, context.settings, provider, codes)

        worker.register(REFRESH_RATES, _alone(refresh))
        if provider is not None:
            worker.schedule(REFRESH_RATES, context.settings.fx_provider_every_s)

    return equip


def vendors(accounts: Accounts) -> Equip:
    """Balances every ten minutes, catalogues every day and when asked, each by itself."""

    def equip(worker: Worker, context: Context) -> None:
        tasks = VendorTasks(context.db, accounts, context.clock)

        async def sync(payloads: Sequence[Mapping[str, Any]]) -> None:
            await tasks.sync([int(payload["vendor_id"]) for payload in payloads])

        worker.register(SYNC_JOB, sync, batch_max=1, calls_max=SYNCS_MAX, timeout_s=LONG_S)
        worker.register(VENDOR_BALANCES, _alone(tasks.read_balances), timeout_s=LONG_S)
        worker.schedule(VENDOR_BALANCES, BALANCES_EVERY_S)
        worker.register(VENDOR_CATALOGUES, _alone(tasks.ask_for_syncs))
        worker.schedule(VENDOR_CATALOGUES, CATALOGUES_EVERY_S, offset_s=CATALOGUES_OFFSET_S)
        worker.register(FORGET_EXCHANGES, _alone(tasks.forget_exchanges), timeout_s=LONG_S)
        worker.schedule(FORGET_EXCHANGES, FORGET_EVERY_S)

    return equip


def purchases(bought: Purchasing) -> Equip:
    """Takes purchases one call further, each by itself; buys what is flagged, or was agreed to."""

    def equip(worker: Worker, context: Context) -> None:
        async def buy(payloads: Sequence[Mapping[str, Any]]) -> None:
            await bought.buying.work_on([int(payload["purchase_id"]) for payload in payloads])

        async def buy_flagged(payloads: Sequence[Mapping[str, Any]]) -> None:
            order_ids = {int(payload["order_id"]) for payload in payloads}
            await bought.fulfilment.approve_flagged(sorted(order_ids))

        worker.register(BUY_JOB, buy, batch_max=1, calls_max=PURCHASES_MAX, timeout_s=LONG_S)
        worker.register(FLAGGED_JOB, buy_flagged)
        carry_out = partial(fulfilments.carry_out, context.db, context.clock, bought.fulfilment)
        worker.register(approvals.JOBS[ApprovalKind.VENDOR_FULFILMENT], _agreed(carry_out))
        worker.register(PURCHASES_DUE, _alone(bought.buying.sweep), timeout_s=LONG_S)
        worker.schedule(PURCHASES_DUE, SWEEP_EVERY_S)
        worker.register(FLAGGED_WAITING, _alone(bought.fulfilment.sweep_flagged), timeout_s=LONG_S)
        worker.schedule(FLAGGED_WAITING, SWEEP_EVERY_S)

    return equip


def reconciliation(accounts: Accounts) -> Equip:
    """Yesterday's books every night (spec.md §8); runs that were left are taken up again."""

    def equip(worker: Worker, context: Context) -> None:
        tasks = Reconciling(context.db, accounts, context.clock)

        async def go_on(payloads: Sequence[Mapping[str, Any]]) -> None:
            await tasks.work_on([int(payload["run_id"]) for payload in payloads])

        worker.register(RUN_JOB, go_on, batch_max=1, timeout_s=LONG_S)
        worker.register(RECONCILE_DAILY, _alone(tasks.daily))
        worker.schedule(RECONCILE_DAILY, RECONCILE_EVERY_S, offset_s=RECONCILE_OFFSET_S)
        worker.register(RECONCILE_SWEEP, _alone(tasks.sweep))
        worker.schedule(RECONCILE_SWEEP, RECONCILE_SWEEP_EVERY_S)

    return equip


def events(worker: Worker, context: Context) -> None:
    """Events are kept for 90 days, and with them what became of them (spec.md §7).

    What waits for endpoints that are deleted is given up: at once, and what came meanwhile.
    """
    tasks = EventTasks(context.db, context.clock)

    async def give_up() -> None:
        await give_up_deleted(context.db, context.clock)

    worker.register(FORGET_EVENTS, _alone(tasks.forget), timeout_s=LONG_S)
    worker.schedule(FORGET_EVENTS, FORGET_EVERY_S)
    worker.register(GIVE_UP_JOB, _alone(give_up), timeout_s=LONG_S)
    worker.schedule(GIVE_UP_JOB, GIVE_UP_EVERY_S)


def claim_links(links: ClaimLinks) -> Equip:
    """Makes the links that orders lack, and takes back what was not claimed in time."""

    def equip(worker: Worker, context: Context) -> None:
        tasks = LinkTasks(context.db, context.clock, links)

        async def make(payloads: Sequence[Mapping[str, Any]]) -> None:
            await tasks.make([int(payload["order_id"]) for payload in payloads])

        worker.register(MAKE_LINKS_JOB, make)
        for name, task in ((LINKS_LACKING, tasks.sweep), (LINKS_LAPSED, tasks.lapse)):
            worker.register(name, _alone(task), timeout_s=LONG_S)
            worker.schedule(name, SWEEP_EVERY_S)

    return equip


def notices(tasks: NoticeTasks) -> Equip:
    """Mail: what has happened is looked for, what is due is sent, what is old is forgotten."""

    def equip(worker: Worker, _context: Context) -> None:
        worker.register(NOTICE_ENDPOINTS, _alone(tasks.read_endpoints))
        worker.schedule(NOTICE_ENDPOINTS, SWEEP_EVERY_S)
        worker.register(NOTICE_CAUSES, _alone(tasks.read_causes))
        worker.schedule(NOTICE_CAUSES, NOTICE_CAUSES_EVERY_S)
        # Also when something is queued; by itself for what is to be tried again.
        worker.register(SEND_JOB, _alone(tasks.send), timeout_s=LONG_S)
        worker.schedule(SEND_JOB, NOTICE_SEND_EVERY_S)
        worker.register(FORGET_NOTICES, _alone(tasks.forget), timeout_s=LONG_S)
        worker.schedule(FORGET_NOTICES, FORGET_EVERY_S)

    return equip


def caches(worker: Worker, context: Context) -> None:
    """Forget announcements that every process has heard, sessions long over, who is gone, and days
    of the request log that nobody may read any more."""

    async def forget() -> None:
        now = context.clock.now()
        async with context.db.transaction() as tx:
            await changes.forget(tx, now - CHANGES_KEPT)
            await forget_sessions(tx, now - SESSIONS_KEPT)
            await beats.forget(tx)
            await portal.forget_sessions(tx, now)
            await staff_sessions.forget(tx, now - SESSIONS_KEPT)

    async def requests() -> None:
        await forget_requests(context.db, context.clock, context.settings)

    worker.register(FORGET_CHANGES, _alone(forget))
    worker.schedule(FORGET_CHANGES, FORGET_EVERY_S)
    worker.register(FORGET_REQUESTS, _alone(requests))
    worker.schedule(FORGET_REQUESTS, FORGET_EVERY_S)
