"""What others may do with notices: have causes read, list them, send one again, set their look."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.core.actor import Actor
from rewards.infra import jobs
from rewards.infra.db import Tx
from rewards.infra.settings import Settings
from rewards.notices import sql, sql_read, sql_settings
from rewards.notices.decide import notices_of, notices_of_endpoints
from rewards.notices.model import (
    Attempt,
    NewNotice,
    Notice,
    NoticeKind,
    NoticeNotFound,
    NoticeSettings,
    NoticeState,
    NoticeStillQueued,
    again,
    or_defaults,
)
from rewards.notices.sql_read import NoticeFilter
from rewards.orders import mailing
from rewards.webhooks import service as webhooks

__all__ = [
    "SEND_JOB",
    "NoticeFilter",
    "find",
    "queue",
    "read",
    "read_causes",
    "read_endpoints",
    "read_settings",
    "resend",
    "set_recipients",
    "set_settings",
    "waiting",
]

SEND_JOB = jobs.declare("notices.send")
# Events that one transaction makes notices of.
READ_MAX = 500
# One attempt that fails is no trouble: the next ones come within minutes.
FAILING_LONG = timedelta(hours=1)
# Older trouble was told of, or is nobody's news. Shorter than notices are kept.
TROUBLE_TOLD = timedelta(days=7)


async def queue(tx: Tx, new: list[NewNotice], settings: Settings, at: datetime) -> list[int]:
    """Queue what is not there yet, and have it sent; the ids of what is new."""
    if not new:
        return []
    domain = settings.mail_from.rpartition("@")[2]
    facts = [msgspec.json.encode(each.facts).decode() for each in new]
    added = await sql.insert(tx, new, facts, domain, at)
    if added:
        await jobs.enqueue(tx, [jobs.JobAsk(SEND_JOB, dedupe_key="any")])
    return added


async def read_causes(tx: Tx, settings: Settings, at: datetime) -> bool:
    """Queue the notices of what has happened since the last time; whether there may be more.

    Each cause is read once: the notices and how far events are read are one transaction.
    """
    place = await sql.lock_reading(tx)
    if place is None:
        return False
    events, place = await webhooks.mailed_events(tx, place, READ_MAX)
    if not events:
        return False
    orders = await mailing.told(tx, [event.order_id for event in events if event.order_id])
    emails = {order.id: order.email for order in orders.values()}
    chosen = await sql_settings.read(tx, list({event.client_id for event in events}))
    await sql.move_reading(tx, place)
    await queue(tx, notices_of(events, emails, chosen), settings, at)
    return len(events) == READ_MAX


async def read_endpoints(tx: Tx, settings: Settings, after_id: int, at: datetime) -> int | None:
    """Queue notices of endpoints in trouble, READ_MAX at a time; where to go on, None at the end.

    Each is told of once for each time it began to fail or was switched off, by its cause.
    """
    found = await webhooks.troubled(tx, at - TROUBLE_TOLD, at - FAILING_LONG, after_id, READ_MAX)
    chosen = await sql_settings.read(tx, list({each.client_id for each in found}))
    await queue(tx, notices_of_endpoints(found, chosen), settings, at)
    return found[-1].endpoint_id if len(found) == READ_MAX else None


async def find(tx: Tx, narrow: NoticeFilter, before_id: int, limit: int) -> list[Notice]:
    """Notices newest first; the next page begins before the last one's id."""
    return await sql_read.find(tx, narrow, before_id, limit)


async def read(tx: Tx, notice_id: int) -> tuple[Notice, list[Attempt]]:
    """One notice and what its attempts met. Raises NoticeNotFound."""
    notice = await sql_read.read(tx, notice_id)
    if notice is None:
        raise NoticeNotFound
    return notice, (await sql_read.attempts(tx, [notice_id]))[notice_id]


async def resend(
    tx: Tx, notice_id: int, actor: Actor, reason: str, settings: Settings, at: datetime
) -> Notice:
    """Queue the same once more, as a mail of its own; its address is no longer suppressed.

    Raises NoticeNotFound, and NoticeStillQueued while it or a resend of it has yet to be sent.
    """
    notice = await sql_read.lock(tx, notice_id)
    if notice is None:
        raise NoticeNotFound
    if notice.state is NoticeState.QUEUED:
        raise NoticeStillQueued
    lifted = await sql.lift(tx, notice.address)
    new = again(notice, await sql_read.resends(tx, notice_id) + 1)
    added = await queue(tx, [new], settings, at)
    if not added:
        raise NoticeStillQueued
    facts = {"kind": notice.kind, "resent_as": added[0], "suppression_lifted": lifted}
    fact = AuditFact(actor, notice.client_id, "notice.resent", "notice", notice_id, facts, reason)
    await audit.record(tx, [fact], at)
    resent = await sql_read.read(tx, added[0])
    assert resent is not None
    return resent


async def waiting(tx: Tx) -> tuple[int, datetime | None]:
    """Notices that could be sent now, and since when the first of them could."""
    return await sql_read.waiting(tx)


async def read_settings(tx: Tx, client_id: int) -> NoticeSettings:
    """The client's; the usual ones where it has none."""
    return or_defaults((await sql_settings.read(tx, [client_id])).get(client_id), client_id)


async def set_recipients(
    tx: Tx, client_id: int, contacts: Sequence[str], muted: Sequence[NoticeKind], at: datetime
) -> NoticeSettings:
    """Who of the client is mailed, and of what not; what they were before. The look stays.

    One statement writes, so that staff who set the look meanwhile lose nothing.
    """
    before = await read_settings(tx, client_id)
    await sql_settings.put_recipients(tx, client_id, contacts, muted, at)
    return before


async def set_settings(tx: Tx, chosen: NoticeSettings, at: datetime) -> NoticeSettings:
    """Store them whole; what they were before. The client must be there."""
    before = await read_settings(tx, chosen.client_id)
    await sql_settings.put(tx, chosen, at)
    return before
