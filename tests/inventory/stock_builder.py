"""Stock to test with: batches and shelves of units, and a moment at which tests stand still."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from rewards.catalog.model import DeliveryType, Denomination, Product, ShelfKey
from rewards.infra.crypto import Vault
from rewards.infra.db import Database
from rewards.inventory import service
from rewards.inventory.model import NewUnit, UnitState
from rewards.inventory.sql_checks import CHECKS

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
SHELF = ShelfKey(6, 2500, "USD")


class StandingClock:
    def __init__(self, now: datetime = NOW) -> None:
        self.moment = now

    def now(self) -> datetime:
        return self.moment


def product(product_id: int = 6, **changes: Any) -> Product:
    """A product like those of the catalogue: 25.00 and 50.00 to 100.00, code and PIN."""
    known: dict[str, Any] = {
        "id": product_id,
        "revision_id": 1,
        "name": "Test",
        "category_id": 1,
        "country": "US",
        "currency": "USD",
        "exponent": 2,
        "delivery_type": DeliveryType.CODE_WITH_PIN,
        "voucher_fields": ("code", "pin"),
        "denominations": (Denomination(2500, 2500), Denomination(5000, 10000)),
        "created_at": NOW,
    }
    return Product(**(known | changes))


class Shop:
    """A catalogue of a few products."""

    def __init__(self, *products: Product) -> None:
        self.products = {one.id: one for one in products or (product(),)}

    def product(self, product_id: int) -> Product | None:
        return self.products.get(product_id)


class Stock:
    """Builds stock and reads tables back; every code is a canary of its own."""

    def __init__(self, db: Database, vault: Vault) -> None:
        self.db = db
        self.vault = vault
        self.serial = 0
        self.codes: dict[int, dict[str, str]] = {}

    async def batch(self, source: str = "FILE") -> int:
        async with self.db.transaction() as tx:
            batch_id: int = await tx.fetchval(
                "INSERT INTO batches (source, name, state, status_at, created_at, touched_at)"
                " VALUES ($1, 'test', 'DONE', $2, $2, $2) RETURNING id",
                source,
                NOW,
            )
        return batch_id

    def new(self, shelf: ShelfKey = SHELF, days: float | None = None) -> NewUnit:
        self.serial += 1
        end = None if days is None else NOW + timedelta(days=days)
        return NewUnit(shelf, {"code": f"CANARY-{self.serial:06d}", "pin": "0042"}, end)

    async def add(
        self,
        units: Sequence[NewUnit],
        state: UnitState = UnitState.AVAILABLE,
        *,
        loaded: bool = True,
        batch_id: int | None = None,
    ) -> list[int]:
        batch_id = batch_id or await self.batch("SANDBOX")
        loaded = loaded and state is UnitState.AVAILABLE
        async with self.db.transaction() as tx:
            added = await service.add_units(
                tx, self.vault, batch_id, units, state, NOW, loaded=loaded
            )
        ids = [unit_id for unit_id in added if isinstance(unit_id, int)]
        assert len(ids) == len(units)
        self.codes |= {unit_id: dict(u.fields) for unit_id, u in zip(ids, units, strict=True)}
        return ids

    async def fill(
        self, count: int, shelf: ShelfKey = SHELF, days: float | None = 100
    ) -> list[int]:
        return await self.add([self.new(shelf, days) for _ in range(count)])

    async def states(self, unit_ids: Sequence[int]) -> list[str]:
        async with self.db.connection() as connection:
            units = await service.read_units(connection, unit_ids)
        return [unit.state if unit else "-" for unit in units]

    async def breaches(self) -> dict[str, int]:
        """Every invariant of the slice that does not hold, and how often."""
        async with self.db.connection() as connection:
            found = {name: len(await connection.fetch(check)) for name, check in CHECKS.items()}
        return {name: count for name, count in found.items() if count}

    async def dump(self) -> list[object]:
        """Everything the slice stores, to see that nothing changed."""
        tables = ("batches", "batch_rejects", "units", "shelf", "blocked_units")
        async with self.db.connection() as connection:
            return [await connection.fetch(f"SELECT * FROM {t} ORDER BY 1") for t in tables]
