"""Every statement on logins' sessions: refresh tokens and the epoch of a client's tokens."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from rewards.clients.model import ClientStatus
from rewards.infra.db import Record, Tx, rows_affected

# Somebody was here before when a token of this login was issued to the same address.
FIND_LOGIN = """
SELECT l.id AS login_id, l.client_id, l.password_hash, l.active, c.status, c.allowed_ips,
       c.token_epoch,
       EXISTS (
           SELECT FROM refresh_tokens AS t WHERE t.login_id = l.id AND t.address = $2::text::inet
       ) AS known_address
FROM client_logins AS l JOIN clients AS c ON c.id = l.client_id
WHERE l.username = $1
"""
INSERT_REFRESH = """
INSERT INTO refresh_tokens (
    digest, family, client_id, login_id, epoch, address, issued_at, expires_at
)
VALUES ($1, $2, $3, $4, $5, $6::text::inet, $7, $8)
"""
# Whoever locks the row first decides; the second one finds what the first one wrote.
LOCK_REFRESH = """
SELECT t.family, t.client_id, t.login_id, t.epoch, t.expires_at, t.used_at, t.revoked_at,
       c.status, c.allowed_ips, c.token_epoch, l.active,
       EXISTS (
           SELECT FROM refresh_tokens AS f
           WHERE f.family = t.family AND f.revoked_at IS NOT NULL
       ) AS family_revoked
FROM refresh_tokens AS t JOIN clients AS c ON c.id = t.client_id
JOIN client_logins AS l ON l.id = t.login_id
WHERE t.digest = $1
FOR UPDATE OF t
"""
MARK_USED = "UPDATE refresh_tokens SET used_at = $2 WHERE digest = $1 AND used_at IS NULL"
# This row alone: LOCK_REFRESH asks whether any of the family is revoked. Marking the others would
# miss the one that is just being added, and two at once could wait for each other.
MARK_REVOKED = """
UPDATE refresh_tokens SET revoked_at = $2 WHERE digest = $1 AND revoked_at IS NULL
"""
NEXT_EPOCH = "UPDATE clients SET token_epoch = token_epoch + 1 WHERE id = $1"
REVOKE_ALL = """
UPDATE refresh_tokens SET revoked_at = $2 WHERE client_id = $1 AND revoked_at IS NULL
"""
REVOKE_LOGIN = """
UPDATE refresh_tokens SET revoked_at = $2
WHERE login_id = $1 AND revoked_at IS NULL AND ($3::uuid IS NULL OR family <> $3)
"""
REVOKE_FAMILY = """
UPDATE refresh_tokens SET revoked_at = $2 WHERE family = $1 AND revoked_at IS NULL
"""
# A family goes as a whole: its revoked rows are what keeps the others revoked.
FORGET = """
DELETE FROM refresh_tokens AS t
WHERE t.expires_at < $1 AND NOT EXISTS (
    SELECT FROM refresh_tokens AS f WHERE f.family = t.family AND f.expires_at >= $1
)
"""


@dataclass(frozen=True, slots=True)
class LoginRow:
    login_id: int
    client_id: int
    password_hash: str = field(repr=False)
    active: bool
    status: ClientStatus
    allowed_ips: tuple[str, ...]
    token_epoch: int
    known_address: bool


@dataclass(frozen=True, slots=True)
class RefreshRow:
    """A refresh token, locked, and what its client has come to meanwhile."""

    family: UUID
    client_id: int
    login_id: int
    epoch: int
    expires_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None
    family_revoked: bool
    status: ClientStatus
    allowed_ips: tuple[str, ...]
    token_epoch: int
    active: bool


def _values(row: Record) -> dict[str, Any]:
    values: dict[str, Any] = dict(row)
    values["status"] = ClientStatus(row["status"])
    values["allowed_ips"] = tuple(row["allowed_ips"])
    return values


async def find_login(tx: Tx, username: str, address: str | None) -> LoginRow | None:
    row = await tx.fetchrow(FIND_LOGIN, username, address)
    return LoginRow(**_values(row)) if row else None


async def lock_refresh(tx: Tx, digest: bytes) -> RefreshRow | None:
    row = await tx.fetchrow(LOCK_REFRESH, digest)
    return RefreshRow(**_values(row)) if row else None


async def insert_refresh(
    tx: Tx,
    digest: bytes,
    *,
    family: UUID,
    client_id: int,
    login_id: int,
    epoch: int,
    address: str | None,
    issued_at: datetime,
    expires_at: datetime,
) -> None:
    await tx.execute(
        INSERT_REFRESH, digest, family, client_id, login_id, epoch, address, issued_at, expires_at
    )


async def mark_used(tx: Tx, digest: bytes, at: datetime) -> None:
    done = rows_affected(await tx.execute(MARK_USED, digest, at))
    assert done == 1, "the row is locked and was unused"


async def mark_revoked(tx: Tx, digest: bytes, at: datetime) -> None:
    await tx.execute(MARK_REVOKED, digest, at)


async def revoke_login(tx: Tx, login_id: int, at: datetime, *, but: UUID | None = None) -> None:
    """End every session of a login, with all tokens, but the one of the family `but`."""
    await tx.execute(REVOKE_LOGIN, login_id, at, but)


async def revoke_family(tx: Tx, family: UUID, at: datetime) -> None:
    await tx.execute(REVOKE_FAMILY, family, at)


async def revoke_all(tx: Tx, client_id: int, at: datetime) -> None:
    await tx.execute(NEXT_EPOCH, client_id)
    await tx.execute(REVOKE_ALL, client_id, at)


async def forget(tx: Tx, before: datetime) -> int:
    return rows_affected(await tx.execute(FORGET, before))
