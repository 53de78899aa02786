"""Every statement on a client's logins: who may enter, as what, and by which password."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from rewards.clients.model_members import ClientLogin, MemberRole, NewLogin
from rewards.core.page import PageAsk
from rewards.infra.db import Record, Tx

LOGIN_COLUMNS = "l.id, l.client_id, l.username, l.role, l.active, l.created_at"
INSERT_LOGIN = f"""
INSERT INTO client_logins AS l (client_id, username, password_hash, role, created_at)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT ON CONSTRAINT client_logins_username_key DO NOTHING
RETURNING {LOGIN_COLUMNS}
"""
READ_LOGIN = f"SELECT {LOGIN_COLUMNS} FROM client_logins AS l WHERE l.id = $1"
READ_LOGINS = f"""
SELECT {LOGIN_COLUMNS} FROM client_logins AS l
WHERE l.client_id = ANY($1::bigint[]) ORDER BY l.id
"""
LIST_LOGINS = f"""
SELECT {LOGIN_COLUMNS} FROM client_logins AS l WHERE l.client_id = $1
ORDER BY l.id LIMIT $2 OFFSET $3
"""
COUNT_LOGINS = "SELECT count(*) FROM client_logins WHERE client_id = $1"
# All of a client: whether an owner is left is decided over everybody. Sessions that are being
# refreshed refer to a login and need not wait.
LOCK_LOGINS = f"""
SELECT {LOGIN_COLUMNS} FROM client_logins AS l WHERE l.client_id = $1 ORDER BY l.id
FOR NO KEY UPDATE
"""
SET_HASH = "UPDATE client_logins SET password_hash = $2 WHERE id = $1"
SET_STANDING = "UPDATE client_logins SET role = $2, active = $3 WHERE id = $1"
READ_HASH = "SELECT password_hash FROM client_logins WHERE id = $1 AND active"
# Whoever changes the password or deactivates comes before this or after it.
HOLD_LOGIN = f"""
SELECT {LOGIN_COLUMNS} FROM client_logins AS l
WHERE l.id = $1 AND l.password_hash = $2 AND l.active
FOR NO KEY UPDATE
"""
# Of access tokens, by family and login: those that stand, and as what.
STANDING = """
SELECT f.family, l.id, l.role
FROM unnest($1::uuid[], $2::bigint[]) AS f (family, login_id)
JOIN client_logins AS l ON l.id = f.login_id AND l.active
WHERE NOT EXISTS (
    SELECT FROM refresh_tokens AS t WHERE t.family = f.family AND t.revoked_at IS NOT NULL
)
"""


def _login(row: Record) -> ClientLogin:
    return ClientLogin(
        row["id"],
        row["client_id"],
        row["username"],
        MemberRole(row["role"]),
        row["active"],
        row["created_at"],
    )


async def insert_login(tx: Tx, new: NewLogin, at: datetime) -> ClientLogin | None:
    """None when the username is taken."""
    row = await tx.fetchrow(
        INSERT_LOGIN, new.client_id, new.username, new.password_hash, new.role, at
    )
    return _login(row) if row else None


async def read_login(tx: Tx, login_id: int) -> ClientLogin | None:
    row = await tx.fetchrow(READ_LOGIN, login_id)
    return _login(row) if row else None


async def read_logins(tx: Tx, client_ids: Sequence[int]) -> list[ClientLogin]:
    return [_login(row) for row in await tx.fetch(READ_LOGINS, list(client_ids))]


async def list_logins(tx: Tx, client_id: int, ask: PageAsk) -> tuple[list[ClientLogin], int]:
    rows = await tx.fetch(LIST_LOGINS, client_id, ask.size, ask.offset)
    total: int = await tx.fetchval(COUNT_LOGINS, client_id)
    return [_login(row) for row in rows], total


async def lock_logins(tx: Tx, client_id: int) -> dict[int, ClientLogin]:
    return {row["id"]: _login(row) for row in await tx.fetch(LOCK_LOGINS, client_id)}


async def update_password(tx: Tx, login_id: int, password_hash: str) -> None:
    await tx.execute(SET_HASH, login_id, password_hash)


async def update_standing(tx: Tx, login: ClientLogin) -> None:
    await tx.execute(SET_STANDING, login.id, login.role, login.active)


async def read_hash(tx: Tx, login_id: int) -> str | None:
    """None for one that is not there, or may not log in."""
    found: str | None = await tx.fetchval(READ_HASH, login_id)
    return found


async def hold_login(tx: Tx, login_id: int, password_hash: str) -> ClientLogin | None:
    """The login, held until the transaction ends; None where it has another password by now."""
    row = await tx.fetchrow(HOLD_LOGIN, login_id, password_hash)
    return _login(row) if row else None


async def standing(
    tx: Tx, sessions: Sequence[tuple[UUID, int]]
) -> dict[tuple[UUID, int], MemberRole]:
    """Of these (family, login): those that were neither revoked nor deactivated."""
    families, logins = [each[0] for each in sessions], [each[1] for each in sessions]
    rows = await tx.fetch(STANDING, families, logins)
    return {(row["family"], row["id"]): MemberRole(row["role"]) for row in rows}
