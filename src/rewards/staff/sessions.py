"""Sessions of staff: begun by a login, listed, seen, proven again, ended and forgotten."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.core.actor import Actor, ActorKind
from rewards.infra import changes
from rewards.infra.db import Tx
from rewards.staff import sql_sessions
from rewards.staff.model import CHANGES_TOPIC
from rewards.staff.model_sessions import (
    EndReason,
    NewSession,
    Proof,
    SessionState,
    SignedIn,
    StaffSession,
)


async def begin(tx: Tx, new: NewSession, at: datetime) -> StaffSession:
    """A session from now on, proven by the login that makes it."""
    return await sql_sessions.add(tx, new, at)


async def read(tx: Tx, session_id: int) -> SignedIn | None:
    """The session with its owner, in any state."""
    return await sql_sessions.read(tx, session_id)


async def find(
    tx: Tx,
    staff_id: int,
    at: datetime,
    idle_max: timedelta,
    *,
    state: SessionState | None = None,
    before_id: int,
    limit: int,
) -> list[StaffSession]:
    """Of one person, newest first; None for any state."""
    since = at - idle_max
    return await sql_sessions.find(
        tx, staff_id, state, at, idle_since=since, before_id=before_id, limit=limit
    )


async def end(
    tx: Tx,
    staff_ids: Sequence[int],
    reason: EndReason,
    actor: Actor,
    at: datetime,
    *,
    only: int | None = None,
    keep: int | None = None,
    why: str | None = None,
) -> list[StaffSession]:
    """End all sessions of these people that are not over; those that it ended, by id.

    Or `only` this one of theirs, or all but `keep`. Each leaves a row in the trail, and is refused
    by every process within a second. The caller holds the owners' rows, so that no login comes in
    between; one session alone needs no lock.
    """
    by = actor.id if actor.kind is ActorKind.STAFF else None
    ended = await sql_sessions.end(tx, staff_ids, at, by=by, reason=reason, only=only, keep=keep)
    await changes.announce(tx, CHANGES_TOPIC, [session.staff_id for session in ended])
    await audit.record(tx, [_ended(session, reason, actor, why) for session in ended], at)
    return ended


def _ended(session: StaffSession, reason: EndReason, actor: Actor, why: str | None) -> AuditFact:
    facts = {"staff_id": session.staff_id, "reason": reason}
    return AuditFact(actor, None, "staff.session_ended", "staff_session", session.id, facts, why)


async def see(tx: Tx, session_id: int, at: datetime) -> None:
    """Note that somebody is there; at most once a minute, whoever asks."""
    await sql_sessions.see(tx, session_id, at)


async def prove(
    tx: Tx, session: StaffSession, actor: Actor, at: datetime, proof: Proof | None = None
) -> bool:
    """Note that its owner has just shown who they are; False when it was ended meanwhile.

    `proof`: what the session has shown altogether, where that is more than before.
    """
    there = await sql_sessions.prove(tx, session.id, at, proof)
    if there:
        await changes.announce(tx, CHANGES_TOPIC, [session.staff_id])
        facts = {"staff_id": session.staff_id}
        fact = AuditFact(actor, None, "staff.proven", "staff_session", session.id, facts)
        await audit.record(tx, [fact], at)
    return there


async def forget(tx: Tx, before: datetime) -> int:
    """Delete sessions whose time was over before `before`; how many."""
    return await sql_sessions.forget(tx, before)
