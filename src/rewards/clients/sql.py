"""Every statement on clients and their credentials. Rows in, rows out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from rewards.clients.model import (
    Client,
    ClientChange,
    ClientStatus,
    Credential,
    CredentialChange,
    Limits,
    NewClient,
)
from rewards.core.page import PageAsk
from rewards.infra.db import Record, Tx

CLIENT_COLUMNS = """
    c.id, c.name, c.status, c.orders_per_minute, c.orders_per_10s, c.orders_per_day,
    c.concurrent_orders, c.max_quantity, c.conversion_fee_percent, c.allowed_ips, c.token_epoch,
    c.created_at
"""
# Networks travel as one text a client: an array of arrays must be rectangular.
INSERT_CLIENTS = f"""
INSERT INTO clients AS c (
    name, orders_per_minute, orders_per_10s, orders_per_day, concurrent_orders, max_quantity,
    conversion_fee_percent, allowed_ips, created_at
)
SELECT name, per_minute, per_10s, per_day, concurrent, max_quantity, fee,
       string_to_array(ips, ','), $9
FROM unnest(
    $1::text[], $2::int[], $3::int[], $4::int[], $5::int[], $6::int[], $7::numeric[], $8::text[]
) WITH ORDINALITY AS a (
    name, per_minute, per_10s, per_day, concurrent, max_quantity, fee, ips, turn
)
ORDER BY turn
RETURNING {CLIENT_COLUMNS}
"""
UPDATE_CLIENT = f"""
UPDATE clients AS c SET
    name = coalesce($2, c.name),
    status = coalesce($3, c.status),
    orders_per_minute = coalesce($4, c.orders_per_minute),
    orders_per_10s = coalesce($5, c.orders_per_10s),
    orders_per_day = coalesce($6, c.orders_per_day),
    concurrent_orders = coalesce($7, c.concurrent_orders),
    max_quantity = coalesce($8, c.max_quantity),
    conversion_fee_percent = coalesce($9, c.conversion_fee_percent),
    allowed_ips = coalesce($10::text[], c.allowed_ips)
WHERE c.id = $1
RETURNING {CLIENT_COLUMNS}
"""
READ_CLIENTS = f"SELECT {CLIENT_COLUMNS} FROM clients AS c WHERE c.id = ANY($1::bigint[])"
# $1 in the name; $2 in the name, or in the name of one of its people.
_FITTING = """
WHERE ($1::text IS NULL OR c.name ILIKE '%' || $1 || '%')
    AND ($2::text IS NULL OR c.name ILIKE '%' || $2 || '%' OR c.id IN (
        SELECT l.client_id FROM client_logins AS l WHERE l.username ILIKE '%' || $2 || '%'
    ))
"""
LIST_CLIENTS = f"""
SELECT {CLIENT_COLUMNS} FROM clients AS c {_FITTING} ORDER BY c.id LIMIT $3 OFFSET $4
"""
COUNT_CLIENTS = f"SELECT count(*) FROM clients AS c {_FITTING}"
# Ids come first: what is sealed is bound to them.
NEXT_CREDENTIAL_IDS = """
SELECT nextval(pg_get_serial_sequence('credentials', 'id')) FROM generate_series(1, $1::int)
"""
CREDENTIAL_COLUMNS = """
    k.id, k.client_id, k.api_key, k.scopes, k.signing_required, k.created_at, k.revoked_at,
    k.name,
    (SELECT u.last_used_at FROM credential_uses AS u WHERE u.credential_id = k.id) AS last_used_at
"""
INSERT_CREDENTIALS = """
INSERT INTO credentials (
    id, client_id, api_key, secret_digest, signing_secret_sealed, signing_required, scopes,
    created_at, name, signing_secret_set_at
)
OVERRIDING SYSTEM VALUE
SELECT id, client_id, api_key, digest, sealed, signing_required, string_to_array(scopes, ' '), $8,
       name, $8
FROM unnest(
    $1::bigint[], $2::bigint[], $3::text[], $4::bytea[], $5::bytea[], $6::boolean[], $7::text[],
    $9::text[]
) AS a (id, client_id, api_key, digest, sealed, signing_required, scopes, name)
"""
UPDATE_CREDENTIAL = f"""
UPDATE credentials AS k SET
    scopes = coalesce($2::text[], k.scopes),
    signing_required = coalesce($3, k.signing_required)
