"""One row of a stock file: a new unit, or why it is none; nothing here ever quotes a value."""

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal

from rewards.catalog.model import Product, ShelfKey
from rewards.core.errors import InvalidField
from rewards.core.money import AMOUNT_MINOR_MAX, parse_amount, to_minor
from rewards.inventory.model import (
    VOUCHER_FIELDS,
    FileRefused,
    NewUnit,
    Products,
    RowProblem,
    is_link,
)

REQUIRED = ("product_id", "denomination", "currency", "expires_at")
COLUMNS = (*REQUIRED, *VOUCHER_FIELDS, "cost")
URL_CHARS_MAX = 2048
VALUE_CHARS_MAX = 256
# Rows of one file mostly repeat their product, face value and expiry; what was worked out for one
# is kept for the next, up to this many.
REMEMBERED_MAX = 10_000
DAY_END = time(23, 59, 59, tzinfo=UTC)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]{5,15}(Z|[+-][0-9:]{2,9})?", re.ASCII)


class RowReader:
    """Reads rows under one header. Raises FileRefused for a header that a stock file cannot have.

    The refusal names what we expected, never what stood there: a file without a header begins with
    a code.
    """

    def __init__(self, header: Sequence[object], products: Products, now: datetime) -> None:
        names = [str(name).strip().lower() for name in header]
        while names and not names[-1]:
            names.pop()
        for at, name in enumerate(names, 1):
            if name not in COLUMNS:
                raise FileRefused(f"column {at} of the header is none of: {', '.join(COLUMNS)}")
            if names.index(name) != at - 1:
                raise FileRefused(f"the header has {name} twice")
        missing = [name for name in REQUIRED if name not in names]
        if missing:
            raise FileRefused(f"the header lacks {', '.join(missing)}")
        if not any(name in VOUCHER_FIELDS for name in names):
            raise FileRefused(f"the header has none of {', '.join(VOUCHER_FIELDS)}")
        self._width = len(names)
        self._names = names
        self._at = {name: at for at, name in enumerate(names)}
        self._secrets = [(name, self._at[name]) for name in VOUCHER_FIELDS if name in self._at]
        self._products = products
        self._now = now
        self._shelves: dict[tuple[str, str, str], tuple[ShelfKey, Product]] = {}
        self._ends: dict[str, datetime | None] = {}

    def unit(self, cells: Sequence[object]) -> NewUnit:
        """The unit of one row. Raises RowProblem."""
        if len(cells) != self._width:
            cells = self._fit(cells)
        values = [
            cell.strip() if isinstance(cell, str) else self._text(at, cell)
            for at, cell in enumerate(cells)
        ]
        if not "".join(values).isprintable():
            raise RowProblem("an unprintable character")
        at = self._at
        key = (values[at["product_id"]], values[at["denomination"]], values[at["currency"]])
        shelf, product = self._shelves.get(key) or self._shelf(key)
        text = values[at["expires_at"]]
        end = self._ends[text] if text in self._ends else self._end(text)
        fields = {name: values[place] for name, place in self._secrets if values[place]}
        if fields.keys() != set(product.voucher_fields):
            raise _misfit(fields, product)
        for name, value in fields.items():
            if len(value) > VALUE_CHARS_MAX or value[0] == "=" or name == "claim_url":
                _check(name, value)
        cost = self._cost(values, product) if "cost" in at else None
        return NewUnit(shelf, fields, end, cost, shelf.currency if cost is not None else None)

    def _fit(self, cells: Sequence[object]) -> Sequence[object]:
        """Spreadsheets pad rows with empty cells, and leave them out at the end."""
        if any(cell not in ("", None) for cell in cells[self._width :]):
            raise RowProblem("more cells than the header has")
        if len(cells) < len(REQUIRED):
            raise RowProblem("fewer cells than the header has")
        return [*cells[: self._width], *[""] * (self._width - len(cells))]

    def _text(self, at: int, cell: object) -> str:
        """A spreadsheet's cell as a CSV file would have it."""
        name = self._names[at]
        if cell is None:
            return ""
        if isinstance(cell, datetime | date) and name == "expires_at":
            return cell.isoformat()
        if isinstance(cell, bool) or not isinstance(cell, int | float):
            raise RowProblem(f"{name}: not a text cell")
        if name in VOUCHER_FIELDS:
            # As a number it has lost its leading zeros and all but fifteen digits.
            raise RowProblem(f"{name}: a number, must be a text cell")
        if not math.isfinite(cell):
            raise RowProblem(f"{name}: not a number")
        return str(int(cell)) if cell == int(cell) else repr(cell)

    def _shelf(self, key: tuple[str, str, str]) -> tuple[ShelfKey, Product]:
        product_id, denomination, currency = key
        if not re.fullmatch(r"[0-9]{1,16}", product_id, re.ASCII):
            raise RowProblem("product_id: not a whole number")
        product = self._products.product(int(product_id))
        if product is None:
            raise RowProblem("product_id: no such product")
        if currency.upper() != product.currency:
            raise RowProblem("currency: not the product's")
        try:
            minor = parse_amount("denomination", denomination or None, product.exponent)
        except InvalidField as bad:
            raise RowProblem(f"denomination: {bad.message.rpartition(': ')[2]}") from None
        if not product.sells(minor):
            raise RowProblem("denomination: not one the product has")
        if len(self._shelves) >= REMEMBERED_MAX:
            self._shelves.clear()
        found = ShelfKey(product.id, minor, product.currency), product
        self._shelves[key] = found
        return found

    def _end(self, text: str) -> datetime | None:
        """A day lasts until its end in UTC; a moment without a zone is UTC; empty never ends."""
        end = None
        if text:
            try:
                if _DATE.fullmatch(text):
                    end = datetime.combine(date.fromisoformat(text), DAY_END)
                elif _MOMENT.fullmatch(text):
                    end = datetime.fromisoformat(text)
                    end = end.astimezone(UTC) if end.tzinfo else end.replace(tzinfo=UTC)
            except (ValueError, OverflowError):
                end = None
            if end is None:
                raise RowProblem("expires_at: not a date such as 2027-12-31")
            if end <= self._now:
                raise RowProblem("expires_at: in the past")
        if len(self._ends) >= REMEMBERED_MAX:
            self._ends.clear()
        self._ends[text] = end
        return end

    def _cost(self, values: Sequence[str], product: Product) -> int | None:
        text = values[self._at["cost"]]
        if not text:
            return None
        if not re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,8})?", text, re.ASCII):
            raise RowProblem("cost: not an amount")
        minor = to_minor(Decimal(text), product.exponent)
        if minor is None or minor > AMOUNT_MINOR_MAX:
            raise RowProblem("cost: not an amount of the product's currency")
        return minor


def _misfit(fields: Mapping[str, str], product: Product) -> RowProblem:
    for name in product.voucher_fields:
        if name not in fields:
            return RowProblem(f"{name}: missing")
    extra = next(name for name in fields if name not in product.voucher_fields)
    return RowProblem(f"{extra}: not a field of this product")


def _check(name: str, value: str) -> None:
    if value[0] == "=":
        raise RowProblem(f"{name}: a formula")
    if len(value) > (URL_CHARS_MAX if name == "claim_url" else VALUE_CHARS_MAX):
        raise RowProblem(f"{name}: too long")
    if name == "claim_url" and not is_link(value):
        raise RowProblem("claim_url: not a link")
