"""The chain of the audit trail: what is digested of an entry and of a seal, and signed; pure.

An entry's digest is made by PostgreSQL where there are many (`sql_chain.DIGEST`) and here for a
file; both from the same text. A seal takes in the entries that became visible together: its digest
covers the one before it and those of its entries in their order, so nothing of what was sealed can
be changed, taken out, put in or moved without all later digests being others. They are signed:
who can write the database, but has no master key, cannot make the chain anew (docs/adr/0025).
"""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

DIGEST_BYTES = 32
ENTRY_PREFIX = "rewards audit entry 1"
SEAL_PREFIX = b"rewards audit seal 1\n"
# Of whatever signs the trail: derived from a key that is never rotated.
KEY_PURPOSE = "audit-signing"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Row:
    """An entry as it stands in the table; `facts` are the JSON text that PostgreSQL shows."""

    id: int
    at: datetime
    actor_kind: str
    actor_id: int | None
    client_id: int | None
    action: str
    subject_kind: str
    subject_id: int
    facts: str
    reason: str | None
    request_id: str | None
    address: str | None


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain ends: the last seal, or the beginning with 0 and zeros."""

    sequence: int
    position: int
    sealed_at: datetime
    digest: bytes


@dataclass(frozen=True, slots=True)
class Seal:
    """A link: of the entries from one position to another, both of them included."""

    sequence: int
    first_position: int
    last_position: int
    sealed_at: datetime
    digest: bytes
    signature: bytes

    @property
    def head(self) -> Head:
        return Head(self.sequence, self.last_position, self.sealed_at, self.digest)


START = Head(0, 0, EPOCH, bytes(DIGEST_BYTES))


def entry_digest(row: Row) -> bytes:
    """SHA-256 of the entry's text: numbers, a line each, then words behind their lengths."""
    lines = [
        ENTRY_PREFIX,
        str(row.id),
        str(_micros(row.at)),
        row.actor_kind,
        _number(row.actor_id),
        _number(row.client_id),
        str(row.subject_id),
        *(_measured(word) for word in (row.action, row.subject_kind, row.facts)),
        *(_measured(word) for word in (row.reason, row.request_id, row.address)),
    ]
    return hashlib.sha256("\n".join(lines).encode()).digest()


def _micros(at: datetime) -> int:
    return (at - EPOCH) // MICROSECOND


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


def _measured(word: str | None) -> str:
    return "-" if word is None else f"{len(word)}:{word}"


def seal_digest(before: bytes, seal: Seal, digests: bytes) -> bytes:
    """Of a seal after the one with that digest; `digests` of its entries, one after the other."""
    numbers = struct.pack(
        *(">qqqq", seal.sequence, seal.first_position, seal.last_position, _micros(seal.sealed_at))
    )
    return hashlib.sha256(SEAL_PREFIX + before + numbers + digests).digest()


def next_seal(head: Head, digests: Sequence[bytes], at: datetime, key: Ed25519PrivateKey) -> Seal:
    """The seal of these entries, signed. Seals never go back in time, whoever's clock does."""
    draft = Seal(
        head.sequence + 1,
        head.position + 1,
        head.position + len(digests),
        max(at, head.sealed_at),
        b"",
        b"",
    )
    digest = seal_digest(head.digest, draft, b"".join(digests))
    return Seal(
        draft.sequence,
        draft.first_position,
        draft.last_position,
        draft.sealed_at,
        digest,
        key.sign(SEAL_PREFIX + digest),
    )


def signing_key(secret: bytes) -> Ed25519PrivateKey:
    """From 32 bytes of the vault, `mac_key(KEY_PURPOSE)`."""
    return Ed25519PrivateKey.from_private_bytes(secret)


def public_key_of(key: Ed25519PrivateKey) -> str:
    """The public half as 64 hexadecimal digits, for whoever verifies."""
    return key.public_key().public_bytes_raw().hex()


def signed(digest: bytes, signature: bytes, public_key: str) -> bool:
    """Whether the seal with this digest was signed by whoever has the private half of this key."""
    return signature_fits(SEAL_PREFIX + digest, signature, public_key)


def signature_fits(message: bytes, signature: bytes, public_key: str) -> bool:
    """False also for a key that is none."""
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
        key.verify(signature, message)
    except (ValueError, InvalidSignature):
        return False
    return True
