"""What staff are told of an alert: a mail, and the body of a webhook; pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from rewards.alerts.model import Alert, AlertKind, What
from rewards.notices.letters import Letter

# What it is called, and what its level counts.
TOLD: Mapping[AlertKind, tuple[str, str]] = {
    AlertKind.ORDERS_STUCK: ("Orders wait too long", "hours"),
    AlertKind.POOL_COVER_LOW: ("Stock is running out", "days of sales"),
    AlertKind.VENDOR_BALANCE_LOW: ("A vendor balance is low", "left, in days or units"),
    AlertKind.ENDPOINT_FAILING: ("A client's endpoint fails", "hours"),
    AlertKind.ENDPOINT_DISABLED: ("A client's endpoint was switched off", "endpoint"),
    AlertKind.DRIFT_FOUND: ("Books differ", "findings"),
    AlertKind.WORKER_SILENT: ("A worker is silent", "seconds"),
    AlertKind.JOBS_LATE: ("Jobs are late", "seconds"),
    AlertKind.KEY_NEAR_END: ("A key nears its end", "percent or days"),
    AlertKind.SEALING_BEHIND: ("Events or the audit trail are not sealed in time", "seconds"),
}
assert TOLD.keys() == set(AlertKind), "every kind has words"
BEGUN = "It has just begun; this is told once."
OVER = "It is over."
GUIDE = "docs/operations/monitoring.md says what it means and what to do."


def letter(alerts: Sequence[Alert], what: What) -> Letter:
    """The mail about one alert or several, without a look."""
    return _of_one(alerts[0], what) if len(alerts) == 1 else _of_many(alerts, what)


def _of_many(alerts: Sequence[Alert], what: What) -> Letter:
    over = what is What.CLEARED
    counts = Counter(TOLD[alert.kind][0] for alert in alerts)
    summary = ", ".join(f"{count} times {title}" for title, count in counts.items())
    return Letter(
        subject=f"{'Cleared' if over else 'Alert'}: {len(alerts)} at once ({summary})",
        heading=f"{'Cleared: ' if over else ''}{len(alerts)} alerts at once",
        paragraphs=(f"{summary}. {OVER if over else BEGUN}",),
        facts=tuple((TOLD[alert.kind][0], f"{alert.subject}: {_level(alert)}") for alert in alerts),
        footer=GUIDE,
    )


def _of_one(alert: Alert, what: What) -> Letter:
    title = TOLD[alert.kind][0]
    over = what is What.CLEARED
    at = alert.cleared_at if over else alert.raised_at
    rows = [
        ("Kind", alert.kind.value),
        ("Subject", alert.subject),
        ("Level", _level(alert)),
        ("Raised" if not over else "Cleared", _time(at)),
        *((_name(key), _text(value)) for key, value in alert.facts.items()),
    ]
    return Letter(
        subject=f"{'Cleared' if over else 'Alert'}: {title} ({alert.subject})",
        heading=f"{'Cleared: ' if over else ''}{title}",
        paragraphs=(f"{alert.subject}. {OVER if over else BEGUN}",),
        facts=tuple(rows),
        footer=GUIDE,
    )


def _level(alert: Alert) -> str:
    return f"{alert.level.normalize():f} {TOLD[alert.kind][1]}"


def message_id(alert: Alert, what: What) -> str:
    """The same at every attempt, so that a receiver knows what it has already."""
    return f"alert_{alert.id}_{what.lower()}"


def body(alert: Alert, what: What) -> bytes:
    """As our other webhooks: id, type, timestamp, data."""
    at = alert.cleared_at if what is What.CLEARED else alert.raised_at
    return msgspec.json.encode(
        {
            "id": message_id(alert, what),
            "type": f"alert.{what.lower()}",
            "timestamp": at,
            "data": {
                "alert_id": alert.id,
                "kind": alert.kind.value,
                "title": TOLD[alert.kind][0],
                "subject": alert.subject,
                "level": str(alert.level),
                "facts": alert.facts,
                "raised_at": alert.raised_at,
                "cleared_at": alert.cleared_at if what is What.CLEARED else None,
            },
        }
    )


def _time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else ""


def _name(key: str) -> str:
    return key.replace("_", " ").capitalize()


def _text(value: object) -> str:
    return "" if value is None else str(value)
