"""Statements as files, JSON or CSV, signed; and what is wrong with one that was changed; pure.

A digest stands beside each line, and the signature covers the heading and all digests: so it can
be said which line was changed. A file is compared byte by byte with how it would have been written.
"""

import csv
import hashlib
import io
from collections.abc import Callable, Iterator
from datetime import date, datetime
from hmac import compare_digest

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from rewards.reconciliation.model_statement import Line, Statement

VERSION = 1
PREFIX = b"rewards statement\n"
COLUMNS = (
    *("record", "book", "client_id", "source", "vendor_id", "currency"),
    *("opening", "in", "out", "held", "digest"),
)
HEADING, LINE, SIGNATURE = "STATEMENT", "LINE", "SIGNATURE"
FILE_BYTES_MAX = 512 * 1024 * 1024
NEW_LINE = "\n"


class Heading(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    first_day: date
    last_day: date
    made_at: datetime
    lines: int
    public_key: str


class SignedLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    line: Line
    digest: str


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A statement with its digests and signature, in neither form yet."""

    statement: Heading
    lines: tuple[SignedLine, ...]
    signature: str


class NoStatement(Exception):
    """The file cannot be read as a statement."""


def public_key_of(key: Ed25519PrivateKey) -> str:
    """The public half as 64 hexadecimal digits, for whoever verifies."""
    return key.public_key().public_bytes_raw().hex()


def sign(statement: Statement, key: Ed25519PrivateKey) -> Document:
    """The statement with its digests, signed."""
    lines = tuple(SignedLine(line, digest_of(line)) for line in statement.lines)
    heading = Heading(
        VERSION,
        statement.first_day,
        statement.last_day,
        statement.made_at,
        len(lines),
        public_key_of(key),
    )
    return Document(heading, lines, key.sign(_message(heading, lines)).hex())


def digest_of(line: Line) -> str:
    return hashlib.sha256(msgspec.json.encode(line)).hexdigest()


def _message(heading: Heading, lines: tuple[SignedLine, ...]) -> bytes:
    digests = "\n".join(each.digest for each in lines)
    return PREFIX + msgspec.json.encode(heading) + b"\n" + digests.encode()


def to_json(document: Document) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def to_csv(document: Document) -> bytes:
    """Rows of three kinds: one of the heading, the lines under their columns, one signature."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator=NEW_LINE)
    heading = document.statement
    made_at = msgspec.to_builtins(heading.made_at)
    days = (heading.first_day.isoformat(), heading.last_day.isoformat())
    rows.writerow((HEADING, heading.version, *days, made_at, heading.lines, heading.public_key))
    rows.writerow(COLUMNS)
    for each in document.lines:
        rows.writerow((LINE, *msgspec.to_builtins(each.line).values(), each.digest))
    rows.writerow((SIGNATURE, document.signature))
    return text.getvalue().encode()


def read(content: bytes) -> tuple[Document, Callable[[Document], bytes]]:
    """What the file says, and how that is written in its form. Raises NoStatement."""
    try:
        if content[:1] == b"{":
            return msgspec.json.decode(content, type=Document), to_json
        return _from_csv(content.decode()), to_csv
    except (msgspec.MsgspecError, ValueError, csv.Error, RecursionError) as bad:
        raise NoStatement(str(bad)) from None


def _from_csv(text: str) -> Document:
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    if len(rows) < 3 or rows[0][:1] != [HEADING] or rows[-1][:1] != [SIGNATURE]:
        raise ValueError("a heading, columns and a signature are expected")
    if rows[1] != list(COLUMNS):
        raise ValueError("the columns are not those of a statement")
    heading = _cells(
        ("version", "first_day", "last_day", "made_at", "lines", "public_key"), rows[0]
    )
    lines = [_csv_line(row) for row in rows[2:-1]]
    signature = _cells(("signature",), rows[-1])
    return msgspec.convert(
        {"statement": heading, "lines": lines, **signature}, Document, strict=False
    )


def _csv_line(row: list[str]) -> dict[str, object]:
    cells = _cells(COLUMNS[1:], row)
    if row[0] != LINE:
        raise ValueError("a row that is no line")
    return {"digest": cells.pop("digest"), "line": {k: v or None for k, v in cells.items()}}


def _cells(names: tuple[str, ...], row: list[str]) -> dict[str, str]:
    if len(row) != len(names) + 1:
        raise ValueError(f"a row of {len(row)} cells")
    return dict(zip(names, row[1:], strict=True))


def tampering(content: bytes, public_key: str) -> list[str]:
    """What is wrong with the file, a sentence each; nothing for one that is as it was signed."""
    try:
        document, write = read(content)
    except NoStatement as bad:
        return [f"this is no statement: {bad}"]
    return list(_problems(content, document, write, public_key))


def _problems(
    content: bytes, document: Document, write: Callable[[Document], bytes], public_key: str
) -> Iterator[str]:
    heading = document.statement
    if heading.version != VERSION:
        yield f"version {heading.version} is not {VERSION}"
    if heading.public_key != public_key:
        yield "it names another public key than the one given"
    if heading.lines != len(document.lines):
        yield f"the heading counts {heading.lines} lines, there are {len(document.lines)}"
    changed = [
        f"line {number} ({each.line}) is not the one that was signed: its digest differs"
        for number, each in enumerate(document.lines, 1)
        if not compare_digest(digest_of(each.line), each.digest)
    ]
    yield from changed
    if not _signed(document, public_key):
        yield "the signature does not fit the heading and the digests of the lines" + (
            "" if changed else ": one of those, or the signature itself, was changed"
        )
    written = write(document)
    if written != content:
        place = next(
            (n for n, (a, b) in enumerate(zip(written, content, strict=False)) if a != b),
            min(len(written), len(content)),
        )
        number = content[:place].count(b"\n") + 1
        yield f"byte {place + 1}, in line {number} of the file, is not as it was written"


def _signed(document: Document, public_key: str) -> bool:
    try:
        given = bytes.fromhex(document.signature)
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
        key.verify(given, _message(document.statement, document.lines))
    except (ValueError, InvalidSignature):
        return False
    # Upper case would be the same bytes, and another file.
    return compare_digest(given.hex(), document.signature)
