"""An export of the trail as a file of lines, JSON or CSV, and one heading that is signed; pure.

Each entry stands with its digest, each seal behind its entries, so that a file proves by itself,
with the public key, that it is whole: what it begins after and ends with is in its heading.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from hmac import compare_digest
from itertools import product
from typing import ClassVar, TypeAlias

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rewards.audit.model_chain import START, Head, Row, Seal, entry_digest, public_key_of

VERSION = 1
EXPORT_PREFIX = b"rewards audit export 1\n"


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="record"):
    pass


class Heading(_Line, frozen=True, tag="TRAIL"):
    """What the file holds: the seals from first to last, both included; 0 and 0: none.

    `before` is the digest of the seal before the first, `last` that of the last one.
    """

    version: int
    since: datetime | None
    until: datetime | None
    made_at: datetime
    first_sequence: int
    last_sequence: int
    before: str
    last: str
    public_key: str
    signature: str = ""

    @property
    def message(self) -> bytes:
        """What is signed."""
        return EXPORT_PREFIX + msgspec.json.encode(msgspec.structs.replace(self, signature=""))


class EntryLine(_Line, frozen=True, tag="ENTRY"):
    position: int
    id: int
    at: datetime
    actor: str
    actor_id: int | None
    client_id: int | None
    action: str
    subject_kind: str
    subject_id: int
    facts: msgspec.Raw
    reason: str | None
    request_id: str | None
    address: str | None
    digest: str

    @property
    def row(self) -> Row:
        """What the digest is of."""
        return Row(
            self.id,
            self.at,
            self.actor,
            self.actor_id,
            self.client_id,
            self.action,
            self.subject_kind,
            self.subject_id,
            bytes(self.facts).decode(),
            self.reason,
            self.request_id,
            self.address,
        )

    @property
    def sound(self) -> bool:
        return compare_digest(entry_digest(self.row).hex().encode(), self.digest.encode())


class GoneLine(_Line, frozen=True, tag="GONE"):
    """Where an entry was sealed that the trail does not have any more."""

    position: int
    id: int
    digest: str


class SealLine(_Line, frozen=True, tag="SEAL"):
    """Of the entries above it."""

    sequence: int
    first_position: int
    last_position: int
    sealed_at: datetime
    digest: str
    signature: str

    @classmethod
    def of(cls, seal: Seal) -> "SealLine":
        return cls(
            seal.sequence,
            seal.first_position,
            seal.last_position,
            seal.sealed_at,
            seal.digest.hex(),
            seal.signature.hex(),
        )

    @property
    def seal(self) -> Seal:
        """Raises ValueError where a digest is no hexadecimal number."""
        return Seal(
            self.sequence,
            self.first_position,
            self.last_position,
            self.sealed_at,
            bytes.fromhex(self.digest),
            bytes.fromhex(self.signature),
        )


Line: TypeAlias = Heading | EntryLine | GoneLine | SealLine


class NoExport(Exception):
    """The file cannot be read as an export of the trail; says where."""


@dataclass(frozen=True, slots=True)
class Span:
    """The seals to be exported, and the one before them."""

    before: Head
    first_sequence: int
    last_sequence: int
    last: bytes


NOTHING = Span(START, 0, 0, START.digest)


def heading_of(
    span: Span,
    since: datetime | None,
    until: datetime | None,
    made_at: datetime,
    key: Ed25519PrivateKey,
) -> Heading:
    """The heading of an export, signed."""
    draft = Heading(
        VERSION,
        since,
        until,
        made_at,
        span.first_sequence,
        span.last_sequence,
        span.before.digest.hex(),
        span.last.hex(),
        public_key_of(key),
    )
    return msgspec.structs.replace(draft, signature=key.sign(draft.message).hex())


class JsonLines:
    """One JSON object a line; facts stand as PostgreSQL shows them."""

    media_type: ClassVar = "application/x-ndjson"
    suffix: ClassVar = "jsonl"
    _DECODER: ClassVar = msgspec.json.Decoder(Line)

    @classmethod
    def write(cls, lines: Iterable[Line]) -> bytes:
        return b"".join(msgspec.json.encode(line) + b"\n" for line in lines)

    @classmethod
    def read(cls, lines: Iterable[bytes]) -> Iterator[Line]:
        """Raises NoExport at a line that is none, or is not as it would have been written."""
        for number, text in enumerate(lines, 1):
            try:
                line: Line = cls._DECODER.decode(text)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as bad:
                raise NoExport(f"line {number} cannot be read: {bad}") from None
            if msgspec.json.encode(line) + b"\n" != text:
                raise NoExport(f"line {number} is not as it was written")
            yield line


def candidates(cells: dict[str, tuple[str | None, ...]]) -> Iterator[dict[str, str | None]]:
    """Every way in which these cells may be read."""
    for values in product(*cells.values()):
        yield dict(zip(cells, values, strict=True))
