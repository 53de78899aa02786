"""Second factors: set up, confirmed, held against what somebody shows, removed (ADR 0026)."""

import secrets
from base64 import b32encode
from datetime import datetime

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.core.actor import Actor
from rewards.core.errors import Unauthorized
from rewards.infra import changes
from rewards.infra.crypto import Vault
from rewards.infra.db import Tx
from rewards.staff import hands, sessions, sql_factors
from rewards.staff.model import CHANGES_TOPIC
from rewards.staff.model_sessions import (
    RECOVERY_CODES,
    EndReason,
    Given,
    NoPendingFactor,
    Person,
    Proof,
    ProofRefused,
    SecondFactorOff,
    SecondFactorOn,
    StaffSession,
)
from rewards.staff.totp import SECRET_BYTES, step_shown

SECRET_PLACE = "staff_second_factors.secret"  # noqa: S105
RECOVERY_KEY = "staff-recovery-code"
# 80 bits: 16 characters in four parts, which somebody can still type from paper.
RECOVERY_BYTES = 10
PART_CHARS = 4


async def lock(tx: Tx, staff_id: int) -> Person | None:
    """The person with their password's digest and factor, the same until the transaction ends."""
    return await sql_factors.lock(tx, staff_id)


async def take(tx: Tx, vault: Vault, person: Person, given: Given, at: datetime) -> Proof | None:
    """What a code or recovery code proves of a locked person with a factor; None: nothing.

    It is used up by that: whoever shows it again, or at the same time, proves nothing.
    """
    if given.code is not None:
        factor = person.factor
        assert factor is not None, "only who has a factor is asked for its code"
        secret = await _opened(tx, vault, person.staff.id, factor.secret)
        step = step_shown(secret, given.code, at, factor.last_step)
        used = step is not None and await sql_factors.use_step(tx, person.staff.id, step)
        return Proof.PASSWORD_AND_CODE if used else None
    assert given.recovery_code is not None, "something was given"
    digest = _digest(vault, person.staff.id, given.recovery_code)
    used = await sql_factors.use_code(tx, person.staff.id, digest, at)
    return Proof.PASSWORD_AND_RECOVERY_CODE if used else None


async def begin(tx: Tx, vault: Vault, person: Person, actor: Actor, at: datetime) -> bytes:
    """A fresh secret, to be shown once and confirmed; one that waited is forgotten.

    The trail tells that one was handed out. Refused (409): a factor is on.
    """
    if person.has_factor:
        raise SecondFactorOn
    secret = secrets.token_bytes(SECRET_BYTES)
    sealed = vault.seal(SECRET_PLACE, person.staff.id, secret)
    await sql_factors.put(tx, person.staff.id, sealed, at)
    await _record(tx, "staff.second_factor_begun", person.staff.id, actor, at)
    return secret


async def confirm(
    tx: Tx,
    vault: Vault,
    person: Person,
    code: str,
    session: StaffSession,
    actor: Actor,
    at: datetime,
) -> list[str]:
    """Switch the factor on that waits; ten recovery codes, to be shown once.

    All other sessions end: they have shown no code. Refused: nothing waits (409), a wrong code.
    """
    factor, owner = person.factor, person.staff.id
    if factor is None or factor.on:
        raise NoPendingFactor
    if await take(tx, vault, person, Given(code=code), at) is None:
        raise ProofRefused
    codes = [b32encode(secrets.token_bytes(RECOVERY_BYTES)).decode() for _ in range(RECOVERY_CODES)]
    await sql_factors.confirm(tx, owner, [_digest(vault, owner, each) for each in codes], at)
    await _record(tx, "staff.second_factor_on", owner, actor, at)
    await sessions.end(tx, [owner], EndReason.SECOND_FACTOR_CHANGED, actor, at, keep=session.id)
    if not await sessions.prove(tx, session, actor, at, Proof.PASSWORD_AND_CODE):
        raise Unauthorized
    return [_in_parts(each) for each in codes]


async def remove(
    tx: Tx,
    person: Person,
    actor: Actor,
    at: datetime,
    *,
    keep: int | None = None,
    why: str | None = None,
) -> None:
    """Take the factor and its recovery codes away, by its owner or by an admin (`actor`).

    Every session but `keep` ends. Refused (409): there is none, or none that was confirmed.
    """
    if not person.has_factor:
        raise SecondFactorOff
    owner = person.staff.id
    await sql_factors.remove(tx, owner)
    await hands.note(tx, [owner], actor, at)
    own = actor.id == owner
    action = "staff.second_factor_off" if own else "staff.second_factor_reset"
    await _record(tx, action, owner, actor, at, why)
    await sessions.end(tx, [owner], EndReason.SECOND_FACTOR_CHANGED, actor, at, keep=keep)


async def codes_left(tx: Tx, staff_id: int) -> int:
    """How many recovery codes were not used."""
    return await sql_factors.codes_left(tx, staff_id)


async def _opened(tx: Tx, vault: Vault, staff_id: int, sealed: bytes) -> bytes:
    await vault.learn([sealed], tx)
    return vault.open(SECRET_PLACE, staff_id, sealed)


def _digest(vault: Vault, staff_id: int, recovery_code: str) -> bytes:
    return vault.mac(RECOVERY_KEY, f"{staff_id} {recovery_code}".encode())


def _in_parts(code: str) -> str:
    return "-".join(code[at : at + PART_CHARS] for at in range(0, len(code), PART_CHARS))


async def _record(
    tx: Tx, action: str, staff_id: int, actor: Actor, at: datetime, why: str | None = None
) -> None:
    """It counts in every process within a second, and leaves a row in the trail."""
    await changes.announce(tx, CHANGES_TOPIC, [staff_id])
    await audit.record(tx, [AuditFact(actor, None, action, "staff", staff_id, reason=why)], at)
