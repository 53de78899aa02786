"""Which numbers of a workbook are dates, as their cells' formats tell, and which dates they are."""

import math
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum

from rewards.infra.xlsx_parts import CANNOT_BE_READ, WorkbookRefused, XmlPart

STYLES_MAX = 65_536
DAY_MS = 86_400_000
# Numbers of formats that every workbook has without saying what they are.
DURATION_ID = 46
MOMENT_IDS = frozenset({*range(14, 23), *range(27, 37), 45, 47, *range(50, 59)})
# Day 60 is 29 February 1900, which never was; days after it count from a day earlier.
EPOCH = datetime(1899, 12, 30, tzinfo=UTC)
EPOCH_EARLY = datetime(1899, 12, 31, tzinfo=UTC)
EPOCH_1904 = datetime(1904, 1, 1, tzinfo=UTC)
_LITERAL = re.compile(r'"[^"]*"|[\\_*].')
_BRACKETS = re.compile(r"\[([^\]]*)\]")
_ELAPSED = re.compile(r"h+|m+|s+")


class Kind(Enum):
    MOMENT = "MOMENT"
    DURATION = "DURATION"


def kind_of(code: str) -> Kind | None:
    """What a number format such as `yyyy-mm-dd` or `[h]:mm` makes of a number."""
    first = _LITERAL.sub("", code).partition(";")[0].lower()
    if any(_ELAPSED.fullmatch(inside) for inside in _BRACKETS.findall(first)):
        return Kind.DURATION
    bare = _BRACKETS.sub("", first)
    if "general" not in bare and ("am/pm" in bare or any(letter in bare for letter in "dmyhs")):
        return Kind.MOMENT
    return None


@dataclass(slots=True)
class CellFormats:
    """The formats of a workbook's cells, and the day its dates count from."""

    kinds: dict[str, Kind] = field(default_factory=dict)
    from_1904: bool = False

    def value(self, number: float, style: str | None) -> object:
        """The number, or the date, datetime, time or timedelta that its cell shows."""
        kind = self.kinds.get(style) if style else None
        if kind is None or not math.isfinite(number):
            return number
        try:
            since = timedelta(milliseconds=round(number * DAY_MS))
            if kind is Kind.DURATION:
                return since
            return self._moment(number, since)
        except OverflowError:
            return number

    def _moment(self, number: float, since: timedelta) -> object:
        epoch = EPOCH_1904 if self.from_1904 else EPOCH if number >= 60 else EPOCH_EARLY
        moment = (epoch + since).replace(tzinfo=None)
        if number < 1:
            return moment.time()
        return moment.date() if number == int(number) else moment


class StylesPart(XmlPart):
    """Reads styles.xml: the formats with their codes, and the format of each style by number."""

    def __init__(self, formats: CellFormats) -> None:
        super().__init__()
        self._formats = formats
        self._codes: dict[str, Kind | None] = {
            **{str(number): Kind.MOMENT for number in MOMENT_IDS},
            str(DURATION_ID): Kind.DURATION,
        }
        self._in_cells = False
        self._styles = 0

    def started(self, name: str, attributes: dict[str, str]) -> None:
        if name == "numFmt":
            self._codes[attributes.get("numFmtId", "")] = kind_of(attributes.get("formatCode", ""))
            if len(self._codes) > STYLES_MAX:
                raise WorkbookRefused(CANNOT_BE_READ)
        elif name == "cellXfs":
            self._in_cells = True
        elif name == "xf" and self._in_cells:
            kind = self._codes.get(attributes.get("numFmtId", ""))
            if kind:
                self._formats.kinds[str(self._styles)] = kind
            self._styles += 1
            if self._styles > STYLES_MAX:
                raise WorkbookRefused(CANNOT_BE_READ)

    def ended(self, name: str) -> None:
        if name == "cellXfs":
            self._in_cells = False


class WorkbookPart(XmlPart):
    """Reads workbook.xml: from which day dates count."""

    def __init__(self, formats: CellFormats) -> None:
        super().__init__()
        self._formats = formats

    def started(self, name: str, attributes: dict[str, str]) -> None:
        if name == "workbookPr":
            self._formats.from_1904 = attributes.get("date1904") in ("1", "true")