WHERE k.id = $1 AND k.revoked_at IS NULL
RETURNING {CREDENTIAL_COLUMNS}
"""
ROTATE_SIGNING_SECRET = f"""
UPDATE credentials AS k SET signing_secret_sealed = $2, signing_secret_set_at = $3
WHERE k.id = $1 AND k.revoked_at IS NULL
RETURNING {CREDENTIAL_COLUMNS}
"""
# The first revocation stands; a second one reports the same.
REVOKE_CREDENTIAL = f"""
UPDATE credentials AS k SET revoked_at = coalesce(k.revoked_at, $2) WHERE k.id = $1
RETURNING {CREDENTIAL_COLUMNS}
"""
READ_CREDENTIALS = f"""
SELECT {CREDENTIAL_COLUMNS} FROM credentials AS k WHERE k.client_id = ANY($1::bigint[])
ORDER BY k.id
"""
READ_LIVE_AND_ENDED = f"""
SELECT {CREDENTIAL_COLUMNS} FROM credentials AS k
WHERE k.client_id = $1 AND (k.revoked_at IS NULL OR k.id = ANY(ARRAY(
    SELECT id FROM credentials WHERE client_id = $1 AND revoked_at IS NOT NULL
    ORDER BY revoked_at DESC, id DESC LIMIT $2
)))
ORDER BY k.id
"""
LIST_CREDENTIALS = f"""
SELECT {CREDENTIAL_COLUMNS} FROM credentials AS k WHERE k.client_id = $1
ORDER BY k.id LIMIT $2 OFFSET $3
"""
COUNT_CREDENTIALS = "SELECT count(*) FROM credentials WHERE client_id = $1"
# At most one write an hour for each key, whatever it does.
NOTE_USED = """
INSERT INTO credential_uses AS u (credential_id, last_used_at)
SELECT id, $2 FROM unnest($1::bigint[]) AS a (id) ORDER BY id
ON CONFLICT ON CONSTRAINT credential_uses_pk DO UPDATE SET last_used_at = excluded.last_used_at
WHERE u.last_used_at < excluded.last_used_at
"""
READ_SIGNING_SECRETS = """
SELECT id, signing_secret_sealed FROM credentials
WHERE id = ANY($1::bigint[]) AND revoked_at IS NULL
"""
FIND_HELD = f"""
SELECT {CLIENT_COLUMNS}, k.api_key, k.id AS credential_id, k.secret_digest, k.scopes,
       k.signing_required, k.signing_secret_sealed
FROM credentials AS k JOIN clients AS c ON c.id = k.client_id
WHERE k.api_key = ANY($1::text[]) AND k.revoked_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class CredentialRow:
    """A credential about to be stored."""

    id: int
    client_id: int
    api_key: str
    secret_digest: bytes = field(repr=False)
    signing_secret_sealed: bytes = field(repr=False)
    signing_required: bool
    scopes: frozenset[str]
    name: str | None


@dataclass(frozen=True, slots=True)
class HeldRow:
    """A valid credential and its client, as the directory loads them."""

    client: Client
    api_key: str
    credential_id: int
    secret_digest: bytes = field(repr=False)
    scopes: frozenset[str]
    signing_required: bool
    signing_secret_sealed: bytes = field(repr=False)


def client_of(row: Record) -> Client:
    return Client(
        id=row["id"],
        name=row["name"],
        status=ClientStatus(row["status"]),
        limits=Limits(
            row["orders_per_minute"],
            row["orders_per_10s"],
            row["orders_per_day"],
            row["concurrent_orders"],
        ),
        max_quantity=row["max_quantity"],
        conversion_fee_percent=row["conversion_fee_percent"],
        allowed_ips=tuple(row["allowed_ips"]),
        token_epoch=row["token_epoch"],
        created_at=row["created_at"],
    )


def _credential_of(row: Record) -> Credential:
    return Credential(
        id=row["id"],
        client_id=row["client_id"],
        api_key=row["api_key"],
        scopes=frozenset(row["scopes"]),
        signing_required=row["signing_required"],
        created_at=row["created_at"],
        revoked_at=row["revoked_at"],
        name=row["name"],
        last_used_at=row["last_used_at"],
    )


async def insert_clients(tx: Tx, new: Sequence[NewClient], at: datetime) -> list[Client]:
    rows = await tx.fetch(
        INSERT_CLIENTS,
        [each.name for each in new],
        [each.limits.per_minute for each in new],
        [each.limits.per_10s for each in new],
        [each.limits.per_day for each in new],
        [each.limits.concurrent for each in new],
        [each.max_quantity for each in new],
        [each.conversion_fee_percent for each in new],
        [",".join(each.allowed_ips) for each in new],
        at,
    )
    # RETURNING promises no order; identity values were drawn in the order of the asks.
    return sorted((client_of(row) for row in rows), key=lambda client: client.id)


