"""Rows out of an XLSX workbook, in memory that does not grow with it."""

import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from rewards.infra.xlsx_formats import CellFormats, StylesPart, WorkbookPart
from rewards.infra.xlsx_parts import CANNOT_BE_READ, WorkbookRefused, XmlPart
from rewards.infra.xlsx_sheet import BrokenRow, Sheet, Survey
from rewards.infra.xlsx_strings import SharedStrings, SharedStringsPart

__all__ = ["BrokenRow", "WorkbookRefused", "rows"]

# A million rows of seven columns unpack to about 300 MiB.
INFLATED_BYTES_MAX = 2**30
# Stock deflates to a tenth; what deflates to less than a two-hundredth is no stock, unless small.
INFLATED_RATIO_MAX = 200
INFLATED_BYTES_FREE = 64 * 1024 * 1024
MEMBERS_MAX = 200
SHEETS = "xl/worksheets/"
STRINGS, STYLES, WORKBOOK = "xl/sharedstrings.xml", "xl/styles.xml", "xl/workbook.xml"
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What zipfile raises on parts that are broken, cut or encrypted.
PROBLEMS = (zipfile.BadZipFile, zlib.error, RuntimeError, OSError, EOFError, ValueError)


def rows(file: BinaryIO, size: int) -> Iterator[tuple[int, list[object] | BrokenRow]]:
    """Every row of the only sheet that is not blank. Raises WorkbookRefused before the first one.

    The sheet is read twice: a formula in its last row must refuse it before a row is loaded.
    """
    try:
        with zipfile.ZipFile(file) as workbook, SharedStrings() as strings:
            sheet = _check(workbook, size)
            survey = Survey()
            with workbook.open(sheet) as part:
                survey.read(part)
            formats = CellFormats()
            _read(workbook, WORKBOOK, WorkbookPart(formats))
            _read(workbook, STYLES, StylesPart(formats))
            _read(workbook, STRINGS, SharedStringsPart(strings))
            with workbook.open(sheet) as part:
                yield from Sheet(survey, strings, formats).rows(part)
    except PROBLEMS:
        raise WorkbookRefused(CANNOT_BE_READ) from None


def _check(workbook: zipfile.ZipFile, size: int) -> zipfile.ZipInfo:
    """The sheet of a workbook that has one and is no larger than it may be."""
    members = workbook.infolist()
    if len(members) > MEMBERS_MAX:
        raise WorkbookRefused("the workbook has too many parts")
    if any(member.compress_type not in METHODS for member in members):
        raise WorkbookRefused(CANNOT_BE_READ)
    # No more than this is ever read of a part, whatever it holds.
    inflated = sum(member.file_size for member in members)
    if inflated > INFLATED_BYTES_MAX:
        limit = INFLATED_BYTES_MAX // 2**20
        raise WorkbookRefused(f"the workbook unpacks to more than {limit} MiB; send CSV")
    if inflated > max(INFLATED_BYTES_FREE, INFLATED_RATIO_MAX * size):
        raise WorkbookRefused(
            f"the workbook unpacks to more than {INFLATED_RATIO_MAX} times its size"
        )
    sheets = [
        member
        for member in members
        if member.filename.startswith(SHEETS)
        and member.filename.endswith(".xml")
        and member.file_size
    ]
    if len(sheets) != 1:
        raise WorkbookRefused("the workbook must have exactly one sheet")
    return sheets[0]


def _read(workbook: zipfile.ZipFile, name: str, into: XmlPart) -> None:
    """Read a part if the workbook has it."""
    for member in workbook.infolist():
        if member.filename.lower() == name:
            with workbook.open(member) as part:
                into.read(part)
            return
