"""Vendors of the sandbox: a simulator for each adapter, an account with it, and our products."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from rewards.catalog import service as catalog
from rewards.catalog.model import NewProduct, ProductType
from rewards.core.actor import SYSTEM
from rewards.core.clock import Clock
from rewards.core.page import PageAsk
from rewards.infra.crypto import Vault
from rewards.infra.db import Tx
from rewards.sandbox.products import FAULTS, PRODUCTS
from rewards.vendors import service as vendors
from rewards.vendors.account import AccountChange, NewAccount
from rewards.vendors.cipher import CbcFixedIv
from rewards.vendors.kept import Mapped
from rewards.vendors.simulators.bamboo import SANDBOX_ACCOUNT, BambooSimulator
from rewards.vendors.simulators.book import Book, SimClock, SimProduct
from rewards.vendors.simulators.ezpin import BASE as EZPIN_PATH
from rewards.vendors.simulators.ezpin import EzPinSimulator
from rewards.vendors.simulators.faults import Fault
from rewards.vendors.simulators.pinelabs import PineLabsSimulator
from rewards.vendors.simulators.pinelabs_gate import Partner
from rewards.vendors.simulators.pull import Login
from rewards.vendors.simulators.reloadly import SenderBook
from rewards.vendors.simulators.reloadly_airtime import PRODUCTS as OPERATORS
from rewards.vendors.simulators.reloadly_airtime import ReloadlyAirtimeSimulator
from rewards.vendors.simulators.reloadly_giftcards import ReloadlyGiftcardsSimulator
from rewards.vendors.simulators.sandbox import SandboxSimulator
from rewards.vendors.simulators.serving import Simulator
from rewards.vendors.simulators.valuedesign import ValueDesignSimulator
from rewards.vendors.simulators.vouchagram import VouchagramSimulator, VoucherKartSimulator

DISCOUNT_PERCENT = Decimal(3)
PRIORITY_STEP = 10


@dataclass(frozen=True, slots=True)
class Demo:
    """How an adapter and its simulator meet where everything is made up.

    `path` follows the simulator's address in `base_url`. `types` and `currencies` of our products
    that it sells; no currencies for all. `skips`: faults that have no place on its wire.
    `calls_back`: the account takes a `callback_url`. `products`: what it sells besides ours.
    """

    adapter: str
    simulator: Callable[[SimClock, Sequence[SimProduct]], Simulator]
    secrets: Mapping[str, str] = field(repr=False)
    config: Mapping[str, str] = field(default_factory=dict)
    path: str = ""
    types: frozenset[ProductType] = frozenset({ProductType.VOUCHER})
    currencies: frozenset[str] = frozenset()
    skips: frozenset[Fault] = frozenset()
    calls_back: bool = False
    products: Sequence[SimProduct] = ()

    def sells(self, product: NewProduct) -> bool:
        return (
            product.type in self.types
            and (not self.currencies or product.currency in self.currencies)
            and FAULTS.get(product.id or 0) not in self.skips
        )

    def open(self, clock: Clock) -> Simulator:
        """The simulator with a fresh book of all it sells."""
        ours = [_sold(stocked.product) for stocked in PRODUCTS if self.sells(stocked.product)]
        return self.simulator(SimClock(clock.now), [*ours, *self.products])

    def config_at(self, url: str) -> dict[str, str]:
        """The account's settings when the simulator listens there; `{url}` in one stands for it."""
        told = {name: value.replace("{url}", url) for name, value in self.config.items()}
        return {"base_url": url + self.path, **told}


def _booked(open_with: Callable[[Book], Simulator]) -> Callable[..., Simulator]:
    return lambda clock, products: open_with(Book(clock, products))


def _giftcards(clock: SimClock, products: Sequence[SimProduct]) -> Simulator:
    book = SenderBook(clock, products)
    return ReloadlyGiftcardsSimulator(book, client_id=CLIENT, client_secret=SECRET)


def _airtime(clock: SimClock, products: Sequence[SimProduct]) -> Simulator:
    book = SenderBook(clock, products)
    return ReloadlyAirtimeSimulator(book, client_id=CLIENT, client_secret=SECRET)


