"""How it stands with everything that alerts are about, one reader for each kind."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import ceil

from rewards.alerts.model import AlertKind, Limit, Reading, Sight
from rewards.alerts.silence import silences
from rewards.audit import service as audit
from rewards.clients import signing_age
from rewards.core.clock import Clock
from rewards.core.currency import exponent_of
from rewards.core.money import to_decimal
from rewards.infra import beats, jobs, key_use
from rewards.infra.db import Database, Tx
from rewards.infra.settings import Settings
from rewards.orders import overview
from rewards.orders.model import SubStatus
from rewards.reconciliation import service as reconciliation
from rewards.restocks.forecast import Advice
from rewards.restocks.service import Restocks
from rewards.vendors import service as vendors
from rewards.vendors.kept import Standing
from rewards.webhooks import service as webhooks

# Demand and spending are those of so many days.
DAYS = 14
# Subjects of one kind; more are a trouble of another sort, and nothing is said of the rest.
READINGS_MAX = 1_000
# An endpoint that has been in trouble for longer is nobody's news, and not well for that.
TROUBLE_TOLD = timedelta(days=30)
EVER = datetime(1970, 1, 1, tzinfo=UTC)
ONE = Decimal(1)
HOUR_S = 3_600

Reader = Callable[[], Awaitable[Sequence[Reading] | Sight]]


@dataclass(frozen=True, slots=True)
class Readings:
    """The readers of one process, over the limits of its settings."""

    db: Database
    settings: Settings
    clock: Clock
    restocks: Restocks

    @property
    def quick(self) -> Mapping[AlertKind, Reader]:
        """What is small to read: looked at every time."""
        return {
            AlertKind.ORDERS_STUCK: self.orders,
            AlertKind.VENDOR_BALANCE_LOW: self.balances,
            AlertKind.ENDPOINT_FAILING: self.failing,
            AlertKind.ENDPOINT_DISABLED: self.disabled,
            AlertKind.DRIFT_FOUND: self.drift,
            AlertKind.WORKER_SILENT: self.workers,
            AlertKind.JOBS_LATE: self.jobs,
            AlertKind.KEY_NEAR_END: self.keys,
            AlertKind.SEALING_BEHIND: self.sealing,
        }

    @property
    def slow(self) -> Mapping[AlertKind, Reader]:
        """What sums up the orders of weeks and all stock: looked at now and then."""
        return {AlertKind.POOL_COVER_LOW: self.cover}

    def _limit(self, at: float | Decimal, *, below: bool = False) -> Limit:
        return Limit(Decimal(at), Decimal(self.settings.alert_slack_percent) / 100, below)

    async def orders(self) -> list[Reading]:
        """Hours that the oldest order of each sub-status has waited."""
        now, chosen = self.clock.now(), self.settings
        async with self.db.connection() as connection:
            waiting = await overview.open_orders(connection)
        processing = self._limit(Decimal(chosen.alert_order_processing_minutes) / 60)
        usual = self._limit(chosen.alert_order_waiting_hours)
        return [
            Reading(
                sub_status,
                _whole((now - oldest).total_seconds() / HOUR_S),
                processing if sub_status is SubStatus.PROCESSING else usual,
                {"orders_waiting": count, "oldest_placed_at": oldest.isoformat()},
            )
            for sub_status, (count, oldest) in waiting.items()
        ]

    async def cover(self) -> Sight:
        """Days that the stock of each shelf lasts, of products that are sold."""
        limit = self._limit(self.settings.alert_pool_cover_days, below=True)
        # Well beyond where it is well again: what lasts longer need not be counted.
        enough = ceil(limit.at * (1 + limit.slack)) + 1
        lines = await self.restocks.forecast(DAYS, DAYS, told_days=enough)
        found = [
            Reading(_shelf(line), line.cover_days, limit, _cover_facts(line))
            for line in lines
            if line.cover_days is not None and self._sold(line.need.shelf.product_id)
        ]
        # The shortest cover comes first.
        return Sight(found[:READINGS_MAX], whole=len(found) <= READINGS_MAX)

    def _sold(self, product_id: int) -> bool:
        product = self.restocks.catalog.product(product_id)
        return product is not None and product.active

    async def balances(self) -> list[Reading]:
        """Days that each balance lasts as it was spent lately; and units, where a least is set."""
        async with self.db.connection() as connection:
            left = await vendors.standing(connection, self.clock.now() - timedelta(days=DAYS))
        found = []
        days = self._limit(self.settings.alert_vendor_cover_days, below=True)
        for one in left:
            balance = to_decimal(one.balance_minor, exponent_of(one.currency))
            subject = f"vendor {one.vendor_id} {one.currency}"
            facts = {"vendor": one.vendor, "balance": f"{one.currency} {balance}"}
            if one.spent_minor > 0:
                found.append(Reading(subject, _days_left(one), days, facts))
            least = self.settings.alert_vendor_balance_min.get(one.currency)
            if least is not None:
                limit = self._limit(least, below=True)
                found.append(Reading(f"{subject} minimum", balance, limit, facts))
        return found

    async def failing(self) -> Sight:
        """Hours that each endpoint has failed."""
        now, limit = self.clock.now(), self._limit(self.settings.alert_endpoint_failing_hours)
        troubled = await self._troubled()
        return Sight(
            [
                Reading(
                    f"endpoint {one.endpoint_id}",
                    _whole((now - one.since).total_seconds() / HOUR_S),
                    limit,
                    {"client_id": one.client_id, "since": one.since.isoformat()},
                    now - one.since < TROUBLE_TOLD,
                )
                for one in troubled
                if one.reason is None
            ],
            whole=len(troubled) < READINGS_MAX,
        )

    async def disabled(self) -> Sight:
        """Endpoints that we switched off."""
        now, troubled = self.clock.now(), await self._troubled()
        return Sight(
            [
                Reading(
                    f"endpoint {one.endpoint_id}",
                    ONE,
                    self._limit(ONE),
                    {"client_id": one.client_id, "why": one.reason, "at": one.since.isoformat()},
                    now - one.since < TROUBLE_TOLD,
                )
                for one in troubled
                if one.reason is not None
            ],
            whole=len(troubled) < READINGS_MAX,
        )

    async def _troubled(self) -> list[webhooks.Troubled]:
        async with self.db.connection() as connection:
            return await webhooks.troubled(connection, EVER, self.clock.now(), 0, READINGS_MAX)

    async def drift(self) -> list[Reading]:
        """Findings of reconciliation that nobody has explained, by vendor."""
        async with self.db.connection() as connection:
            found = await reconciliation.count_open(connection)
        return [
            Reading(
                "own books" if vendor_id is None else f"vendor {vendor_id}",
                Decimal(count),
                self._limit(ONE),
            )
            for vendor_id, count in found.items()
        ]

    async def workers(self) -> list[Reading]:
        """Seconds that the workers, or one of them, have been silent."""
        async with self.db.connection() as connection:
            known = await beats.read(connection)
        return silences(known, self._limit(self.settings.alert_worker_silent_s))

    async def jobs(self) -> list[Reading]:
        """Seconds that the oldest job of each name has been due."""
        limit = self._limit(self.settings.alert_job_late_s)
        async with self.db.connection() as connection:
            lines = await jobs.lines(connection)
        return [
            Reading(f"job {line.name}", _whole(line.late_s), limit, {"due": line.due})
            for line in lines
        ]

    async def keys(self) -> Sight:
        """Percent of what each data key may seal; days of its age, and of each secret that a
        client has signed with for too long."""
        chosen = self.settings
        async with self.db.connection() as connection:
            keys = await key_use.read(connection)
            secrets = await self._old_secrets(connection)
        found = []
        used, age = self._limit(chosen.alert_key_used_percent), chosen.alert_key_age_days
        for key in keys:
            subject = f"data key {key.id}"
            facts = {"purpose": key.purpose, "seals": key.seals}
            found.append(Reading(f"{subject} use", _whole(key.used_percent), used, facts))
            if age:
                days = _whole(key.age_days)
                found.append(Reading(f"{subject} age", days, self._limit(age), facts))
        return Sight(found + secrets[:READINGS_MAX], whole=len(secrets) <= READINGS_MAX)

    async def _old_secrets(self, tx: Tx) -> list[Reading]:
        """The oldest first, and one more than may be. A younger one is well: age only grows."""
        now, age_max_days = self.clock.now(), self.settings.alert_secret_age_days
        if not age_max_days:
            return []
        since = now - timedelta(days=age_max_days)
        return [
            Reading(
                f"credential {one.credential_id} of client {one.client_id}",
                _whole((now - one.set_at).total_seconds() / 86_400),
                self._limit(age_max_days),
                {
                    "client_id": one.client_id,
                    "client": one.client,
                    "credential": one.name,
                    "signing_secret_set_at": one.set_at.isoformat(),
                },
            )
            for one in await signing_age.oldest(tx, since, READINGS_MAX + 1)
        ]

    async def sealing(self) -> list[Reading]:
        """Seconds since the oldest event without a number, and audit entry without a seal."""
        limit, now = self._limit(self.settings.alert_sealing_behind_s), self.clock.now()
        async with self.db.connection() as connection:
            waiting = {
                "events": await webhooks.unsealed_since(connection),
                "audit trail": await audit.unsealed_since(connection),
            }
        return [
            Reading(subject, _whole((now - since).total_seconds() if since else 0.0), limit)
            for subject, since in waiting.items()
        ]


def _whole(value: float) -> Decimal:
    """To a hundredth, rounded down: what is not there yet is not crossed."""
    return Decimal(int(value * 100)) / 100


def _days_left(one: Standing) -> Decimal:
    days = Decimal(max(one.balance_minor, 0)) * DAYS / one.spent_minor
    return days.quantize(Decimal("0.1"))


def _shelf(line: Advice) -> str:
    shelf = line.need.shelf
    value = to_decimal(shelf.denomination_minor, exponent_of(shelf.currency))
    return f"product {shelf.product_id} {value} {shelf.currency}"


def _cover_facts(line: Advice) -> dict[str, object]:
    need = line.need
    return {
        "depth": need.depth,
        "on_order": need.on_order,
        "waiting_orders": need.waited,
        "per_day": str(line.per_day),
        "buy": line.buy,
    }
