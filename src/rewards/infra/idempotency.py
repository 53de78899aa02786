"""Idempotency keys: the first answer under a key is kept with its effect, and given again (D5)."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from typing import Any

import msgspec

from rewards.core.errors import Conflict, InvalidBody, InvalidField, Refusal
from rewards.infra.db import Tx, rows_affected

KEPT_FOR = timedelta(days=30)
KEY_MIN = 8
KEY_MAX = 255
_PRINTABLE = re.compile(r"[\x21-\x7e]|[\x21-\x7e][\x20-\x7e]*[\x21-\x7e]")


class IdempotencyKeyReused(Refusal):
    """The key was first used with another body."""

    status = 422
    error = "UnprocessableEntity"
    code = "IDEMPOTENCY_KEY_REUSED"
    default_message = "Idempotency-Key was already used with a different request body"


class IdempotencyKeyInProgress(Conflict):
    """A twin with the same key is still running: ask again in a second."""

    code = "IDEMPOTENCY_KEY_IN_PROGRESS"
    default_message = "A request with this Idempotency-Key is still in progress"

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "1"})


@dataclass(frozen=True, slots=True)
class KeyAsk:
    client_id: int
    route: str
    key: str


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    fingerprint: bytes
    answer: dict[str, Any]


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """`answer` holds what builds the first reply again: ids, never a secret."""

    client_id: int
    route: str
    key: str
    fingerprint: bytes
    answer: Mapping[str, object]


def validate(key: str) -> str:
    """The key as given: 8 to 255 printable ASCII characters, no space at either end."""
    if len(key) < KEY_MIN:
        raise InvalidField("Idempotency-Key", "min")
    if len(key) > KEY_MAX:
        raise InvalidField("Idempotency-Key", "max")
    if not _PRINTABLE.fullmatch(key):
        raise InvalidField("Idempotency-Key", "ascii")
    return key


# Wide enough that normalizing never rounds.
_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)


def _number(text: str) -> int | Decimal:
    value = Decimal(text).normalize(_EXACT)
    if abs(value.adjusted()) <= KEY_MAX and value == value.to_integral_value(context=_EXACT):
        return int(value)
    return value


_CANONICAL_IN = msgspec.json.Decoder(float_hook=_number)
_CANONICAL_OUT = msgspec.json.Encoder(order="sorted", decimal_format="number")


def fingerprint(body: bytes) -> bytes:
    """SHA-256 of what the body says, 32 bytes: the same for every spelling of the same JSON.

    Order of names, white space, escapes and the spelling of numbers (25, 25.0, 2.5e1) do not
    count. A text is never a number: "25" differs from 25. Refuses what is not JSON.
    """
    if not body:
        return hashlib.sha256(b"").digest()
    try:
        said = _CANONICAL_OUT.encode(_CANONICAL_IN.decode(body))
    except (ValueError, ArithmeticError, RecursionError, msgspec.MsgspecError) as bad:
        raise InvalidBody from bad
    return hashlib.sha256(said).digest()


READ = """
SELECT k.fingerprint, k.answer
FROM unnest($1::bigint[], $2::text[], $3::text[])
    WITH ORDINALITY AS a (client_id, route, key, turn)
LEFT JOIN idempotency_keys AS k
    ON k.client_id = a.client_id AND k.route = a.route AND k.key = a.key AND k.created_at > $4
ORDER BY a.turn
"""


async def read(tx: Tx, asks: Sequence[KeyAsk], now: datetime) -> list[StoredAnswer | None]:
    """What is kept under each key, in order; None where nothing is younger than 30 days.

    Twins see each other's rows only when something serialises them: the order path reads keys
    after it has locked its client's wallets. The caller compares fingerprints and raises
    IdempotencyKeyReused.
    """
    if not asks:
        return []
    rows = await tx.fetch(
        READ,
        [ask.client_id for ask in asks],
        [ask.route for ask in asks],
        [ask.key for ask in asks],
        now - KEPT_FOR,
    )
    return [None if row[0] is None else StoredAnswer(row[0], row[1]) for row in rows]


STORE = """
INSERT INTO idempotency_keys (client_id, route, key, fingerprint, answer, created_at)
SELECT client_id, route, key, fingerprint, answer::jsonb, $6
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bytea[], $5::text[])
    AS a (client_id, route, key, fingerprint, answer)
ON CONFLICT ON CONSTRAINT idempotency_keys_pk DO UPDATE
SET fingerprint = excluded.fingerprint, answer = excluded.answer, created_at = excluded.created_at
WHERE idempotency_keys.created_at <= $7
"""


async def store(tx: Tx, records: Sequence[KeyRecord], at: datetime) -> None:
    """Keep these answers, in one statement, in the transaction of what they speak of.

    A row that has expired is replaced. A live one under the same key is a bug of the caller, who
    has read it before (AssertionError; the transaction must not commit).
    """
    if not records:
        return
    keys = {(record.client_id, record.route, record.key) for record in records}
    assert len(keys) == len(records), "one answer for each key"
    status = await tx.execute(
        STORE,
        [record.client_id for record in records],
        [record.route for record in records],
        [record.key for record in records],
        [record.fingerprint for record in records],
        [_CANONICAL_OUT.encode(record.answer).decode() for record in records],
        at,
        at - KEPT_FOR,
    )
    assert rows_affected(status) == len(records), "a live key is never written over"


FORGET = "DELETE FROM idempotency_keys WHERE created_at < $1"


async def forget(tx: Tx, before: datetime) -> int:
    """Delete keys kept since before that moment (retention; at least 30 days back); how many."""
    return rows_affected(await tx.execute(FORGET, before))
