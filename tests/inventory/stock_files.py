"""Writes stock files of any length, row by row: what a test of memory reads must not be held."""

import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO

HEADER = ("product_id", "denomination", "currency", "expires_at", "code", "pin", "cost")
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
YEARS, PINS = 10, 10_000


def write_csv(path: Path, numbers: range) -> Path:
    """Good rows, each with a code of its own."""
    with path.open("w") as file:
        file.write(",".join(HEADER) + "\n")
        for n in numbers:
            file.write(f"6,25,USD,203{n % YEARS}-01-01,C-{n:09d},{n % PINS:04d},24.5\n")
    return path


def write_xlsx(path: Path, numbers: range) -> Path:
    """The same rows as a spreadsheet keeps them: numbers in place, every text shared."""
    repeated = [*HEADER, "USD", *(f"203{n}-01-01" for n in range(YEARS))]
    repeated += [f"{n:04d}" for n in range(PINS)]
    codes = (f"C-{n:09d}" for n in numbers)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as book:
        book.writestr("xl/workbook.xml", f'<workbook xmlns="{MAIN}"/>')
        with book.open("xl/sharedStrings.xml", "w") as part:
            part.write(f'<sst xmlns="{MAIN}">'.encode())
            _write(part, (f"<si><t>{text}</t></si>" for text in repeated))
            _write(part, (f"<si><t>{text}</t></si>" for text in codes))
            part.write(b"</sst>")
        with book.open("xl/worksheets/sheet1.xml", "w") as part:
            part.write(f'<worksheet xmlns="{MAIN}"><sheetData><row r="1">'.encode())
            _write(part, (f'<c t="s"><v>{at}</v></c>' for at in range(len(HEADER))))
            part.write(b"</row>")
            _write(part, _rows(numbers, len(repeated)))
            part.write(b"</sheetData></worksheet>")
    return path


def _rows(numbers: range, codes_from: int) -> Iterable[str]:
    currency = len(HEADER)
    for at, n in enumerate(numbers):
        row = at + 2
        year = currency + 1 + n % YEARS
        pin = currency + 1 + YEARS + n % PINS
        yield (
            f'<row r="{row}"><c r="A{row}"><v>6</v></c><c r="B{row}"><v>25</v></c>'
            f'<c r="C{row}" t="s"><v>{currency}</v></c><c r="D{row}" t="s"><v>{year}</v></c>'
            f'<c r="E{row}" t="s"><v>{codes_from + at}</v></c>'
            f'<c r="F{row}" t="s"><v>{pin}</v></c><c r="G{row}"><v>24.5</v></c></row>'
        )


def _write(part: IO[bytes], texts: Iterable[str]) -> None:
    for text in texts:
        part.write(text.encode())
