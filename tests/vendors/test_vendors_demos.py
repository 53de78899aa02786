"""Every adapter that is registered can be tried in the sandbox, and says what it can do."""

from uuid import uuid4

import pytest

from rewards.catalog.model import ProductType
from rewards.core.clock import SystemClock
from rewards.sandbox.products import FAULTS, PRODUCTS
from rewards.sandbox.vendors import DEMOS, Demo, sku_of
from rewards.vendors.account import check_config, check_secrets
from rewards.vendors.asking import is_sound
from rewards.vendors.building import check_build
from rewards.vendors.model import Accepted, Delivered, Line, Refused
from rewards.vendors.registry import ADAPTERS
from tests.vendors.conftest import Open

MOBILE = {"mobile_country_code": "+91", "mobile_number": "9876543210"}


def test_every_product_can_be_bought_from_somebody() -> None:
    for stocked in PRODUCTS:
        assert any(demo.sells(stocked.product) for demo in DEMOS), stocked.product.name


def test_every_adapter_has_its_place_in_the_sandbox() -> None:
    """A `Demo` in sandbox/vendors.py: how its simulator is opened, and with which account."""
    assert [demo.adapter for demo in DEMOS] == list(ADAPTERS)


@pytest.mark.parametrize("demo", DEMOS, ids=lambda demo: demo.adapter)
async def test_the_sandbox_can_buy_from_it(demo: Demo, stand: Open) -> None:
    kind = ADAPTERS[demo.adapter]
    check_config(kind, demo.config_at("https://x"), loopback=False)
    check_secrets(kind, demo.secrets)
    check_build(kind, demo.config_at("https://x"), demo.secrets)
    simulator = demo.open(SystemClock())
    at = await stand(demo.adapter, simulator, demo.config, demo.secrets, path=demo.path)
    # None where they differ from account to account.
    assert kind.capabilities in (None, at.vendor.capabilities)
    if at.vendor.capabilities.balance:
        assert await at.vendor.balances()
    offers = {offer.sku: offer async for offer in at.vendor.catalogue()}
    sold = [stocked.product for stocked in PRODUCTS if demo.sells(stocked.product)]
    assert sold
    assert offers.keys() == {*map(sku_of, sold), *(other.sku for other in demo.products)}
    assert all(map(is_sound, offers.values()))
    # What its catalogue says is what keeps an order from being placed.
    for product in sold:
        said = [
            offers[sku_of(product)].why_not(each.min_minor, product.currency)
            for each in product.denominations
        ]
        assert not any(said), (product.name, said)
    wanted = [
        next((each for each in sold if each.type is kind and each.id not in FAULTS), None)
        for kind in demo.types
    ]
    for product in wanted:
        assert product, "every type it is said to sell"
        mobile = None if product.type is ProductType.VOUCHER else MOBILE
        face_minor = product.denominations[0].min_minor
        line = Line(sku_of(product), face_minor, product.currency, 1, mobile)
        outcome = await at.vendor.place(at.vendor.key(uuid4()), line)
        assert isinstance(outcome, Accepted | Delivered), outcome
    assert len(simulator.book.sales) == len(wanted)
    for product in sold:
        fault = FAULTS.get(product.id or 0)
        if fault and fault in ("OUT_OF_STOCK", "NO_BALANCE"):
            line = Line(sku_of(product), product.denominations[0].min_minor, product.currency, 1)
            assert isinstance(await at.vendor.place(at.vendor.key(uuid4()), line), Refused)