CLIENT, SECRET, KEY, IV = "sandbox-client", "sandbox-secret", "k" * 32, "0123456789abcdef"
USD, INR = frozenset({"USD"}), frozenset({"INR"})
_PARTNER = Partner()
_RELOADLY = {"client_id": CLIENT, "client_secret": SECRET, "webhook_secret": "signing"}
_PULL = {"username": CLIENT, "password": SECRET, "key": KEY, "iv": IV}
_LOGIN = Login(CLIENT, SECRET, CbcFixedIv(KEY.encode(), IV.encode()))
BUYER_EMAIL = "buyer@example.com"
_BUYER = {
    "firstname": "Purchasing",
    "email": BUYER_EMAIL,
    "telephone": "+919999999999",
    "line1": "1 Example Road",
    "city": "Bengaluru",
    "region": "Karnataka",
    "country": "IN",
    "postcode": "560001",
}
# One for each adapter; the first is asked first.
DEMOS = (
    Demo(
        "sandbox",
        _booked(SandboxSimulator),
        {"api_key": "sandbox-vendor-key"},
        types=frozenset(ProductType),
        calls_back=True,
    ),
    Demo(
        "bamboo",
        _booked(lambda book: BambooSimulator(book, CLIENT, SECRET)),
        {"client_id": CLIENT, "client_secret": SECRET},
        {"account_id": str(SANDBOX_ACCOUNT)},
        currencies=USD,
    ),
    Demo(
        "ezpin",
        _booked(lambda book: EzPinSimulator(book, CLIENT, SECRET)),
        {"client_id": CLIENT, "secret_key": SECRET},
        path=EZPIN_PATH,
        currencies=USD,
        skips=frozenset({Fault.PARTIAL}),
    ),
    Demo(
        "pinelabs",
        _booked(PineLabsSimulator),
        {"client_secret": _PARTNER.client_secret, "password": _PARTNER.password},
        {"client_id": _PARTNER.client_id, "username": _PARTNER.username, **_BUYER},
        currencies=INR,
    ),
    Demo(
        "reloadly_giftcards",
        _giftcards,
        _RELOADLY,
        {"auth_url": "{url}"},
        currencies=USD,
        skips=frozenset({Fault.PARTIAL, Fault.PRICE_DRIFT}),
    ),
    Demo(
        "reloadly_airtime",
        _airtime,
        _RELOADLY,
        {"auth_url": "{url}"},
        types=frozenset({ProductType.MOBILE_TOPUP}),
        products=OPERATORS,
    ),
    Demo(
        "voucherkart",
        _booked(lambda book: VoucherKartSimulator(book, _LOGIN)),
        _PULL,
        path="/API/v1",
        currencies=INR,
    ),
    Demo(
        "vouchagram",
        _booked(lambda book: VouchagramSimulator(book, _LOGIN)),
        _PULL,
        path="/API/v1",
        currencies=INR,
    ),
    Demo(
        "valuedesign",
        _booked(lambda book: ValueDesignSimulator(book, _LOGIN)),
        _PULL,
        {"distributor_id": _LOGIN.distributor_id, "email": BUYER_EMAIL, "mobile_no": "9990001112"},
        path="/distributor",
        currencies=INR,
    ),
)


def demo_of(adapter: str) -> Demo | None:
    """How this adapter's simulator is opened; None for one that has none."""
    return next((demo for demo in DEMOS if demo.adapter == adapter), None)


def sku_of(product: NewProduct) -> str:
    """Vendors here number their products as we do, so that a person finds their way."""
    return str(product.id)


def _sold(product: NewProduct) -> SimProduct:
    lows, highs = zip(
        *((each.min_minor, each.max_minor) for each in product.denominations), strict=True
    )
    return SimProduct(
        sku=sku_of(product),
        name=product.name,
        currency=product.currency,
        min_minor=min(lows),
        max_minor=max(highs),
        fixed_minor=tuple(lows) if lows == highs else (),
        discount_percent=DISCOUNT_PERCENT,
        fault=FAULTS.get(product.id or 0),
    )


async def lay_out(
    tx: Tx,
    vault: Vault,
    simulators: Mapping[str, str],
    callback_base: str,
    at: datetime,
) -> dict[str, int]:
    """An account for each adapter in `simulators` (to its address); account ids by adapter.

    What an earlier start made is pointed at where the simulators listen now, and what staff have
    changed of a mapping stays. Without `callback_base` no simulator calls back.
    """
    made: dict[str, int] = {}
    products = await _products(tx, at)
    for turn, demo in enumerate(DEMOS):
        if demo.adapter in simulators:
            config = demo.config_at(simulators[demo.adapter])
            vendor_id = await _account(tx, vault, demo, config, callback_base, at)
            await _map(tx, demo, vendor_id, products, (turn + 1) * PRIORITY_STEP, at)
            made[demo.adapter] = vendor_id
    await vendors.enqueue_syncs(tx, list(made.values()))
    return made


async def _products(tx: Tx, at: datetime) -> list[NewProduct]:
    """What there is to map; data of an earlier version gets the products that it lacks."""
    wanted = [stocked.product for stocked in PRODUCTS]
    there = await catalog.existing(tx, [product.id or 0 for product in wanted])
    fresh = [each for each in wanted if each.id not in there]
    if fresh:
        await catalog.add_products(tx, fresh, at)
    return [each for each in wanted if each.id in there] + fresh


async def _account(
    tx: Tx,
    vault: Vault,
    demo: Demo,
    config: Mapping[str, str],
    callback_base: str,
    at: datetime,
) -> int:
    name = f"{demo.adapter} simulator"
    found = await vendors.find_by_name(tx, name)
    if found is None:
        new = NewAccount(name, demo.adapter, config, demo.secrets)
        vendor_id = (await vendors.create(tx, vault, new, SYSTEM, at, loopback=True)).id
    else:
        vendor_id = found.account.id
    wanted = dict(config)
    if demo.calls_back and callback_base:
        wanted["callback_url"] = f"{callback_base}/vendors/{vendor_id}/callback"
    if found is None or found.account.config != wanted:
        change = AccountChange(config=wanted, secrets=demo.secrets)
        await vendors.change(tx, vault, vendor_id, change, SYSTEM, at, loopback=True)
    return vendor_id


async def _map(
    tx: Tx,
    demo: Demo,
    vendor_id: int,
    products: Sequence[NewProduct],
    priority: int,
    at: datetime,
) -> None:
    page = await vendors.list_products(tx, vendor_id, PageAsk(1, len(PRODUCTS)))
    mapped = {each.product_id for each in page.items}
    for product in products:
        number = product.id or 0
        if number not in mapped and demo.sells(product):
            terms = Mapped(vendor_id, number, sku_of(product), DISCOUNT_PERCENT, priority, True)
            await vendors.set_product(tx, terms, SYSTEM, at)
