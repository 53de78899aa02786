"""Rows out of a stock file, CSV or XLSX, in bounded memory whatever the file holds."""

import csv
from collections.abc import Iterator, Sequence
from typing import BinaryIO, TypeAlias

from rewards.infra import xlsx
from rewards.inventory.model import FileRefused, RowProblem

FILE_BYTES_MAX = 2**30
LINE_BYTES_MAX = 64 * 1024
SKIPPED_BYTES_STEP = 1024 * 1024
ZIP_MAGIC = b"PK\x03\x04"
UTF8_MARK = b"\xef\xbb\xbf"

# A row: its number as a spreadsheet shows it (the header is row 1), and its cells or a problem.
Cells: TypeAlias = Sequence[object] | RowProblem
Row: TypeAlias = tuple[int, Cells]


def rows(file: BinaryIO) -> Iterator[Row]:
    """Every row that is not blank, the header first; what is wrong with a row comes in its place.

    CSV: UTF-8, commas, one line a row, quotes as usual. XLSX: one sheet, values without formulas.
    Raises FileRefused for anything else. Not for the event loop: it reads from disk.
    """
    size = file.seek(0, 2)
    if size > FILE_BYTES_MAX:
        raise FileRefused(f"the file is larger than {FILE_BYTES_MAX // 2**20} MiB")
    file.seek(0)
    start = file.read(len(ZIP_MAGIC))
    file.seek(0)
    if start == ZIP_MAGIC:
        yield from _xlsx_rows(file, size)
    else:
        yield from _csv_rows(file)


def _xlsx_rows(file: BinaryIO, size: int) -> Iterator[Row]:
    try:
        for number, cells in xlsx.rows(file, size):
            if isinstance(cells, xlsx.BrokenRow):
                yield number, RowProblem(cells.reason)
            else:
                yield number, cells
    except xlsx.WorkbookRefused as refused:
        raise FileRefused(str(refused)) from None


def _csv_rows(file: BinaryIO) -> Iterator[Row]:
    number = 0
    while line := file.readline(LINE_BYTES_MAX):
        number += 1
        whole = line.endswith(b"\n") or len(line) < LINE_BYTES_MAX
        if number == 1:
            line = _without_mark(line, whole=whole)
        if not whole:
            _skip_line(file)
            yield number, RowProblem("a line that is too long")
            continue
        line = line.rstrip(b"\r\n")
        if not line.strip():
            continue
        yield number, _cells(line)


def _without_mark(line: bytes, *, whole: bool) -> bytes:
    if line.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in line:
        raise FileRefused("the file is not UTF-8 text; UTF-16 and binary files are not read")
    if not whole or b"\r" in line.rstrip(b"\r\n"):
        raise FileRefused("the header is no line; lines must end with LF or CRLF")
    line = line.removeprefix(UTF8_MARK)
    if b"," not in line and (b";" in line or b"\t" in line):
        raise FileRefused("the columns must be separated by commas")
    return line


def _skip_line(file: BinaryIO) -> None:
    while rest := file.readline(SKIPPED_BYTES_STEP):
        if rest.endswith(b"\n"):
            return


def _cells(line: bytes) -> Cells:
    """One line's cells. A quote that stays open hurts its own line only, not all that follow."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return RowProblem("not UTF-8")
    if "\0" in text or "\r" in text:
        return RowProblem("an unprintable character")
    if '"' not in text:
        return text.split(",")
    try:
        return next(csv.reader([text], strict=True))
    except csv.Error:
        return RowProblem("quotes that do not match")
