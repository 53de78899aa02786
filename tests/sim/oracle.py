"""What the shop must answer, worked out a second time in plain Python from spec.md §3, §4 and §6.

Nothing here calls the decisions it is compared with: prices are fractions, refunds are a share of
the debit, the pool is a sorted list. Refusals are their codes.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import floor

from rewards.catalog.model import Product, ShelfKey
from rewards.core.currency import exponent_of
from rewards.orders.decide import PlaceAsk

ENDLESS = datetime.max.replace(tzinfo=UTC)
RATE_STEPS = 10**12
OPEN = ("PENDING·", "PARTIALLY_DELIVERED·")
FILLABLE = ("PENDING·INITIAL", "PENDING·PROCESSING", "PENDING·VENDOR_ORDER_PENDING")
PARTIAL = "PARTIALLY_DELIVERED·PARTIAL"


@dataclass
class Unit:
    id: int
    shelf: ShelfKey
    end: datetime
    batch: int
    fields: Mapping[str, str]
    state: str = "AVAILABLE"
    loaded: bool = False
    reason: str | None = None


@dataclass
class Wallet:
    id: int
    client: int
    currency: str
    status: str = "ACTIVE"
    balance: int = 0
    # (kind, reference) to the amount and the balance it left.
    booked: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)

    @property
    def active(self) -> bool:
        return self.status == "ACTIVE"


@dataclass
class Line:
    """An item."""

    status: str = "PENDING"
    unit: int | None = None


@dataclass
class Sale:
    """An order as it must stand."""

    client: int
    wallet: Wallet
    ref: str | None
    price: tuple[int, int, int, int]
    shelf: ShelfKey
    quantity: int
    all_or_nothing: bool
    deliver_by: datetime | None
    state: str
    bulk: bool
    lines: list[Line]
    id: int = 0
    cancelled: int = 0
    refunded: int = 0
    owed: int = 0

    @property
    def amount(self) -> int:
        return self.price[0]

    @property
    def open(self) -> bool:
        return self.state.startswith(OPEN)

    @property
    def fulfilled(self) -> int:
        return sum(line.unit is not None for line in self.lines)

    @property
    def revoked(self) -> int:
        return sum(line.status == "REVOKED" for line in self.lines)

    @property
    def missing(self) -> int:
        return self.quantity - self.fulfilled - self.cancelled

    def facts(self) -> tuple[object, ...]:
        """What an answer and a row must say."""
        return (
            self.id, self.client, self.wallet.id, self.wallet.currency, self.state, *self.price,
            self.quantity, len(self.lines), self.fulfilled, self.cancelled, self.revoked,
            self.refunded, self.owed,
        )  # fmt: skip

    def items(self) -> list[tuple[int, str, int | None]]:
        return [(n, line.status, line.unit) for n, line in enumerate(self.lines, start=1)]


@dataclass(frozen=True)
class First:
    """What a repeated key hears."""

    sale: Sale
    fingerprint: bytes
    facts: tuple[object, ...]
    items: tuple[tuple[int, str, int | None], ...]


@dataclass(frozen=True)
class Duplicate:
    twin: Sale


@dataclass(frozen=True)
class Replay:
    first: First


@dataclass
class Oracle:
    """The whole shop: change it by the same acts, in the same order."""

    bulk_units_max: int
    # Units of the second currency for one of the first, as they were set.
    rates: Mapping[tuple[str, str], Decimal]
    default_percent: Decimal
    products: dict[int, Product] = field(default_factory=dict)
    conversion_fees: dict[int, Decimal] = field(default_factory=dict)
    discounts: dict[tuple[int, int], Decimal] = field(default_factory=dict)
    wallets: dict[int, Wallet] = field(default_factory=dict)
    units: dict[int, Unit] = field(default_factory=dict)
    batches: dict[int, str] = field(default_factory=dict)
    sales: dict[int, Sale] = field(default_factory=dict)
    keys: dict[tuple[int, str], First] = field(default_factory=dict)
    refs: dict[tuple[int, str], Sale] = field(default_factory=dict)

    # Prices

    def rate(self, source: str, target: str) -> Fraction | None:
        """Direct, else the inverse, else through the dollar; derived ones have twelve decimals."""
        if (source, target) in self.rates:
            return Fraction(self.rates[source, target])
        said = {pair: Fraction(rate) for pair, rate in self.rates.items()}
        legs = {(b, a): 1 / rate for (a, b), rate in said.items()} | said
        exact = legs.get((source, target))
        if exact is None and (source, "USD") in legs and ("USD", target) in legs:
            exact = legs[source, "USD"] * legs["USD", target]
        return None if exact is None else Fraction(half_up(exact * RATE_STEPS), RATE_STEPS)

    def price(self, ask: PlaceAsk, currency: str) -> tuple[int, int, int, int] | None:
        """Amount, discount, fees and tax in the wallet's currency (D11), or None without a rate."""
        product = self.products[ask.product.id]
        factor, conversion = Fraction(1), Decimal(0)
        if currency != product.currency:
            rate = self.rate(product.currency, currency)
            if rate is None:
                return None
            factor = rate * Fraction(10) ** (exponent_of(currency) - product.exponent)
            conversion = self.conversion_fees[ask.client_id]
        vendors = product.vendor_discount_percent
        usual = self.default_percent if vendors is None else vendors
        percent = self.discounts.get((ask.client_id, product.id), usual)
        total = half_up(ask.denomination_minor * ask.quantity * factor)
        discount = half_up(total * Fraction(percent) / 100)
        fees = half_up(product.handling_fee_minor * ask.quantity * factor)
        fees += half_up((total - discount) * Fraction(conversion) / 100)
        tax = half_up((total - discount + fees) * Fraction(product.tax_percent) / 100)
        return total - discount + fees + tax, discount, fees, tax

    # Placing

    def place(self, ask: PlaceAsk, now: datetime) -> str | Duplicate | Replay | Sale:
        use = ask.key_use
        if use is not None and (first := self.keys.get((use.client_id, use.key))) is not None:
            same = first.fingerprint == use.fingerprint
            return Replay(first) if same else "IDEMPOTENCY_KEY_REUSED"
        sale = self._grant(ask, now)
        if isinstance(sale, Sale):
            if sale.ref is not None:
                self.refs[sale.client, sale.ref] = sale
            if ask.tier == "REQUEST":
                self._look(sale, now)
        return sale

    def placed(self, ask: PlaceAsk, sale: Sale, order_id: int) -> None:
        """The order got this id; its first answer is kept under its key."""
        assert order_id not in self.sales, "an id is new"
        sale.id = order_id
        self.sales[order_id] = sale
        if ask.key_use is not None:
            first = First(sale, ask.key_use.fingerprint, sale.facts(), tuple(sale.items()))
            self.keys[ask.client_id, ask.key_use.key] = first

    def _grant(self, ask: PlaceAsk, now: datetime) -> str | Duplicate | Sale:
        mine = [w for w in self.wallets.values() if w.client == ask.client_id]
        if ask.wallet_id is not None:
            mine = [wallet for wallet in mine if wallet.id == ask.wallet_id]
            if not mine:
                return "WALLET_NOT_FOUND"
        if ask.ref is not None and (twin := self.refs.get((ask.client_id, ask.ref))) is not None:
            return Duplicate(twin)
        if ask.wallet_id is not None and not mine[0].active:
            return "WALLET_NOT_ACTIVE"
        own = ask.product.currency
        for wallet in sorted(mine, key=lambda w: (w.currency != own, w.id)):
            price = self.price(ask, wallet.currency)
            if price is None and ask.wallet_id is not None:
                return "NO_FX_RATE"
            if wallet.active and price is not None and price[0] <= wallet.balance:
                wallet.balance -= price[0]
                return self._draw_up(ask, wallet, price)
        return "INSUFFICIENT_FUNDS"

    def _draw_up(self, ask: PlaceAsk, wallet: Wallet, price: tuple[int, int, int, int]) -> Sale:
        bulk = ask.tier == "BULK"
        return Sale(
            client=ask.client_id,
            wallet=wallet,
            ref=ask.ref,
            price=price,
            shelf=ShelfKey(ask.product.id, ask.denomination_minor, ask.product.currency),
            quantity=ask.quantity,
            all_or_nothing=ask.on_partial == "ALL_OR_NOTHING",
            deliver_by=ask.deliver_by,
            state="PENDING·INITIAL" if bulk else "PENDING·PROCESSING",
            bulk=bulk,
            lines=[] if bulk else [Line() for _ in range(ask.quantity)],
        )

    # Filling

    def pool(self, shelf: ShelfKey, now: datetime) -> list[Unit]:
        """What is for sale, the first to expire first."""
        sound = [u for u in self.on_shelf(shelf, loaded=True) if u.end > now]
        return sorted(sound, key=lambda u: (u.end, u.id))

    def on_shelf(self, shelf: ShelfKey, *, loaded: bool) -> list[Unit]:
        return [
            u for u in self.units.values()
            if u.state == "AVAILABLE" and u.loaded is loaded and u.shelf == shelf
        ]  # fmt: skip

    def _look(self, sale: Sale, now: datetime) -> None:
        """Take what the pool has for this order."""
        hand = self.pool(sale.shelf, now)[: sale.missing]
        if sale.all_or_nothing and len(hand) < sale.missing:
            hand = []
        waiting = [line for line in sale.lines if line.status == "PENDING"]
        for line, unit in zip(waiting, hand, strict=False):
            unit.state, unit.loaded = "DELIVERED", False
            line.status, line.unit = "DELIVERED", unit.id
        if hand:
            sale.state = PARTIAL if sale.missing else "DELIVERED·COMPLETED"
        elif sale.state in FILLABLE:
            sale.state = "PENDING·VENDOR_ORDER_PENDING"

    def retry(self, order_ids: Sequence[int], now: datetime) -> list[str | Sale]:
        """Bulk orders over their client's cap first, then the pool, each in order of asking."""
        answers: list[str | Sale] = []
        fill: list[Sale] = []
        wanted: dict[int, int] = {}
        for order_id in order_ids:
            sale = self.sales.get(order_id)
            if sale is None:
                answers.append("ORDER_NOT_FOUND")
            elif sale.state not in (*FILLABLE, PARTIAL):
                answers.append("ORDER_NOT_RETRYABLE")
            elif sale.deliver_by is not None and sale.deliver_by <= now:
                answers.append("DELIVER_BY_PASSED")
            else:
                answers.append(sale)
                units = self._open_bulk_units(sale.client) + wanted.get(sale.client, 0)
                if sale.state != "PENDING·INITIAL":
                    fill.append(sale)
                elif units + sale.quantity > self.bulk_units_max:
                    fill.append(sale)
                    sale.state = "over"
                else:
                    wanted[sale.client] = wanted.get(sale.client, 0) + sale.quantity
                    fill.append(sale)
        for sale in fill:
            if sale.state == "over":
                sale.cancelled = sale.quantity
                self._settle(sale, "BULK_LIMIT_EXCEEDED")
            else:
                sale.lines = sale.lines or [Line() for _ in range(sale.quantity)]
                self._look(sale, now)
        return answers

    def _open_bulk_units(self, client: int) -> int:
        bulk = (s for s in self.sales.values() if s.client == client and s.bulk)
        return sum(sale.missing for sale in bulk if sale.open and sale.lines)

    def processing(self) -> list[int]:
        return [n for n, sale in self.sales.items() if sale.state == "PENDING·PROCESSING"]

    # Closing

    def cancel(self, order_id: int, positions: Sequence[int] | None) -> str | Sale:
        """Whole, or the items at these positions (0 stands for an id that is none of its items)."""
        sale = self.sales.get(order_id)
        if sale is None:
            return "ORDER_NOT_FOUND"
        chosen = self._chosen(sale, positions)
        if isinstance(chosen, str):
            return chosen
        back = len(chosen) if sale.lines else sale.missing
        late = [line for line in chosen if line.status == "DELIVERED"]
        sale.cancelled += back - len(late)
        for line in chosen:
            line.status = "REVOKED" if line in late else "CANCELLED"
            if line.unit is not None:
                self.units[line.unit].state = "REVOKED"
        self._settle(sale, "REFUNDED" if late or sale.missing == 0 else None)
        return sale

    def _chosen(self, sale: Sale, positions: Sequence[int] | None) -> str | list[Line]:
        if sale.state.endswith(("·NOT_REFUNDED", "·BULK_LIMIT_EXCEEDED")):
            return "ORDER_NOT_CANCELLABLE"
        if positions is None:
            if sale.state == "CANCELLED·REFUNDED":
                return "ORDER_NOT_CANCELLABLE"
            return identical(sale.lines, "PENDING" if sale.open else "DELIVERED")
        for position in positions:
            if not 1 <= position <= len(sale.lines):
                return "INVALID_FIELD"
            if sale.lines[position - 1].status not in ("PENDING", "DELIVERED"):
                return "ORDER_NOT_CANCELLABLE"
        chosen = [sale.lines[position - 1] for position in sorted(set(positions))]
        if not chosen or len({line.status for line in chosen}) > 1:
            return "INVALID_FIELD"
        if chosen[0].status == "DELIVERED" and sale.open:
            return "ORDER_NOT_CANCELLABLE"
        return chosen

    def _settle(self, sale: Sale, closed: str | None) -> None:
        """Everything due goes back to a wallet that takes money, or is owed."""
        due = sale.amount * (sale.cancelled + sale.revoked) // sale.quantity
        sale.owed = due - sale.refunded
        if sale.wallet.active:
            sale.wallet.balance += sale.owed
            sale.refunded, sale.owed = due, 0
        if closed is not None:
            sale.state = f"CANCELLED·{'NOT_REFUNDED' if sale.owed else closed}"

    def pass_deadlines(self, now: datetime) -> None:
        for sale in self.sales.values():
            if sale.open and sale.deliver_by is not None and sale.deliver_by <= now:
                self.cancel(sale.id, None)

    def pay_owed(self) -> None:
        for sale in self.sales.values():
            if sale.owed and sale.wallet.active:
                closed = sale.state == "CANCELLED·NOT_REFUNDED"
                self._settle(sale, "REFUNDED" if closed else None)

    # Money

    def book(
        self, wallet: Wallet, kind: str, amount: int, ref: str | None
    ) -> str | tuple[int, bool]:
        """The balance it leaves, and whether it was booked before."""
        if ref is not None and (kind, ref) in wallet.booked:
            before, balance = wallet.booked[kind, ref]
            return (balance, True) if before == amount else "REFERENCE_REUSED"
        if amount == 0 or (amount < 0 and kind == "TOPUP"):
            return "INVALID_FIELD"
        if not wallet.active:
            return f"WALLET_{wallet.status}"
        if wallet.balance + amount < 0:
            return "INSUFFICIENT_FUNDS"
        wallet.balance += amount
        if ref is not None:
            wallet.booked[kind, ref] = (amount, wallet.balance)
        return wallet.balance, False

    # Stock

    def pump(self, now: datetime) -> None:
        """Sweep what ends too soon, then load up to the target, the first to expire first."""
        for shelf in {unit.shelf for unit in self.units.values()}:
            product = self.products[shelf.product_id]
            until = now + timedelta(days=product.minimum_life_days)
            waiting, loaded = (self.on_shelf(shelf, loaded=flag) for flag in (False, True))
            for unit in itertools.chain(waiting, loaded):
                if unit.end <= until:
                    self.block(unit, "EXPIRED" if unit.end <= now else "SHORT_LIFE")
            depth = len(self.pool(shelf, now))
            for unit in sorted(waiting, key=lambda u: (u.end, u.id)):
                if unit.state == "AVAILABLE" and depth < product.pool_target:
                    if self.batches[unit.batch] == "OPEN":
                        unit.loaded = True
                        depth += 1
                    else:
                        self.block(unit, "BATCH")

    def block(self, unit: Unit, reason: str) -> bool:
        won = unit.state == "AVAILABLE"
        if won:
            unit.state, unit.loaded, unit.reason = "BLOCKED", False, reason
        return won

    def unblock(self, unit: Unit) -> bool:
        won = unit.state == "BLOCKED"
        if won:
            unit.state, unit.reason = "AVAILABLE", None
        return won

    def block_batch(self, batch: int, status: str) -> str | int:
        if self.batches[batch] == "RECALLED" and status != "RECALLED":
            return "BATCH_STATE"
        self.batches[batch] = status
        mine = [unit for unit in self.units.values() if unit.batch == batch]
        if status == "OPEN":
            return sum(self.unblock(unit) for unit in mine if unit.reason == "BATCH")
        return sum(self.block(unit, "BATCH") for unit in mine)


def half_up(value: Fraction) -> int:
    return floor(value + Fraction(1, 2))


def identical(lines: Iterable[Line], status: str) -> list[Line]:
    return [line for line in lines if line.status == status]
