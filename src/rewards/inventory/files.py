"""Rows out of a stock file, CSV or XLSX, in bounded memory whatever the file holds."""

import csv
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO, TypeAlias
from xml.parsers import expat

import python_calamine

from rewards.inventory.model import FileRefused, RowProblem

FILE_BYTES_MAX = 2**30
LINE_BYTES_MAX = 64 * 1024
SKIPPED_BYTES_STEP = 1024 * 1024
# calamine holds a whole sheet in memory, every cell of the rectangle around the used ones: measured
# 120 MB for 1,400,000 cells, and twice that with long texts. A larger stock comes as CSV.
XLSX_BYTES_MAX = 32 * 1024 * 1024
XLSX_INFLATED_BYTES_MAX = 256 * 1024 * 1024
XLSX_CELLS_MAX = 2_000_000
XLSX_MEMBERS_MAX = 200
SHEETS = "xl/worksheets/"
ZIP_MAGIC = b"PK\x03\x04"
ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What zipfile raises on parts that are broken, cut or encrypted.
ZIP_PROBLEMS = (zipfile.BadZipFile, zlib.error, RuntimeError, OSError, EOFError, ValueError)
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


def _xlsx_rows(file: BinaryIO, size: int) -> Iterator[Row]:
    if size > XLSX_BYTES_MAX:
        limit = XLSX_BYTES_MAX // 2**20
        raise FileRefused(f"a workbook may have {limit} MiB; send a larger stock as CSV")
    _survey(file)
    file.seek(0)
    try:
        with python_calamine.CalamineWorkbook.from_filelike(file) as workbook:
            sheet = workbook.get_sheet_by_index(0)
    except (python_calamine.CalamineError, OSError, ValueError, IndexError):
        raise FileRefused("the workbook cannot be read") from None
    if sheet.start is None:
        return
    for number, cells in enumerate(sheet.iter_rows(), sheet.start[0] + 1):
        if any(cell != "" for cell in cells):
            yield number, cells


def _survey(file: BinaryIO) -> None:
    """Look at a workbook as a stream before it is loaded: its true size, extent and formulas."""
    try:
        with zipfile.ZipFile(file) as workbook:
            members = workbook.infolist()
            if len(members) > XLSX_MEMBERS_MAX:
                raise FileRefused("the workbook has too many parts")
            if any(member.compress_type not in ZIP_METHODS for member in members):
                raise FileRefused("the workbook cannot be read")
            if sum(member.file_size for member in members) > XLSX_INFLATED_BYTES_MAX:
                limit = XLSX_INFLATED_BYTES_MAX // 2**20
                raise FileRefused(f"the workbook unpacks to more than {limit} MiB; send CSV")
            sheets = [m for m in members if m.filename.startswith(SHEETS) and m.file_size]
            sheets = [sheet for sheet in sheets if sheet.filename.endswith(".xml")]
            if len(sheets) != 1:
                raise FileRefused("the workbook must have exactly one sheet")
            for member in members:
                extent = _Extent() if member is sheets[0] else None
                with workbook.open(member) as part:
                    while chunk := part.read(2**20):
                        if extent:
                            extent.feed(chunk)
                if extent:
                    extent.close()
    except ZIP_PROBLEMS:
        raise FileRefused("the workbook cannot be read") from None


class _Extent:
    """Walks over a sheet's XML without keeping it."""

    def __init__(self) -> None:
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._element
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._row = 0
        self._column = 0
        self._rows = 0
        self._columns = 0

    def feed(self, chunk: bytes) -> None:
        self._parse(chunk, last=False)

    def close(self) -> None:
        self._parse(b"", last=True)

    def _parse(self, chunk: bytes, *, last: bool) -> None:
        try:
            self._parser.Parse(chunk, last)
        except expat.ExpatError:
            raise FileRefused("the workbook cannot be read") from None

    def _doctype(self, *_: object) -> None:
        raise FileRefused("the workbook cannot be read")

    def _element(self, name: str, attributes: dict[str, str]) -> None:
        # Prefixed names are the same elements to the reader of the values.
        kind = name.rpartition(":")[2]
        if kind == "c":
            self._cell(attributes.get("r", ""))
        elif kind == "row":
            self._column = 0
            self._row = _number(attributes.get("r", "")) or self._row + 1
        elif kind == "f":
            raise FileRefused(
                f"a formula in row {self._row}, column {self._column}; save the values only"
            )

    def _cell(self, reference: str) -> None:
        letters = reference.rstrip("0123456789")
        if reference and letters.isascii() and letters.isalpha() and len(letters) <= 3:
            self._column = 0
            for letter in letters.upper():
                self._column = self._column * 26 + ord(letter) - 64
            self._row = _number(reference[len(letters) :]) or self._row
        else:
            self._column += 1
        self._rows = max(self._rows, self._row)
        self._columns = max(self._columns, self._column)
        if self._rows * self._columns > XLSX_CELLS_MAX:
            raise FileRefused("the sheet is too large or has cells far out; send CSV")


def _number(text: str) -> int:
    """A row's number; 0 where none is given."""
    if len(text) > 7 or not text.isascii():
        raise FileRefused("the workbook cannot be read")
    return int(text) if text.isdecimal() else 0
