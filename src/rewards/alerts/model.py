"""Alerts, their limits, and what a look makes of them; pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from rewards.core.errors import Conflict, NotFound

NOTE_CHARS_MAX = 500
# Telling is tried for about a day: 30 s, doubling, up to an hour between two attempts.
ATTEMPTS_MAX = 30
AGAIN_FIRST_S = 30.0
AGAIN_MAX_S = 3_600.0


class AlertKind(StrEnum):
    ORDERS_STUCK = "ORDERS_STUCK"  # hours that the oldest order of a sub-status has waited
    POOL_COVER_LOW = "POOL_COVER_LOW"  # days that the stock of a shelf lasts
    VENDOR_BALANCE_LOW = "VENDOR_BALANCE_LOW"  # days, or units of the currency, left at a vendor
    ENDPOINT_FAILING = "ENDPOINT_FAILING"  # hours without a success
    ENDPOINT_DISABLED = "ENDPOINT_DISABLED"  # 1: we switched it off
    DRIFT_FOUND = "DRIFT_FOUND"  # findings that nobody has explained
    WORKER_SILENT = "WORKER_SILENT"  # seconds since a worker was last heard of
    JOBS_LATE = "JOBS_LATE"  # seconds that the oldest job of a name has been due
    KEY_NEAR_END = "KEY_NEAR_END"  # percent of a key's use, or days of its age
    SEALING_BEHIND = "SEALING_BEHIND"  # seconds that events, or the trail, wait for a seal


class AlertState(StrEnum):
    OPEN = "OPEN"
    PAST = "PAST"


class What(StrEnum):
    RAISED = "RAISED"
    CLEARED = "CLEARED"


class Channel(StrEnum):
    MAIL = "MAIL"
    WEBHOOK = "WEBHOOK"


class TellingState(StrEnum):
    QUEUED = "QUEUED"
    SENT = "SENT"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Limit:
    """Where it begins to be wrong, and how far behind that must be left until it is right again.

    `slack` is a share of `at`. `below`: less is worse.
    """

    at: Decimal
    slack: Decimal
    below: bool = False

    def crossed(self, level: Decimal) -> bool:
        return level < self.at if self.below else level >= self.at

    def left(self, level: Decimal) -> bool:
        """Never true where it is crossed; between the two things stay as they are."""
        if self.below:
            return level >= self.at * (1 + self.slack)
        return level < self.at * (1 - self.slack)


@dataclass(frozen=True, slots=True)
class Reading:
    """How it stands with one subject at one look. `facts`: what a person wants to know besides.

    One that is no `news` raises nothing; what is raised stays until its level is left behind.
    """

    subject: str
    level: Decimal
    limit: Limit
    facts: Mapping[str, object] = field(default_factory=dict)
    news: bool = True


@dataclass(frozen=True, slots=True)
class Sight:
    """All subjects of one kind. `whole`: whoever is not here is well; else nobody knows of them."""

    readings: Sequence[Reading]
    whole: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A row of `alerts`; `cleared_at` None: it is still so."""

    id: int
    kind: AlertKind
    subject: str
    level: Decimal
    facts: Mapping[str, object]
    raised_at: datetime
    seen_at: datetime
    cleared_at: datetime | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: int | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """What a look leads to. A cleared alert has no reading where its subject is there no more."""

    raised: list[tuple[AlertKind, Reading]]
    seen: list[tuple[Alert, Reading]]
    cleared: list[tuple[Alert, Reading | None]]


def decide(open_alerts: Iterable[Alert], sights: Mapping[AlertKind, Sight]) -> Changes:
    """Raise at the limit, clear well behind it, and let the rest be.

    Kinds that could not be looked at are not in `sights`; nothing happens to their alerts.
    """
    held = {(alert.kind, alert.subject): alert for alert in open_alerts}
    changes = Changes([], [], [])
    for kind, sight in sights.items():
        found = {reading.subject: reading for reading in sight.readings}
        for subject, reading in found.items():
            alert = held.get((kind, subject))
            if alert is None:
                if reading.news and reading.limit.crossed(reading.level):
                    changes.raised.append((kind, reading))
            elif reading.limit.left(reading.level):
                changes.cleared.append((alert, reading))
            else:
                changes.seen.append((alert, reading))
        if sight.whole:
            gone = [a for (k, s), a in held.items() if k is kind and s not in found]
            changes.cleared.extend((alert, None) for alert in gone)
    return changes


@dataclass(frozen=True, slots=True)
class Target:
    """Somebody to be told: an address, or the webhook, whose URL is a setting."""

    channel: Channel
    address: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Telling:
    """One attempt to tell somebody; `attempts` counts this one."""

    id: int
    lease: UUID
    what: What
    target: Target
    attempts: int
    alert: Alert


def again_s(attempts: int) -> float | None:
    """Seconds until the next attempt after so many; None: it is given up."""
    if attempts >= ATTEMPTS_MAX:
        return None
    return float(min(AGAIN_FIRST_S * 2.0 ** (attempts - 1), AGAIN_MAX_S))


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """None leaves it open."""

    kind: AlertKind | None = None
    open: bool | None = None


class AlertNotFound(NotFound):
    code = "ALERT_NOT_FOUND"
    default_message = "Alert not found"


class AlertAcknowledged(Conflict):
    code = "ALERT_ACKNOWLEDGED"
    default_message = "Somebody has acknowledged this alert already"


class AlertCleared(Conflict):
    """There is nothing left to be looked after."""

    code = "ALERT_CLEARED"
    default_message = "The alert is cleared"
