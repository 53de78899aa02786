"""What staff do with alerts: look at them, and say that somebody looks after one."""

from dataclasses import replace
from datetime import datetime

from rewards.alerts import sql
from rewards.alerts.model import (
    Alert,
    AlertAcknowledged,
    AlertCleared,
    AlertFilter,
    AlertKind,
    AlertNotFound,
)
from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.infra.db import Tx
from rewards.staff.auth import Caller


async def find(tx: Tx, narrow: AlertFilter, before_id: int, limit: int) -> list[Alert]:
    """Alerts newest first; the next page begins before the last one's id."""
    return await sql.find(tx, narrow, before_id, limit)


async def count_open(tx: Tx) -> dict[AlertKind, int]:
    """How many of each kind are not cleared."""
    return await sql.count_open(tx)


async def looked_at(tx: Tx) -> datetime | None:
    """When a look last came to its end."""
    return await sql.looked_at(tx)


async def acknowledge(tx: Tx, alert_id: int, who: Caller, note: str, at: datetime) -> Alert:
    """Somebody looks after it: it stays open until what it is about is well again.

    Raises AlertNotFound, AlertCleared, and AlertAcknowledged where somebody did so before.
    """
    alert = await sql.lock(tx, alert_id)
    if alert is None:
        raise AlertNotFound
    if alert.cleared_at is not None:
        raise AlertCleared
    if alert.acknowledged_at is not None:
        raise AlertAcknowledged
    await sql.acknowledge(tx, alert_id, who.staff.id, note, at)
    facts = {"kind": alert.kind, "subject": alert.subject}
    fact = AuditFact(who.actor, None, "alert.acknowledged", "alert", alert_id, facts, note)
    await audit.record(tx, [fact], at)
    return replace(alert, acknowledged_at=at, acknowledged_by=who.staff.id, note=note)
