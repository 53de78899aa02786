"""Stock ordered ahead through the staff API: what is needed, ordered, agreed to, bought, sold."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rewards.catalog.model import ProductType
from rewards.core.actor import SYSTEM
from rewards.entry import equipment
from rewards.entry.purchasing import purchasing
from rewards.infra.worker import Worker
from rewards.vendors import service as vendors
from rewards.vendors.account import NewAccount
from rewards.vendors.kept import Mapped
from rewards.vendors.simulators.book import SimProduct
from rewards.vendors.simulators.faults import Fault, Scripted
from rewards.vendors.simulators.sandbox import SandboxSimulator
from tests.market import MovedClock
from tests.staff.office import Office, open_office
from tests.vendors.office import simulator

ORDERS, FORECAST = "/stock-orders", "/inventory/forecast"
NO = {"reason": "too dear"}


@dataclass
class Store:
    """An office with one vendor, and the worker that calls it."""

    office: Office
    vendor: SandboxSimulator
    vendor_id: int
    worker: Worker
    clock: MovedClock

    async def ask(self, body: dict[str, Any], status: int = 202, who: str = "operations") -> Any:
        return await self.office.ask(who, "POST", ORDERS, body, status)

    async def look(self, stock_order_id: int) -> Any:
        return await self.office.ask("viewer", "GET", f"{ORDERS}/{stock_order_id}")

    async def forecast(self, query: str = "") -> list[Any]:
        told: list[Any] = await self.office.ask("viewer", "GET", FORECAST + query)
        return told


@pytest.fixture
async def store(dsn: str, tmp_path: Path) -> AsyncIterator[Store]:
    clock = MovedClock()
    made = simulator(SimProduct("AMZ", "Amazon", "USD", 2_500, 5_000, (2_500, 5_000)))
    async with (
        made.serve() as url,
        open_office(
            *(dsn, tmp_path, clock),
            vendor_loopback=True,
            vendor_approval_limit_minor=50_000,
        ) as office,
    ):
        shop, parts = office.shop, office.shop.parts
        await shop.product()
        async with parts.db.transaction() as tx:
            new = NewAccount("acme", "sandbox", {"base_url": url}, {"api_key": "k" * 20})
            account = await vendors.create(
                tx, parts.vault, new, SYSTEM, parts.clock.now(), loopback=True
            )
            mapped = Mapped(
                account.id, 6, "AMZ", shop.parts.settings.default_discount_percent, 1, True
            )
            await vendors.set_product(tx, mapped, SYSTEM, parts.clock.now())
        worker = Worker(dsn, parts.settings)
        context = equipment.Context(parts.settings, dsn, parts.db, parts.clock)
        bought = purchasing(
            *(parts.db, parts.catalog, parts.vault, parts.accounts),
            *(parts.prices, parts.clock, parts.settings),
        )
        equipment.second_persons(bought.restocks)(worker, context)
        equipment.purchases(bought)(worker, context)
        yield Store(office, made, account.id, worker, clock)


def body(**changed: Any) -> dict[str, Any]:
    usual = {"product_id": 6, "denomination": "25.00", "quantity": 4, "reason": "for the holidays"}
    return usual | changed


async def test_needed_ordered_bought_and_no_longer_needed(store: Store) -> None:
    shop = store.office.shop
    product = shop.parts.catalog.product(6)
    assert product is not None
    client = await shop.client(minor=10**7)
    await shop.place_one(shop.ask(client, product, 7))
    [line] = await store.forecast("?days=7&cover=1")
    assert line == {
        "product_id": 6,
        "denomination": 25.00,
        "currency": "USD",
        "demand": 1.00,
        "depth": 0,
        "waiting_orders": 7,
        "on_order": 0,
        "cover_days": 0.0,
        "buy": 8,
        "vendor": "acme",
        "vendor_id": store.vendor_id,
        "cost": 196.00,
        "vendor_stock": None,
        "at_least": False,
    }
    told = await store.ask(body(quantity=8, reference="PO-1"))
    assert (told["state"], told["cost"], told["repeated"]) == ("ORDERED", 196.00, False)
    assert store.vendor.book.calls.total() == 0
    assert [one["on_order"] for one in await store.forecast()] == [8]
    assert await store.worker.drain() == 1
    seen = await store.look(told["stock_order_id"])
    assert (seen["state"], seen["received"], seen["usable"], seen["missing"]) == (
        *("RECEIVED", 8),
        *(8, 0),
    )
    [purchase] = seen["vendor_orders"]
    assert (purchase["purpose"], purchase["order_id"]) == ("STOCK", None)
    assert purchase["stock_order_id"] == told["stock_order_id"]
    assert seen["approval"] is None
    [after] = await store.forecast("?days=7&cover=1")
    assert (after["depth"], after["buy"], after["vendor"]) == (8, 0, None)
    assert await store.forecast("?days=7&cover=1&product_ids=5,6,7") == [after]
    assert await store.forecast("?product_ids=5,7") == []
    again = await store.ask(body(quantity=8, reference="PO-1"))
    assert (again["repeated"], again["state"]) == (True, "RECEIVED")
    assert await store.worker.drain() == 0
    depth = await store.office.ask("viewer", "GET", "/inventory/depth?product_id=6")
    assert [(one["loaded"], one["waiting"]) for one in depth] == [(0, 8)]
    codes = [card.code for sale in store.vendor.book.sales.values() for card in sale.cards]
    assert len(codes) == 8
    everything = str(await shop.everything()) + str(seen)
    assert not [code for code in codes if code in everything]
    assert await shop.broken() == {}


async def test_above_the_limit_finance_agrees_and_then_it_is_bought(store: Store) -> None:
    told = await store.ask(body(quantity=21))
    assert (told["state"], told["second_person"]) == ("WAITING", True)
    assert await store.worker.drain() == 0
    number = told["stock_order_id"]
    approval = (await store.look(number))["approval"]
    assert approval["kind"] == "STOCK_ORDER"
    assert (approval["amount"], approval["currency"]) == (525.00, "USD")
    assert approval["details"]["vendor"] == "acme"
    path = f"/approvals/{approval['approval_id']}/approve"
    assert await store.office.status("operations", "POST", path) == 403
    await store.office.ask("finance", "POST", path)
    # The yes, and what it leads to.
    assert await store.worker.drain() == 2
    seen = await store.look(number)
    assert (seen["state"], seen["usable"]) == ("RECEIVED", 21)
    assert seen["approval"]["state"] == "CARRIED_OUT"
    assert [len(sale.cards) for sale in store.vendor.book.sales.values()] == [21]
    assert await store.office.shop.broken() == {}


async def test_small_orders_of_one_person_within_a_day_are_one_large_one(store: Store) -> None:
    """As money is moved: the limit is no limit if an order can be cut into pieces."""
    office, clock = store.office, store.clock
    assert (await store.ask(body(quantity=12)))["second_person"] is False
    rest = body(denomination="50.00", quantity=4)
    assert (await store.ask(rest | {"quantity": 5}))["state"] == "WAITING"
    [waits] = await office.ask("viewer", "GET", ORDERS + "?state=waiting")
    [approval] = await office.ask("viewer", "GET", "/approvals?kind=stock_order")
    await office.ask("finance", "POST", f"/approvals/{approval['approval_id']}/reject", NO)
    await store.worker.drain()
    assert (await store.look(waits["stock_order_id"]))["state"] == "CALLED_OFF"
    # Exactly the limit: what waited in vain counts for nothing, nor does what another ordered.
    assert (await store.ask(rest))["state"] == "ORDERED"
    await store.worker.drain()
    last = body(quantity=1)
    assert (await store.ask(last, who="admin"))["state"] == "ORDERED"
    await store.worker.drain()
    clock.ahead += timedelta(hours=23)
    assert (await store.ask(last | {"reference": "soon"}))["state"] == "WAITING"
    clock.ahead += timedelta(hours=1, seconds=1)
    assert (await store.ask(rest | {"reference": "later"}))["state"] == "ORDERED"
    assert await office.shop.broken() == {}


async def test_orders_at_the_same_time_do_not_slip_past_the_limit_together(store: Store) -> None:
    bodies = (body(quantity=12), body(denomination="50.00", quantity=6))
    told = await asyncio.gather(*(store.ask(each) for each in bodies))
    assert sorted(each["state"] for each in told) == ["ORDERED", "WAITING"]


async def test_a_no_is_heard(store: Store) -> None:
    told = await store.ask(body(quantity=21))
    approval = (await store.look(told["stock_order_id"]))["approval"]["approval_id"]
    await store.office.ask("admin", "POST", f"/approvals/{approval}/reject", NO)
    assert await store.worker.drain() == 1
    assert (await store.look(told["stock_order_id"]))["state"] == "CALLED_OFF"
    listed = await store.office.ask("viewer", "GET", ORDERS + "?state=called_off&product_id=6")
    assert [one["stock_order_id"] for one in listed] == [told["stock_order_id"]]
    assert await store.office.ask("viewer", "GET", ORDERS + "?state=ordered") == []
    assert store.vendor.book.calls.total() == 0


async def test_a_lost_answer_is_read_back_by_the_worker(store: Store) -> None:
    store.vendor.script.add([Scripted(Fault.DROP_AFTER, "place")])
    told = await store.ask(body())
    assert await store.worker.drain() == 1
    seen = await store.look(told["stock_order_id"])
    assert (seen["state"], seen["vendor_orders"][0]["state"]) == ("ORDERED", "UNKNOWN")
    async with store.office.shop.parts.db.connection() as connection:
        await connection.execute("UPDATE pgqueuer SET execute_after = now()")
    assert await store.worker.drain() == 1
    assert (await store.look(told["stock_order_id"]))["state"] == "RECEIVED"
    assert [len(sale.cards) for sale in store.vendor.book.sales.values()] == [4]


WRONG: list[tuple[dict[str, Any], int, str]] = [
    ({"product_id": 0}, 400, "Invalid ProductId: required"),
    ({"product_id": -1}, 400, "Invalid ProductId: min"),
    ({"product_id": 2**60}, 400, "Invalid ProductId: min"),
    ({"product_id": 77}, 404, "Product not found"),
    ({"denomination": None}, 400, "Invalid Denomination: required"),
    ({"denomination": 0}, 400, "Invalid Denomination: gt"),
    ({"denomination": "x"}, 400, "Invalid Denomination: format"),
    ({"denomination": "25.001"}, 400, "Invalid Denomination: precision"),
    ({"denomination": 30}, 400, "Denomination not available for this product"),
    ({"quantity": 0}, 400, "Invalid Quantity: min"),
    ({"quantity": 10_001}, 400, "Invalid Quantity: max"),
    ({"quantity": "4"}, 400, "Invalid request body format"),
    ({"reason": " "}, 400, "Invalid Reason: required"),
    ({"reason": "a\x00"}, 400, "Invalid Reason: printable"),
    ({"reason": "x" * 501}, 400, "Invalid Reason: max"),
    ({"vendor": "nobody"}, 409, "The vendor cannot be asked for this"),
    ({"reference": "x" * 201}, 400, "Invalid Reference: max"),
    ({"more": 1}, 400, "Invalid request body format"),
]


@pytest.mark.parametrize(("changed", "status", "message"), WRONG)
async def test_what_is_wrong_is_said_and_changes_nothing(
    store: Store, changed: dict[str, Any], status: int, message: str
) -> None:
    before = await store.office.shop.everything()
    told = await store.ask(body(**changed), status)
    assert told["message"] == message
    assert await store.office.shop.everything() == before


async def test_a_recharge_is_no_stock(store: Store) -> None:
    await store.office.shop.product(20, type=ProductType.MOBILE_TOPUP, voucher_fields=())
    assert (await store.ask(body(product_id=20), 404))["code"] == "PRODUCT_NOT_FOUND"


async def test_what_is_not_there_is_not_found(store: Store) -> None:
    office = store.office
    assert await office.refused("viewer", "GET", f"{ORDERS}/99", status=404) == (
        "STOCK_ORDER_NOT_FOUND"
    )
    await store.ask(body())
    assert await office.refused("operations", "POST", ORDERS, body()) == "STOCK_ORDER_OPEN"
    many = ",".join(map(str, range(1, 102)))
    several = (f"?product_ids={each}" for each in ("6,", ",", "6,x", "0", many, "6&product_id=6"))
    for query in (
        *("?days=0", "?days=91", "?cover=181", "?cover=x", "?product_id=0", "?limit=1001"),
        *several,
    ):
        assert await office.status("viewer", "GET", FORECAST + query) == 400
    for query in ("?state=LOST", "?limit=501", "?before=0"):
        assert await office.status("viewer", "GET", ORDERS + query) == 400
