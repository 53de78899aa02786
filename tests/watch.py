"""Watches every simulated vendor of a test session: who was to sell what nobody wanted (T36).

Seen is every request that buys, as it comes in: also one that is refused for whatever reason, or
that fails before the vendor's book hears of it. A sale was asked for when its key stands in a
purchase that the trail ascribes to a person of the staff, or to us for a product that is flagged
ALLOW_AUTO_VENDOR_FULFILL; or when the test itself is the one who asks, and says so with the fixture
`buys_by_hand`. Simulators that a child process serves (`rewards sandbox`, `rewards vendors
simulate`) say in its log what they were asked to sell, which is read here; who asked says the
database that the child worked on, by the fixture `dsn` or `sandbox_home`.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest

from rewards.vendors.simulators.book import Book
from rewards.vendors.simulators.serving import SALE_ASKED, Simulator
from tests import processes
from tests.processes import Process

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

NO_KEY = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """One sale that a simulator was asked for, and the test that it happened in."""

    key: str
    test: str


@dataclass
class Watch:
    """What simulators were asked to sell, and nobody is known to have wanted (yet)."""

    children: Iterable[Process] = ()
    open: list[Asked] = field(default_factory=list)
    by_hand: set[str] = field(default_factory=set)
    heard: set[str] = field(default_factory=set)
    # How much of each child's log was read, in bytes.
    read: dict[Process, int] = field(default_factory=dict)

    def note(self, key: str | None, test: str) -> None:
        """Somebody wants to buy; None: under no key, which nobody can have asked for."""
        self.heard.add(key or NO_KEY)
        if test not in self.by_hand:
            self.open.append(Asked(key or NO_KEY, test))

    def listen(self) -> None:
        """Note what the simulators in child processes have said since the last time."""
        for child in self.children:
            start = self.read.get(child, 0)
            said = child.said_since(start)
            whole = said[: said.rfind(b"\n") + 1]
            self.read[child] = start + len(whole)
            for line in whole.splitlines():
                if SALE_ASKED.encode() in line:
                    self.note(json.loads(line)["key"], child.test)

    async def look(self, dsn: str) -> None:
        """Strike off what this database, which is about to go, says was asked for."""
        self.listen()
        if not self.open:
            return
        connection = await asyncpg.connect(dsn)
        try:
            # No text of the database holds a NUL; a vendor's nonsense may.
            keys = [each.key for each in self.open if "\0" not in each.key]
            rows = await connection.fetch(ASKED, keys)
        except asyncpg.UndefinedTableError:
            # A database of a test about databases.
            rows = []
        finally:
            await connection.close()
        asked = {row["key"] for row in rows}
        self.open = [each for each in self.open if each.key not in asked]

    def complaint(self) -> str:
        """What to say at the end; nothing when all was asked for."""
        self.listen()
        tests = sorted({each.test for each in self.open})
        lines = [f"{len(self.open)} sales that nobody asked for, in:", *tests]
        return "\n  ".join(lines) if tests else ""


@contextmanager
def watching() -> Iterator[Watch]:
    """Stand at every simulator's door, look over every book's shoulder, read every child's log."""
    watch = Watch(processes.started)
    real = Book.sell

    def hear(_self: Simulator, key: str | None) -> None:
        watch.note(key, processes.current_test())

    def sell(self: Book, key: str, *args: Any, **kwargs: Any) -> Any:
        if key not in watch.heard:
            # It came in by no door: the test wrote it into the book.
            watch.note(key, processes.current_test())
        return real(self, key, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Simulator, "hear", hear)
        patch.setattr(Book, "sell", sell)
        yield watch
