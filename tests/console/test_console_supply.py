"""Vendors, products and stock ordered ahead: what their pages show, cost, refuse, never run."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from rewards.console import places
from rewards.staff import model
from rewards.staff.model import Role
from tests.console.busy import STATEMENTS_MAX, SUPPLIED
from tests.console.counted import counting
from tests.console.desk import Visitor
from tests.console.hostile import PAYLOADS, bad_of
from tests.console.supply import API_KEY, Supply, open_supply
from tests.console.test_console_pages import PAGE_BYTES_MAX
from tests.databases import Copies, with_database

NEW = {
    "name": "Tea House Card",
    "category_id": "1",
    "country": "US",
    "currency": "USD",
    "denominations": "10\n25 - 100",
    "type": "VOUCHER",
    "delivery_type": "CODE_WITH_PIN",
    "voucher_fields": "code",
    "classification": "CLOSED_LOOP",
    "pool_target": "100",
    "visible_by_default": "true",
}


@dataclass
class Stocked:
    """A vendor that offers, sells and was bought from, with an outcome that nobody can tell."""

    supply: Supply
    admin: Visitor
    ids: dict[str, Any] = field(default_factory=dict)

    def path(self, pattern: str) -> str:
        return re.sub(r"{(\w+)}", lambda found: str(self.ids[found[1]]), pattern)


async def stocked_of(supply: Supply) -> Stocked:
    product = await supply.shop.product()
    await supply.open_account()
    admin = await supply.desk.at()
    page = await admin.send("/console/vendors/1", "/console/vendors/1/sync")
    assert "Its catalogue will be read" in page.said
    await supply.worker.drain()
    order, purchase = await supply.unknown(product)
    admin = await supply.desk.at()
    ask = {"product_id": "6", "denomination": "25", "quantity": "8", "reason": "it runs out"}
    page = await admin.send("/console/inventory/orders/new", "/console/inventory/orders", **ask)
    assert "somebody else must agree" in page.said, page.said
    ids = {
        "vendor_id": supply.vendor_id,
        "purchase_id": purchase,
        "order_id": order.id,
        "stock_order_id": page.url.rpartition("/")[2],
        "adapter": "sandbox",
        "product_id": 6,
    }
    return Stocked(supply, admin, ids)


@pytest.fixture(scope="module")
async def stocked(
    server_dsn: str, copies: Copies, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stocked]:
    name = await copies.take()
    home = tmp_path_factory.mktemp("supply")
    async with open_supply(with_database(server_dsn, name), home) as supply:
        yield await stocked_of(supply)
    copies.drop(name)


async def test_every_page_shows_within_its_statements(stocked: Stocked) -> None:
    shop = stocked.supply.shop
    wrong = []
    for pattern in sorted(SUPPLIED):
        path = stocked.path(pattern)
        await stocked.admin.get(path)
        async with counting(shop.parts.db, shop.parts.settings.pool_size) as seen:
            page = await stocked.admin.get(path)
        if page.status != 200 or len(seen) > STATEMENTS_MAX or len(page.text) > PAGE_BYTES_MAX:
            wrong.append(f"{path} {page.status} {len(page.text)} {len(seen)} {seen or page.said}")
        assert API_KEY not in page.text, path
    assert len(SUPPLIED) >= 7
    assert not wrong, "\n".join(wrong)


async def test_no_text_of_a_vendor_or_product_runs(stocked: Stocked) -> None:
    for payload in (PAYLOADS[0], PAYLOADS[27], PAYLOADS[365]):
        async with stocked.supply.shop.parts.db.transaction() as tx:
            for statement in (
                "UPDATE vendors SET name = $1",
                "UPDATE vendor_offers SET name = $1",
                "UPDATE vendor_products SET sku = $1",
                "UPDATE vendor_exchanges SET path = $1, request = $1, answer = $1, problem = $1",
                "UPDATE vendor_orders SET message = $1",
                "UPDATE stock_orders SET reason = $1",
                "UPDATE categories SET name = $1 WHERE id = 2",
            ):
                await tx.execute(statement, payload)
        for pattern in (*sorted(SUPPLIED), "/console/products/{product_id}", "/console/vendors"):
            page = await stocked.admin.get(stocked.path(pattern))
            assert page.status == 200, page.said
            assert bad_of(page.text) == [], pattern


@pytest.fixture
async def supply(dsn: str, tmp_path: Any) -> AsyncIterator[Supply]:
    async with open_supply(dsn, tmp_path) as opened:
        yield opened


async def products(supply: Supply) -> list[Any]:
    async with supply.shop.parts.db.connection() as connection:
        return [tuple(row) for row in await connection.fetch("SELECT p::text FROM products p")]


async def test_a_product_that_is_refused_leaves_the_form_as_it_was_filled_in(
    supply: Supply,
) -> None:
    visitor = await supply.desk.at(Role.OPERATIONS)
    for fields, told in (
        ({"denominations": ""}, "Invalid Denominations: required"),
        ({"denominations": "twenty"}, "Invalid Denominations"),
        ({"denominations": "10 - 5"}, "Invalid Denominations: range"),
        ({"subcategory_id": "201"}, "Invalid Subcategory: exists"),
        ({"pool_target": "many"}, "Invalid request body format"),
    ):
        page = await visitor.send("/console/products/new", "/console/products", **(NEW | fields))
        assert page.status == 400, page.said
        assert told in page.said
        assert 'value="Tea House Card"' in page.text
    assert await products(supply) == []
    viewer = await supply.desk.at(Role.VIEWER)
    assert (await viewer.get("/console/products/new")).status == 403
    page = await viewer.send("/console/products", "/console/products", **NEW)
    assert page.status == 403
    assert "products:write" in page.said
    assert await products(supply) == []


async def test_a_product_is_changed_and_who_may_not_price_it_is_told_who_does(
    supply: Supply,
) -> None:
    visitor = await supply.desk.at(Role.OPERATIONS)
    page = await visitor.send("/console/products/new", "/console/products", **NEW)
    assert "have it priced" in page.said, page.said
    path = page.url.removeprefix(supply.desk.url)
    assert "Finance sets these." in page.said
    changed = NEW | {"name": "Tea House", "active": "true", "terms": "No refunds.", "country": "GB"}
    page = await visitor.send(path, path, **changed)
    assert "Saved." in page.said
    assert 'value="Tea House"' in page.text
    assert ">10.00\n25.00 - 100.00</textarea>" in page.text
    assert "For sale" in page.said
    page = await visitor.send(path, f"{path}/pricing", handling_fee="1", reason="because")
    assert "It needs the permission products:price." in page.said
    finance = await supply.desk.at(Role.FINANCE)
    prices = {"handling_fee": "1.50", "tax_percent": "5", "vendor_discount_percent": "2"}
    page = await finance.send(path, f"{path}/pricing", **prices)
    assert "Invalid Reason: required" in page.said
    page = await finance.send(path, f"{path}/pricing", reason="agreed", **prices)
    assert "It costs that from now on." in page.said
    assert "1.50" in page.said
    client = await supply.shop.client()
    hidden = {"client_id": str(client), "visible": "no"}
    page = await visitor.send(path, f"{path}/visibility", **hidden)
    assert f"Client {client}" in page.said
    product_id = int(path.rpartition("/")[2])
    assert supply.shop.parts.catalog.offered(product_id, client) is None


async def test_who_may_buy_has_a_product_bought_by_itself_and_says_why(
    supply: Supply, monkeypatch: pytest.MonkeyPatch
) -> None:
    product = await supply.shop.product()
    path, on = f"/console/products/{product.id}", {"allow_auto_vendor_fulfill": "true"}
    visitor = await supply.desk.at(Role.OPERATIONS)
    page = await visitor.send(path, f"{path}/flag", **on)
    assert "Invalid Reason: required" in page.said
    assert "Switch on" in page.said
    page = await visitor.send(path, f"{path}/flag", reason="agreed with finance", **on)
    assert "It counts from now on." in page.said
    assert "without asking a person" in page.said
    # Saving all else leaves it as it is.
    page = await visitor.send(path, path, **NEW)
    assert "Switch off" in page.said
    page = await visitor.send(path, f"{path}/flag")
    assert "once a person says so" in page.said
    less = model.PERMISSIONS[Role.OPERATIONS] - {model.Permission.VENDORS_APPROVE}
    split = dict(model.PERMISSIONS) | {Role.OPERATIONS: frozenset(less)}
    for module in (model, places):
        monkeypatch.setattr(module, "PERMISSIONS", split)
    page = await visitor.get(path)
    assert "Switch on" not in page.said
    assert "Switching it on takes somebody who may approve purchases." in page.said
    page = await visitor.send(path, f"{path}/flag", reason="because", **on)
    assert "It needs the permission vendors:approve." in page.said
    await supply.shop.refresh()
    shown = supply.shop.parts.catalog.product(product.id)
    assert shown is not None
    assert not shown.allow_auto_vendor_fulfill


async def test_categories_are_added(supply: Supply) -> None:
    visitor = await supply.desk.at(Role.OPERATIONS)
    path = "/console/products/categories"
    page = await visitor.send(path, path, name="Experiences")
    assert "Added." in page.said
    page = await visitor.send(path, f"{path}/1", name="Tea")
    assert "Travel" in page.said
    assert "Tea" in page.said
    page = await visitor.send(path, path, name="experiences")
    assert "A category of this name is there already." in page.said


async def test_a_vendor_that_is_refused_is_not_opened_and_its_secret_not_shown(
    supply: Supply,
) -> None:
    visitor = await supply.desk.at(Role.ADMIN)
    path = "/console/vendors/new/sandbox"
    fields = {
        "name": "acme",
        "config.base_url": "http://elsewhere.example",
        "secret.api_key": API_KEY,
    }
    page = await visitor.send(path, path, **fields)
    assert page.status == 400
    assert "Invalid Config.base_url" in page.said, page.said
    assert 'value="acme"' in page.text
    assert API_KEY not in page.text
    assert (await visitor.get("/console/vendors/new/nobody")).status == 404
    operations = await supply.desk.at(Role.OPERATIONS)
    for hidden in (path, "/console/vendors/new"):
        assert (await operations.get(hidden)).status == 403
    page = await operations.send("/console/vendors", path, **fields)
    assert (page.status, "vendors:secrets" in page.said) == (403, True)
    page = await visitor.get("/console/vendors")
    assert "No vendors yet" in page.said


async def test_settings_are_changed_and_a_secret_that_is_left_out_stays(supply: Supply) -> None:
    await supply.shop.product()
    await supply.open_account()
    visitor = await supply.desk.at(Role.ADMIN)
    path = f"/console/vendors/{supply.vendor_id}"
    page = await visitor.send(
        f"{path}/settings", f"{path}/settings", **{"config.base_url": "https://other.example"}
    )
    assert "Invalid Secrets: required" in page.said, page.said
    page = await visitor.send(
        f"{path}/settings", f"{path}/settings", **{"config.base_url": supply.url}
    )
    assert "Saved" in page.said
    page = await visitor.send(path, f"{path}/check")
    assert "It answered in" in page.said
    page = await visitor.send(path, f"{path}/rename", name="Acme Ltd")
    assert "Acme Ltd" in page.said
    for status in ("PAUSED", "ACTIVE"):
        page = await visitor.send(path, f"{path}/status", status=status)
        assert "The state was changed." in page.said


async def test_a_stock_order_that_is_refused_leaves_the_form_as_it_was(supply: Supply) -> None:
    await supply.shop.product()
    await supply.open_account()
    visitor = await supply.desk.at(Role.OPERATIONS)
    before = await supply.shop.everything()
    ask = {"product_id": "6", "denomination": "25", "quantity": "0", "reason": "it runs out"}
    page = await visitor.send("/console/inventory/orders/new", "/console/inventory/orders", **ask)
    assert page.status == 400
    assert "Invalid Quantity" in page.said
    assert 'value="25"' in page.text
    assert await supply.shop.everything() == before
