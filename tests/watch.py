"""Watches every simulated vendor of a test session: who sold what nobody had asked for (T36).

A sale was asked for when its key stands in a purchase that the trail ascribes to a person of the
staff, or to us for a product that is flagged ALLOW_AUTO_VENDOR_FULFILL; or when the test itself is
the one who asks, and says so with the fixture `buys_by_hand`. Simulators that a child process
serves (`rewards sandbox`) are out of its sight.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest

from rewards.vendors.simulators.book import Book

# The variable in which pytest says which test runs.
CURRENT = "PYTEST_CURRENT_TEST"
ASKED = """
SELECT bought.key FROM vendor_orders AS bought
WHERE bought.key = ANY($1::text[]) AND CASE bought.purpose
    WHEN 'STOCK' THEN bought.asked_by IS NOT NULL
    ELSE EXISTS (
        SELECT FROM audit_entries AS said
        JOIN orders ON orders.id = said.subject_id
        JOIN products ON products.id = orders.product_id
        WHERE said.action = 'order.vendor_approved' AND said.subject_kind = 'order'
            AND said.subject_id = bought.subject_id
            AND (said.actor_kind = 'STAFF' OR (
                said.actor_kind = 'SYSTEM' AND products.allow_auto_vendor_fulfill))
    )
END
"""


@dataclass(frozen=True, slots=True)
class Sold:
    """One sale of a simulator's book, and the test that it happened in."""

    key: str
    test: str


@dataclass
class Watch:
    """The sales of this session that nobody is known to have asked for (yet)."""

    open: list[Sold] = field(default_factory=list)
    by_hand: set[str] = field(default_factory=set)
    seen: int = 0

    def note(self, key: str) -> None:
        test = os.environ.get(CURRENT, "").rpartition(" ")[0]
        self.seen += 1
        if test not in self.by_hand:
            self.open.append(Sold(key, test))

    async def look(self, dsn: str) -> None:
        """Strike off what this database, which is about to go, says was asked for."""
        if not self.open:
            return
        connection = await asyncpg.connect(dsn)
        try:
            # No text of the database holds a NUL; a vendor's nonsense may.
            keys = [sold.key for sold in self.open if "\0" not in sold.key]
            rows = await connection.fetch(ASKED, keys)
        except asyncpg.UndefinedTableError:
            # A database of a test about databases.
            rows = []
        finally:
            await connection.close()
        asked = {row["key"] for row in rows}
        self.open = [sold for sold in self.open if sold.key not in asked]

    def complaint(self) -> str:
        """What to say at the end; nothing when all was asked for."""
        tests = sorted({sold.test for sold in self.open})
        lines = [f"{len(self.open)} sales that nobody asked for, in:", *tests]
        return "\n  ".join(lines) if tests else ""


@contextmanager
def watching() -> Iterator[Watch]:
    """Look over every book's shoulder."""
    watch = Watch()
    real = Book.sell

    def sell(self: Book, key: str, *args: Any, **kwargs: Any) -> Any:
        sale = real(self, key, *args, **kwargs)
        watch.note(key)
        return sale

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Book, "sell", sell)
        yield watch
