"""Every statement that touches staff users."""

from collections.abc import Sequence
from datetime import datetime

from rewards.infra.db import Record, Tx
from rewards.staff.model import Login, Role, Staff

KNOWN_ADDRESSES_MAX = 20

COLUMNS = "s.id, s.username, s.role, s.active, s.token_epoch, s.created_at"

ADD = """
INSERT INTO staff_users AS s (username, role, password_hash, created_at)
SELECT username, role, password_hash, $4
FROM unnest($1::text[], $2::text[], $3::text[]) AS a (username, role, password_hash)
ON CONFLICT ON CONSTRAINT staff_users_username_key DO NOTHING
RETURNING s.id, s.username, s.role, s.active, s.token_epoch, s.created_at
"""

READ = f"SELECT {COLUMNS} FROM staff_users AS s WHERE s.id = ANY($1::bigint[])"
FIND = f"SELECT {COLUMNS} FROM staff_users AS s WHERE s.username = $1"
READ_ALL = f"SELECT {COLUMNS} FROM staff_users AS s ORDER BY s.id LIMIT $1 OFFSET $2"
COUNT = "SELECT count(*) FROM staff_users"
READ_LOGIN = f"""
SELECT {COLUMNS}, s.password_hash, coalesce($2 = ANY(s.known_addresses), false) AS known_address
FROM staff_users AS s WHERE s.username = $1
"""

# The newest last; what was there before moves to the end.
REMEMBER_ADDRESS = """
UPDATE staff_users
SET known_addresses = (array_append(array_remove(known_addresses, $2), $2))[
    greatest(1, cardinality(array_remove(known_addresses, $2)) + 2 - $3):
]
WHERE id = $1
"""

# All of them, in id order: whether an admin is left can only be said of the whole table.
LOCK_ALL = f"SELECT {COLUMNS} FROM staff_users AS s ORDER BY s.id FOR NO KEY UPDATE"

CHANGE = """
UPDATE staff_users AS s
SET role = a.role, active = a.active, token_epoch = a.token_epoch,
    password_hash = coalesce(a.password_hash, s.password_hash)
FROM unnest($1::bigint[], $2::text[], $3::boolean[], $4::integer[], $5::text[])
    AS a (id, role, active, token_epoch, password_hash)
WHERE s.id = a.id
"""


def as_staff(row: Record) -> Staff:
    return Staff(
        row["id"],
        row["username"],
        Role(row["role"]),
        row["active"],
        row["token_epoch"],
        row["created_at"],
    )


async def add(tx: Tx, rows: Sequence[tuple[str, Role, str]], at: datetime) -> dict[str, Staff]:
    """Add (username, role, digest); those that are new, by username."""
    added = await tx.fetch(
        ADD, [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows], at
    )
    return {row["username"]: as_staff(row) for row in added}


async def read(tx: Tx, staff_ids: Sequence[int]) -> dict[int, Staff]:
    return {row["id"]: as_staff(row) for row in await tx.fetch(READ, staff_ids)}


async def find(tx: Tx, username: str) -> Staff | None:
    row = await tx.fetchrow(FIND, username)
    return None if row is None else as_staff(row)


async def read_all(tx: Tx, limit: int, offset: int) -> tuple[list[Staff], int]:
    """A page in order of id, and how many there are."""
    rows = await tx.fetch(READ_ALL, limit, offset)
    return [as_staff(row) for row in rows], await tx.fetchval(COUNT)


async def read_login(tx: Tx, username: str, address: str | None) -> Login:
    """The person of this name, if there is one, and whether they were at this address before."""
    row = await tx.fetchrow(READ_LOGIN, username, address)
    if row is None:
        return Login(username, None, None, False)
    return Login(username, as_staff(row), row["password_hash"], row["known_address"])


async def remember_address(tx: Tx, staff_id: int, address: str) -> None:
    await tx.execute(REMEMBER_ADDRESS, staff_id, address, KNOWN_ADDRESSES_MAX)


async def lock_all(tx: Tx) -> dict[int, Staff]:
    return {row["id"]: as_staff(row) for row in await tx.fetch(LOCK_ALL)}


async def change(tx: Tx, rows: Sequence[tuple[Staff, str | None]]) -> None:
    """Write locked people as they are now, each with a new digest or None for the old one."""
    await tx.execute(
        CHANGE,
        [staff.id for staff, _ in rows],
        [staff.role for staff, _ in rows],
        [staff.active for staff, _ in rows],
        [staff.token_epoch for staff, _ in rows],
        [digest for _, digest in rows],
    )
