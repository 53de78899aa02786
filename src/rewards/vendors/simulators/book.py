"""What a simulated vendor sold, under which key and at what cost: the other side's truth."""

import secrets
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from rewards.vendors.simulators.faults import Fault
from rewards.vendors.throttle import Bucket, Rate

LIFE = timedelta(days=365)
NEVER = timedelta(days=3650)
CODE_BYTES = 10


class Vexed(Exception):
    """The sale is refused; `fault` says why."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault


class SaleState(StrEnum):
    RUNNING = "RUNNING"
    DONE = "DONE"
    PARTIAL = "PARTIAL"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class SimProduct:
    """What the vendor sells. `fixed_minor` empty: any value between. `fault` strikes each sale."""

    sku: str
    name: str
    currency: str
    min_minor: int
    max_minor: int
    fixed_minor: tuple[int, ...] = ()
    stock: int | None = None
    discount_percent: Decimal = Decimal(0)
    fault: Fault | None = None

    def sells(self, face_minor: int) -> bool:
        if self.fixed_minor:
            return face_minor in self.fixed_minor
        return self.min_minor <= face_minor <= self.max_minor


@dataclass(frozen=True, slots=True)
class SoldCard:
    serial: str
    code: str
    pin: str
    face_minor: int
    currency: str
    expires_at: datetime


@dataclass(slots=True)
class Sale:
    key: str
    ref: str
    sku: str
    face_minor: int
    currency: str
    quantity: int
    cost_minor: int
    placed_at: datetime
    ready_at: datetime
    fails: bool
    cards: list[SoldCard]
    # Whatever else the vendor keeps of it, such as a phone number.
    extra: dict[str, str] = field(default_factory=dict)

    def queued(self, now: datetime) -> bool:
        """Whether nobody has begun with it: the first half of its wait."""
        return now < self.placed_at + (self.ready_at - self.placed_at) / 2

    def state(self, now: datetime) -> SaleState:
        if now < self.ready_at:
            return SaleState.RUNNING
        if self.fails:
            return SaleState.FAILED
        return SaleState.DONE if len(self.cards) >= self.quantity else SaleState.PARTIAL


class SimClock:
    """Real time plus what somebody advanced it by."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._ahead = timedelta()

    def now(self) -> datetime:
        return self._now() + self._ahead

    def true_now(self) -> datetime:
        """For what the other side checks by its own clock, such as when a message was signed."""
        return self._now()

    def advance(self, seconds: float) -> None:
        self._ahead += timedelta(seconds=seconds)


class Book:
    """Stock, money and sales of one vendor. A key sells once, whatever is asked."""

    def __init__(
        self,
        clock: SimClock,
        products: Iterable[SimProduct],
        *,
        balance_minor: int = 10**12,
        delay_s: float = 0.0,
    ) -> None:
        self.clock = clock
        self.products = {product.sku: product for product in products}
        self.balance_minor = balance_minor
        self.opening_minor = balance_minor
        self.delay_s = delay_s
        self.sales: dict[str, Sale] = {}
        self.calls: Counter[str] = Counter()
        self._last_code: tuple[str, str] | None = None

    def sell(
        self,
        key: str,
        sku: str,
        face_minor: int,
        quantity: int,
        fault: Fault | None = None,
        extra: dict[str, str] | None = None,
    ) -> Sale:
        """Sell under a new key; the caller has looked whether the key is known. Raises Vexed."""
        assert key not in self.sales, "the wire layer answers a known key"
        product = self.products.get(sku)
        self._refuse(product, face_minor, quantity, fault)
        assert product is not None
        cost_minor = self.cost_minor(product, face_minor, quantity)
        now = self.clock.now()
        delay = NEVER if fault is Fault.NEVER_READY else timedelta(seconds=self.delay_s)
        fails = fault is Fault.LATE_FAILURE
        cards = [] if fails else self._cards(product, face_minor, quantity, fault)
        sale = Sale(
            key,
            secrets.token_hex(6),
            sku,
            face_minor,
            product.currency,
            quantity,
            0 if fails else cost_minor * len(cards) // quantity,
            now,
            now + delay,
            fails,
            cards,
            extra or {},
        )
        self.balance_minor -= sale.cost_minor
        if product.stock is not None:
            self.products[sku] = replace(product, stock=product.stock - len(cards))
        self.sales[key] = sale
        return sale

    def cost_minor(self, product: SimProduct, face_minor: int, quantity: int) -> int:
        return int(face_minor * quantity * (100 - product.discount_percent) / 100)

    def _refuse(
        self, product: SimProduct | None, face_minor: int, quantity: int, fault: Fault | None
    ) -> None:
        refusing = (Fault.OUT_OF_STOCK, Fault.NO_BALANCE, Fault.INACTIVE, Fault.PRICE_DRIFT)
        if fault in refusing:
            raise Vexed(fault)
        if product is None:
            raise Vexed(Fault.INACTIVE)
        if not product.sells(face_minor):
            raise Vexed(Fault.WRONG_VALUE)
        if product.stock is not None and product.stock < quantity:
            raise Vexed(Fault.OUT_OF_STOCK)
        if self.cost_minor(product, face_minor, quantity) > self.balance_minor:
            raise Vexed(Fault.NO_BALANCE)

    def _cards(
        self, product: SimProduct, face_minor: int, quantity: int, fault: Fault | None
    ) -> list[SoldCard]:
        count = {Fault.PARTIAL: max(quantity // 2, 0), Fault.WRONG_COUNT: quantity + 1}
        cards = [
            self._card(product, face_minor) for _ in range(count.get(fault or Fault.SLOW, quantity))
        ]
        if fault is Fault.DUPLICATE_CODE and cards and self._last_code:
            code, pin = self._last_code
            cards[0] = replace(cards[0], code=code, pin=pin)
        elif fault is Fault.WRONG_VALUE and cards:
            cards[0] = replace(cards[0], face_minor=face_minor * 2)
        elif fault is Fault.EXPIRED_CODE and cards:
            cards[0] = replace(cards[0], expires_at=self.clock.now() - timedelta(days=2))
        if cards:
            self._last_code = (cards[-1].code, cards[-1].pin)
        return cards

    def _card(self, product: SimProduct, face_minor: int) -> SoldCard:
        return SoldCard(
            secrets.token_hex(8),
            "SIM" + secrets.token_hex(CODE_BYTES).upper(),
            # Six digits: four are now and then the amount, or "0000", of the same exchange.
            f"{secrets.randbelow(1_000_000):06d}",
            face_minor,
            product.currency,
            self.clock.now() + LIFE,
        )

    def by_ref(self, ref: str) -> Sale | None:
        return next((sale for sale in self.sales.values() if sale.ref == ref), None)

    def limit(self, rate: Rate) -> Bucket:
        """A bucket that fills by the vendor's clock."""
        return Bucket(rate, lambda: self.clock.now().timestamp())

    def facts(self) -> dict[str, object]:
        """The book as JSON takes it: what tests and the reconciliation compare ours with."""
        now = self.clock.now()
        return {
            "opening_minor": self.opening_minor,
            "balance_minor": self.balance_minor,
            "calls": dict(self.calls),
            "sales": [
                {
                    **{k: v for k, v in asdict(sale).items() if k != "cards"},
                    "placed_at": sale.placed_at.isoformat(),
                    "ready_at": sale.ready_at.isoformat(),
                    "state": sale.state(now),
                    "codes": [card.code for card in sale.cards],
                }
                for sale in self.sales.values()
            ],
        }
