"""The shop that random acts happen in, and what they are drawn from: all of it from one seed."""

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from rewards.catalog.model import Denomination, Product, ShelfKey
from rewards.inventory import service as inventory
from rewards.inventory.model import BatchSource, NewUnit, UnitState
from rewards.orders.decide import PlaceAsk
from rewards.orders.model import OnPartial
from rewards.pricing import service as pricing
from rewards.pricing.model_rates import NewRate
from tests.shop import Shop
from tests.sim.oracle import ENDLESS, Oracle, Unit, Wallet

# Small tiers, so that every kind of order is common: 1-3, 4-8, 9 and more.
CHOSEN = {"request_quantity_max": 3, "filled_quantity_max": 8, "bulk_units_max": 60}
RATES = {
    ("EUR", "USD"): Decimal("1.0837"),
    ("USD", "EUR"): Decimal("0.9151"),
    ("JPY", "USD"): Decimal("0.006712"),
    ("KWD", "USD"): Decimal("3.25"),
}
# Nobody has set a rate for the pound.
CLIENTS = (("USD", "EUR"), ("USD", "JPY", "KWD"), ("GBP", "USD"))
PRODUCTS: dict[int, dict[str, object]] = {
    6: {"pool_target": 30},
    8: {
        "realtime": True,
        "pool_target": 15,
        "vendor_discount_percent": None,
        "denominations": (Denomination(1000, 1000),),
    },
    15: {
        "currency": "EUR",
        "tax_percent": Decimal(18),
        "vendor_discount_percent": Decimal("3.5"),
        "handling_fee_minor": 33,
        "minimum_life_days": 2,
        "denominations": (Denomination(2000, 2000),),
    },
    21: {"currency": "JPY", "handling_fee_minor": 7, "denominations": (Denomination(999, 999),)},
    22: {
        "currency": "KWD",
        "tax_percent": Decimal(5),
        "handling_fee_minor": 251,
        "denominations": (Denomination(5005, 5005),),
    },
}
FUNDS_MINOR = 60_000


def seeds(count: int, long: int) -> list[object]:
    """`count` seeds for every day and `long` more; REWARDS_SIM_SEED=n plays that one alone."""
    given = os.environ.get("REWARDS_SIM_SEED")
    if given:
        return [int(given)]
    full = [pytest.param(100 + n, marks=pytest.mark.long) for n in range(1, long + 1)]
    return [*range(1, count + 1), *full]


