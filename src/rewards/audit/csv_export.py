"""An export of the trail for spreadsheets: a row of the heading, then columns for all the rest."""

import csv
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import msgspec

from rewards.audit.model_export import (
    EntryLine,
    GoneLine,
    Heading,
    Line,
    NoExport,
    SealLine,
    candidates,
)
from rewards.infra.csvtext import CSV, texts_of, write_rows

COLUMNS = (
    *("record", "sequence", "position", "last_position", "id", "at", "actor", "actor_id"),
    *("client_id", "action", "subject_kind", "subject_id", "facts", "reason", "request_id"),
    *("address", "digest", "signature"),
)
KINDS: dict[str, type[Line]] = {
    "TRAIL": Heading,
    "ENTRY": EntryLine,
    "GONE": GoneLine,
    "SEAL": SealLine,
}
# Facts may be as long as the body of a request, and longer by their names.
CELL_CHARS_MAX = 16 * 1024 * 1024
# Columns of the table that a seal calls otherwise.
OF_SEALS = {"first_position": "position", "sealed_at": "at"}
# Text that may be missing, or begin like a formula: the digest tells how it was.
WORDS = ("action", "subject_kind", "reason", "request_id", "address")


class CsvRows:
    """As `JsonLines`, in rows; text that may be taken for a formula is disarmed."""

    media_type: ClassVar = CSV
    suffix: ClassVar = "csv"

    @classmethod
    def write(cls, lines: Iterable[Line]) -> bytes:
        return write_rows(row for line in lines for row in _rows(line))

    @classmethod
    def read(cls, lines: Iterable[bytes]) -> Iterator[Line]:
        """Raises NoExport at a row that is none."""
        rows = csv.reader((line.decode() for line in lines), strict=True)
        try:
            while (row := _next(rows)) is not None:
                if row != list(COLUMNS):
                    yield _line(row)
        except (csv.Error, ValueError, KeyError, msgspec.MsgspecError) as bad:
            raise NoExport(f"line {rows.line_num} cannot be read: {bad}") from None


def _next(rows: Iterator[list[str]]) -> list[str] | None:
    """The next row; None at the end. The library's own limit on a cell is one of the process."""
    usual = csv.field_size_limit(CELL_CHARS_MAX)
    try:
        return next(rows, None)
    finally:
        csv.field_size_limit(usual)


def _rows(line: Line) -> Iterator[list[object]]:
    values = msgspec.structs.asdict(line)
    kind = next(name for name, struct in KINDS.items() if isinstance(line, struct))
    if isinstance(line, Heading):
        yield [kind, *values.values()]
        yield list(COLUMNS)
        return
    if isinstance(line, SealLine):
        values = {OF_SEALS.get(name, name): value for name, value in values.items()}
    if isinstance(line, EntryLine):
        values["facts"] = bytes(line.facts).decode()
    yield [kind, *(values.get(column) for column in COLUMNS[1:])]


def _line(row: list[str]) -> Line:
    struct = KINDS[row[0]]
    fields = struct.__struct_fields__
    if struct is Heading:
        cells = dict(zip(fields, row[1:], strict=True))
        return msgspec.convert({k: v or None for k, v in cells.items()}, Heading, strict=False)
    found = dict(zip(COLUMNS, row, strict=True))
    kept = {OF_SEALS.get(name, name) if struct is SealLine else name for name in fields}
    stray = [name for name, cell in found.items() if cell and name not in (*kept, "record")]
    if stray:
        raise ValueError(f"{stray[0]} is no part of such a row")
    if struct is SealLine:
        found |= {name: found[column] for name, column in OF_SEALS.items()}
    values: dict[str, Any] = {name: found[name] or None for name in fields}
    return _entry(values, found) if struct is EntryLine else _convert(values, struct)


def _convert(values: dict[str, Any], struct: type[Line]) -> Line:
    return msgspec.convert(values, struct, strict=False)


def _entry(values: dict[str, Any], found: dict[str, str]) -> EntryLine:
    """The entry as its digest says it was; else as it is most likely meant."""
    first: EntryLine | None = None
    facts = msgspec.Raw(found["facts"].encode())
    for words in candidates({name: texts_of(found[name]) for name in WORDS}):
        plain = {**values, **words, "facts": None}
        line = msgspec.structs.replace(_to_entry(plain), facts=facts)
        if line.sound:
            return line
        first = first or line
    assert first is not None, "there is always one way to read a cell"
    return first


class _Plain(EntryLine, frozen=True, tag="ENTRY"):
    """An entry whose facts are still to come."""

    facts: None  # type: ignore[assignment]


def _to_entry(values: dict[str, Any]) -> EntryLine:
    plain = msgspec.structs.asdict(msgspec.convert(values, _Plain, strict=False))
    return EntryLine(**plain | {"facts": msgspec.Raw(b"null")})