async def update_client(tx: Tx, client_id: int, change: ClientChange) -> Client | None:
    limits = change.limits
    fee: Decimal | None = change.conversion_fee_percent
    row = await tx.fetchrow(
        UPDATE_CLIENT,
        client_id,
        change.name,
        change.status,
        limits.per_minute if limits else None,
        limits.per_10s if limits else None,
        limits.per_day if limits else None,
        limits.concurrent if limits else None,
        change.max_quantity,
        fee,
        None if change.allowed_ips is None else list(change.allowed_ips),
    )
    return client_of(row) if row else None


async def read_clients(tx: Tx, client_ids: Sequence[int]) -> dict[int, Client]:
    rows = await tx.fetch(READ_CLIENTS, list(client_ids))
    return {row["id"]: client_of(row) for row in rows}


async def list_clients(
    tx: Tx, ask: PageAsk, name: str | None, search: str | None
) -> tuple[list[Client], int]:
    wanted = (_as_text(name), _as_text(search))
    rows = await tx.fetch(LIST_CLIENTS, *wanted, ask.size, ask.offset)
    total: int = await tx.fetchval(COUNT_CLIENTS, *wanted)
    return [client_of(row) for row in rows], total


def _as_text(typed: str | None) -> str | None:
    """What a person types is text to look for, not a pattern."""
    return typed and typed.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


async def next_credential_ids(tx: Tx, count: int) -> list[int]:
    return [row[0] for row in await tx.fetch(NEXT_CREDENTIAL_IDS, count)]


async def insert_credentials(tx: Tx, rows: Sequence[CredentialRow], at: datetime) -> None:
    await tx.execute(
        INSERT_CREDENTIALS,
        [row.id for row in rows],
        [row.client_id for row in rows],
        [row.api_key for row in rows],
        [row.secret_digest for row in rows],
        [row.signing_secret_sealed for row in rows],
        [row.signing_required for row in rows],
        [" ".join(sorted(row.scopes)) for row in rows],
        at,
        [row.name for row in rows],
    )


async def update_credential(
    tx: Tx, credential_id: int, change: CredentialChange
) -> Credential | None:
    row = await tx.fetchrow(
        UPDATE_CREDENTIAL,
        credential_id,
        None if change.scopes is None else sorted(change.scopes),
        change.signing_required,
    )
    return _credential_of(row) if row else None


async def rotate_signing_secret(
    tx: Tx, credential_id: int, sealed: bytes, at: datetime
) -> Credential | None:
    row = await tx.fetchrow(ROTATE_SIGNING_SECRET, credential_id, sealed, at)
    return _credential_of(row) if row else None


async def revoke_credential(tx: Tx, credential_id: int, at: datetime) -> Credential | None:
    row = await tx.fetchrow(REVOKE_CREDENTIAL, credential_id, at)
    return _credential_of(row) if row else None


async def read_credentials(tx: Tx, client_ids: Sequence[int]) -> list[Credential]:
    return [_credential_of(row) for row in await tx.fetch(READ_CREDENTIALS, list(client_ids))]


async def read_live_and_ended(tx: Tx, client_id: int, ended_max: int) -> list[Credential]:
    rows = await tx.fetch(READ_LIVE_AND_ENDED, client_id, ended_max)
    return [_credential_of(row) for row in rows]


async def list_credentials(tx: Tx, client_id: int, ask: PageAsk) -> tuple[list[Credential], int]:
    rows = await tx.fetch(LIST_CREDENTIALS, client_id, ask.size, ask.offset)
    total: int = await tx.fetchval(COUNT_CREDENTIALS, client_id)
    return [_credential_of(row) for row in rows], total


async def note_used(tx: Tx, credential_ids: Sequence[int], hour: datetime) -> None:
    await tx.execute(NOTE_USED, list(credential_ids), hour)


async def read_signing_secrets(tx: Tx, credential_ids: Sequence[int]) -> dict[int, bytes]:
    rows = await tx.fetch(READ_SIGNING_SECRETS, list(credential_ids))
    return {row["id"]: row["signing_secret_sealed"] for row in rows}


async def find_held(tx: Tx, api_keys: Sequence[str]) -> dict[str, HeldRow]:
    rows = await tx.fetch(FIND_HELD, list(api_keys))
    return {
        row["api_key"]: HeldRow(
            client=client_of(row),
            api_key=row["api_key"],
            credential_id=row["credential_id"],
            secret_digest=row["secret_digest"],
            scopes=frozenset(row["scopes"]),
            signing_required=row["signing_required"],
            signing_secret_sealed=row["signing_secret_sealed"],
        )
        for row in rows
    }
