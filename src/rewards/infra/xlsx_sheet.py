"""The rows of a workbook's sheet, surveyed first: of a sheet that is refused nothing is loaded."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import IO

from rewards.infra.xlsx_formats import CellFormats
from rewards.infra.xlsx_parts import CANNOT_BE_READ, WorkbookRefused, XmlPart
from rewards.infra.xlsx_strings import TEXT_CHARS_MAX, SharedStrings, unescape

# A million rows of thirty columns.
CELLS_MAX = 2**25
COLUMNS_MAX = 16_384
ROW_DIGITS_MAX = 7
DIGITS = "0123456789"


@dataclass(frozen=True, slots=True)
class BrokenRow:
    """Stands for a row that cannot be read, and says why; nothing it holds is quoted."""

    reason: str


TOO_LONG = BrokenRow("a row that is too long")
NO_VALUE = BrokenRow("a cell that cannot be read")


class _Place(XmlPart):
    """Knows the row and the column of the element at hand, counted from 1."""

    def __init__(self) -> None:
        super().__init__()
        self.row = 0
        self.column = 0
        self._row_text = "0"
        self._columns: dict[str, int] = {}

    def _to_row(self, attributes: dict[str, str]) -> None:
        text = attributes.get("r")
        if text is None:
            self.row += 1
        elif text.isascii() and text.isdecimal() and len(text) <= ROW_DIGITS_MAX:
            if int(text) <= self.row:
                raise WorkbookRefused("the rows of the sheet are not in order")
            self.row = int(text)
        else:
            raise WorkbookRefused(CANNOT_BE_READ)
        self._row_text = str(self.row)
        self.column = 0

    def _to_cell(self, attributes: dict[str, str]) -> None:
        reference = attributes.get("r")
        if reference is None:
            self.column += 1
            return
        letters = reference.rstrip(DIGITS)
        if reference[len(letters) :] != self._row_text:
            raise WorkbookRefused(CANNOT_BE_READ)
        self.column = self._columns.get(letters) or self._number(letters)

    def _number(self, letters: str) -> int:
        if not (letters.isascii() and letters.isalpha() and len(letters) <= 3):
            raise WorkbookRefused(CANNOT_BE_READ)
        number = 0
        for letter in letters.upper():
            number = number * 26 + ord(letter) - 64
        self._columns[letters] = number
        return number


class Survey(_Place):
    """Walks over a sheet without keeping it: its true extent, its order, and that it is values."""

    def __init__(self) -> None:
        super().__init__()
        self._far = 0
        # Of the cells that hold something.
        self.first_column = COLUMNS_MAX
        self.last_column = 0

    def started(self, name: str, attributes: dict[str, str]) -> None:
        if name == "c":
            self._to_cell(attributes)
            if self.column > self._far:
                self._far = self.column
            if self._far > COLUMNS_MAX or self.row * self._far > CELLS_MAX:
                raise WorkbookRefused("the sheet is too large or has cells far out; send CSV")
        elif name in ("v", "is"):
            if self.column < self.first_column:
                self.first_column = self.column
            if self.column > self.last_column:
                self.last_column = self.column
        elif name == "row":
            self._to_row(attributes)
        elif name == "f":
            raise WorkbookRefused(
                f"a formula in row {self.row}, column {self.column}; save the values only"
            )


class Sheet(_Place):
    """Reads the rows of a sheet that was surveyed, each as wide as the sheet's used columns."""

    def __init__(self, survey: Survey, strings: SharedStrings, formats: CellFormats) -> None:
        super().__init__()
        self._first = survey.first_column
        self._width = survey.last_column - survey.first_column + 1
        self._strings = strings
        self._formats = formats
        self._rows: list[tuple[int, list[object] | BrokenRow]] = []
        self._cells: list[object] = []
        self._problem: BrokenRow | None = None
        self._chars = 0
        self._pieces: list[str] = []
        self._taking = False
        self._inline = False
        self._in_phonetics = False
        self._type: str | None = None
        self._style: str | None = None

    def rows(self, part: IO[bytes]) -> Iterator[tuple[int, list[object] | BrokenRow]]:
        """Every row that is not blank, with its number."""
        for _ in self.chunks(part):
            yield from self._rows
            self._rows.clear()

    def started(self, name: str, attributes: dict[str, str]) -> None:
        if name == "c":
            self._to_cell(attributes)
            self._type = attributes.get("t")
            self._style = attributes.get("s")
            self._inline = False
            self._pieces = []
        elif name == "v":
            self._pieces = []
            self._taking = not self._inline
        elif name == "t":
            self._taking = self._inline and not self._in_phonetics
        elif name == "is":
            self._inline = True
        elif name == "rPh":
            self._in_phonetics = True
        elif name == "row":
            self._to_row(attributes)
            self._cells = []
            self._chars = 0
            self._problem = None

    def said(self, text: str) -> None:
        if self._taking:
            self._chars += len(text)
            if self._chars <= TEXT_CHARS_MAX:
                self._pieces.append(text)
            else:
                self._problem = TOO_LONG

    def ended(self, name: str) -> None:
        if name in ("v", "t"):
            self._taking = False
        elif name == "c":
            if self._pieces and self._problem is None:
                self._keep("".join(self._pieces))
        elif name == "rPh":
            self._in_phonetics = False
        elif name == "row":
            self._finish()

    def _keep(self, text: str) -> None:
        try:
            value = unescape(text) if self._inline else self._value(text)
        except (ValueError, IndexError):
            self._problem = NO_VALUE
            return
        if self._type == "s":
            self._chars += len(value) if isinstance(value, str) else 0
            if self._chars > TEXT_CHARS_MAX:
                self._problem = TOO_LONG
                return
        missing = self.column - self._first - len(self._cells)
        if missing < 0:
            self._cells[missing] = value
            return
        if missing:
            self._cells.extend([""] * missing)
        self._cells.append(value)

    def _value(self, text: str) -> object:
        """A cell's value by its type. Raises ValueError or IndexError for one that has none."""
        kind = self._type
        if kind == "s":
            return self._strings[int(text)]
        if kind is None:
            with suppress(ValueError):
                return self._formats.value(float(text), self._style)
            return text
        if kind == "n":
            return self._formats.value(float(text), self._style)
        if kind == "str":
            return unescape(text)
        if kind == "b":
            return text != "0"
        if kind == "d":
            return _iso(text)
        if kind in ("e", "inlineStr"):
            return ""
        raise ValueError

    def _finish(self) -> None:
        if self._problem:
            self._rows.append((self.row, self._problem))
        elif any(cell != "" for cell in self._cells):
            self._cells.extend([""] * (self._width - len(self._cells)))
            self._rows.append((self.row, self._cells))
        self._cells = []


def _iso(text: str) -> object:
    """A date, datetime or time in ISO 8601; the text where it is none."""
    for kind in (date, datetime, time):
        with suppress(ValueError):
            return kind.fromisoformat(text)
    return text
