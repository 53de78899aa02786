"""Reads a file of exchange rates: all of its rows, or what is wrong with each bad one."""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from rewards.core.errors import InvalidField
from rewards.core.money import read_amount
from rewards.core.text import timestamp
from rewards.pricing.model_rates import Channel, NewRate
from rewards.pricing.rules import check_rate, read_percent

FILE_BYTES_MAX = 1024 * 1024
ROW_COUNT_MAX = 10_000
PROBLEM_COUNT_MAX = 20
NEEDED = ("source", "target", "rate", "quoted_at")
KNOWN = (*NEEDED, "spread_percent")


@dataclass(frozen=True, slots=True)
class RowProblem:
    """Row 1 is the header; row 0 stands for the whole file."""

    row: int
    reason: str


class BadRateFile(Exception):
    """Nothing of it was loaded."""

    def __init__(self, problems: list[RowProblem]) -> None:
        super().__init__(f"{len(problems)} problems")
        self.problems = problems


def read_rates(content: bytes, origin: str, spread_percent: Decimal, at: datetime) -> list[NewRate]:
    """The rates of a CSV file in UTF-8, in order, every one checked.

    Columns `source, target, rate, quoted_at` (RFC 3339), and if wanted `spread_percent`, which is
    `spread_percent` where it is empty or left out. Raises BadRateFile with the first
    PROBLEM_COUNT_MAX problems; a file is taken whole or not at all.
    """
    rates: list[NewRate] = []
    problems: list[RowProblem] = []
    seen: dict[tuple[str, str], int] = {}
    for number, row in enumerate(_rows(content), start=2):
        try:
            rate = _read_row(row, origin, spread_percent, at)
            if (first := seen.setdefault(rate.pair, number)) != number:
                raise InvalidField("Target", f"pair of row {first}")
            rates.append(rate)
        except InvalidField as bad:
            problems.append(RowProblem(number, bad.message))
        if number - 1 > ROW_COUNT_MAX:
            raise BadRateFile([RowProblem(0, f"more than {ROW_COUNT_MAX} rows")])
        if len(problems) == PROBLEM_COUNT_MAX:
            break
    if problems:
        raise BadRateFile(problems)
    if not rates:
        raise BadRateFile([RowProblem(0, "no rates")])
    return rates


def _rows(content: bytes) -> Iterable[Mapping[str, str]]:
    if len(content) > FILE_BYTES_MAX:
        raise BadRateFile([RowProblem(0, f"larger than {FILE_BYTES_MAX} bytes")])
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        header = [name.strip().lower() for name in reader.fieldnames or ()]
        _check_header(header)
        reader.fieldnames = header
        for row in reader:
            if None in row or None in row.values():
                raise BadRateFile([RowProblem(reader.line_num, "not as many cells as the header")])
            yield row
    except UnicodeDecodeError:
        raise BadRateFile([RowProblem(0, "not UTF-8")]) from None
    except csv.Error as broken:
        raise BadRateFile([RowProblem(0, f"not CSV: {broken}")]) from None


def _check_header(header: list[str]) -> None:
    missing = [name for name in NEEDED if name not in header]
    strange = [name for name in header if name not in KNOWN]
    for names, what in ((missing, "missing"), (strange, "unknown")):
        if names:
            raise BadRateFile([RowProblem(1, f"{what} column: {', '.join(names)}")])
    if len(set(header)) != len(header):
        raise BadRateFile([RowProblem(1, "a column appears twice")])


def _read_row(
    row: Mapping[str, str], origin: str, spread_percent: Decimal, at: datetime
) -> NewRate:
    cells = {name: cell.strip() for name, cell in row.items()}
    spread = cells.get("spread_percent", "")
    rate = NewRate(
        cells["source"].upper(),
        cells["target"].upper(),
        read_amount("Rate", cells["rate"] or None),
        origin,
        timestamp("QuotedAt", cells["quoted_at"]),
        Channel.FILE,
        read_percent("SpreadPercent", spread) if spread else spread_percent,
    )
    check_rate(rate, at)
    return rate
