"""What came in, went out and is held over some days; pure.

Amounts are integers of the currency's minor unit, codes are counted.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from enum import StrEnum

import msgspec


class Book(StrEnum):
    """What is conserved. All but MONEY are about stock, by where it came from."""

    MONEY = "MONEY"  # in a client's wallets of one currency
    CODES = "CODES"
    FACE = "FACE"  # what those codes are worth
    COST = "COST"  # what they cost us
    # What stock gave out (in) and a client got (out): nothing is held between the two.
    DELIVERED = "DELIVERED"
    DELIVERED_FACE = "DELIVERED_FACE"
    # What stock gave out and nobody got: it was taken out for good.
    WRITTEN_OFF = "WRITTEN_OFF"
    WRITTEN_OFF_FACE = "WRITTEN_OFF_FACE"


# Whose `in`, over all clients, are together the other's `out`.
LEFT_BY = {
    Book.CODES: (Book.DELIVERED, Book.WRITTEN_OFF),
    Book.FACE: (Book.DELIVERED_FACE, Book.WRITTEN_OFF_FACE),
}


class Line(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"came": "in", "went": "out"}
):
    """opening + in = out + held, for one party and currency."""

    book: Book
    client_id: int | None
    # FILE, VENDOR, SANDBOX; and which vendor.
    source: str | None
    vendor_id: int | None
    currency: str
    opening: int
    came: int
    went: int
    held: int

    @property
    def difference(self) -> int:
        """What is missing (above zero) or too much (below)."""
        return self.opening + self.came - self.went - self.held

    def __str__(self) -> str:
        party = [f"client {self.client_id}"] if self.client_id is not None else []
        party += [self.source] if self.source else []
        party += [f"vendor {self.vendor_id}"] if self.vendor_id is not None else []
        return f"{self.book} {' '.join(party)} {self.currency}"


class Statement(msgspec.Struct, frozen=True):
    """The books of whole days in UTC, the first and the last of them included."""

    first_day: date
    last_day: date
    made_at: datetime
    lines: tuple[Line, ...]


def imbalances(lines: Sequence[Line]) -> Iterator[str]:
    """A sentence for each line that does not add up, and for each stock that gave out otherwise
    than clients got or was written off."""
    for line in lines:
        if line.difference:
            yield (
                f"{line}: {line.opening} + {line.came} is not {line.went} + {line.held}"
                f" (difference {line.difference})"
            )
    for stock, (delivery, loss) in LEFT_BY.items():
        gave, got, lost = (_by_source(lines, book) for book in (stock, delivery, loss))
        for key in sorted(gave.keys() | got.keys() | lost.keys(), key=str):
            if gave[key] != got[key] + lost[key]:
                source, vendor_id, currency = key
                yield (
                    f"{stock} {source} {vendor_id or ''} {currency}: {gave[key]} went out,"
                    f" clients got {got[key]}" + (f", {lost[key]} written off" if lost[key] else "")
                )


def _by_source(lines: Sequence[Line], book: Book) -> Counter[tuple[str | None, int | None, str]]:
    total: Counter[tuple[str | None, int | None, str]] = Counter()
    for line in lines:
        if line.book is book:
            total[line.source, line.vendor_id, line.currency] += line.went
    return total