@dataclass
class Market:
    """A shop, the test's own copy of it, and dice."""

    shop: Shop
    oracle: Oracle
    dice: random.Random
    asked: list[PlaceAsk] = field(default_factory=list)
    serial: int = 0

    @property
    def now(self) -> datetime:
        return self.shop.now

    def fresh(self, prefix: str) -> str:
        self.serial += 1
        return f"{prefix}-{self.serial:06d}"

    def chance(self, percent: int) -> bool:
        return self.dice.random() * 100 < percent

    def draw_ask(self) -> PlaceAsk:
        """Any order a client could send, now and then one it has sent before."""
        dice = self.dice
        if self.asked and self.chance(12):
            return self._draw_again()
        client = dice.choice(list(self.oracle.conversion_fees))
        product = dice.choice(list(self.oracle.products.values()))
        quantity = dice.choice((1, 1, 1, 2, 2, 3, 3, 4, 5, 8, 9, 12, 25))
        facts: dict[str, object] = {
            "denomination_minor": dice.choice(product.denominations).min_minor,
            "conversion_fee_percent": self.oracle.conversion_fees[client],
            "key": self.fresh("key-key") if self.chance(50) else None,
            "ref": self._draw_ref(client) if self.chance(40) else None,
            "wallet_id": self._draw_wallet(client) if self.chance(25) else None,
        }
        if self.chance(25):
            facts["on_partial"] = OnPartial.ALL_OR_NOTHING
        if self.chance(15):
            facts["deliver_by"] = self.now + timedelta(minutes=dice.randint(1, 600))
        ask = self.shop.ask(client, product, quantity, **facts)
        if ask.key_use is not None:
            self.asked.append(ask)
        return ask

    def _draw_again(self) -> PlaceAsk:
        """A key that was used before: the same request, or another body."""
        ask = self.dice.choice(self.asked)
        assert ask.key_use is not None
        if self.chance(25):
            other = replace(ask.key_use, fingerprint=b"another body")
            return replace(ask, key_use=other, quantity=ask.quantity + 1)
        return ask

    def _draw_wallet(self, client: int) -> int:
        """One of the client's own, now and then another's."""
        own = [n for n, wallet in self.oracle.wallets.items() if wallet.client == client]
        return self.dice.choice(own if self.chance(85) else list(self.oracle.wallets))

    def _draw_ref(self, client: int) -> str:
        used = [ref for owner, ref in self.oracle.refs if owner == client]
        return self.dice.choice(used) if used and self.chance(20) else self.fresh("ref")

    def draw_stock(self, count: int) -> list[NewUnit]:
        """New units of random shelves, some with codes that are there already."""
        made = []
        for _ in range(count):
            product = self.dice.choice(list(self.oracle.products.values()))
            shelf = ShelfKey(
                product.id, self.dice.choice(product.denominations).min_minor, product.currency
            )
            end = None
            if self.chance(80):
                end = self.now + timedelta(minutes=self.dice.randint(1, 20_000))
            old = [u.fields for u in self.oracle.units.values() if u.shelf == shelf]
            fields = self.dice.choice(old) if old and self.chance(4) else self.draw_code(product)
            made.append(NewUnit(shelf=shelf, fields=fields, expires_at=end))
        return made

    def draw_code(self, product: Product) -> dict[str, str]:
        code = self.fresh(f"CANARY-SIM-{product.id}")
        return {name: f"{code}-{name}" for name in product.voucher_fields}

    async def open_batch(self) -> int:
        async with self.shop.parts.db.transaction() as tx:
            batch = await inventory.open_batch(tx, BatchSource.SANDBOX, "sim", self.now)
        self.oracle.batches[batch] = "OPEN"
        return batch

    async def add(
        self, batch: int, units: Sequence[NewUnit], *, loaded: bool, now: datetime
    ) -> list[object]:
        """Into the stock and into the copy; what the inventory answered."""
        parts = self.shop.parts

        async def work(tx: object) -> list[object]:
            state = UnitState.AVAILABLE
            return list(
                await inventory.add_units(tx, parts.vault, batch, units, state, now, loaded=loaded)
            )

        answers = await parts.db.run(work)
        for unit, answer in zip(units, answers, strict=True):
            if isinstance(answer, int):
                end = unit.expires_at or ENDLESS
                copy = Unit(answer, unit.shelf, end, batch, unit.fields, loaded=loaded)
                self.oracle.units[answer] = copy
        return answers


async def open_market(shop: Shop, seed: int, funds_minor: int = FUNDS_MINOR) -> Market:
    """Clients with money, products, rates, and a first delivery of stock."""
    settings = shop.parts.settings
    oracle = Oracle(
        settings.bulk_units_max,
        RATES,
        settings.default_discount_percent,
    )
    market = Market(shop, oracle, random.Random(seed))
    async with shop.parts.db.transaction() as tx:
        new = [NewRate(a, b, rate, "test", shop.now) for (a, b), rate in RATES.items()]
        await pricing.set_rates(tx, new, shop.now)
    for product_id, facts in PRODUCTS.items():
        oracle.products[product_id] = await shop.product(product_id, **facts)
    for number, currencies in enumerate(CLIENTS):
        client = await shop.client(minor=funds_minor, currencies=currencies)
        oracle.conversion_fees[client] = Decimal("1.5") * number
        for wallet in (await shop.wallets(client)).values():
            copy = Wallet(wallet.id, client, wallet.currency, balance=wallet.balance_minor)
            oracle.wallets[wallet.id] = copy
    for _ in range(3):
        batch = await market.open_batch()
        await market.add(batch, market.draw_stock(40), loaded=True, now=shop.now)
    return market
