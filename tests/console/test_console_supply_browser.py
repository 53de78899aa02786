"""Products, vendors and stock in a real browser: each task from login to result."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page

from rewards.console.watching import TURNS_MAX
from rewards.staff.model import Role
from tests.console.busy import SUPPLIED
from tests.console.driving import (
    DESK,
    PHONE,
    SIZES,
    driving,
    looks_right,
    picture,
    says,
    send,
    sign_in,
)
from tests.console.supply import API_KEY, Supply, open_supply
from tests.console.test_console_supply import stocked_of

pytestmark = pytest.mark.browser

LOOKS = pytest.mark.parametrize(
    ("size", "viewport", "scheme"),
    [("desktop", DESK, "light"), ("phone", PHONE, "dark")],
    ids=["desktop", "phone"],
)
ROWS = 6_000
# Holds back whoever imports units of one product.
HOLD = "SELECT pg_advisory_xact_lock(hashtextextended('rewards import ' || $1::bigint, 0))"
BAR = """() => { const bar = document.querySelector('#live progress[value]');
    return bar && bar.value > 0 && bar.value < bar.max && [bar.value, bar.max]; }"""
PICTURED = {
    "/console/vendors/{vendor_id}": "vendor",
    "/console/vendors/{vendor_id}/products": "vendor-products",
    "/console/vendors/orders/{purchase_id}": "vendor-order",
    "/console/inventory/orders/{stock_order_id}": "stock-order",
}


@pytest.fixture
async def supply(dsn: str, tmp_path: Path) -> AsyncIterator[Supply]:
    async with open_supply(dsn, tmp_path, lock_timeout_s=60) as opened:
        yield opened


def csv(*rows: str) -> list[Any]:
    text = "product_id,denomination,currency,expires_at,code\n" + "\n".join(rows) + "\n"
    return [{"name": "stock.csv", "mimeType": "text/csv", "buffer": text.encode()}]


async def bring_in(page: Page, name: str, file: list[Any]) -> None:
    await page.goto("/console/inventory/batches")
    await page.get_by_label("CSV or XLSX").set_input_files(file)
    await page.get_by_label("What to call it").fill(name)
    await page.get_by_role("button", name="Import").click()
    await page.get_by_role("heading", name=name).wait_for()


@SIZES
async def test_a_product_is_added_priced_stocked_and_sold(
    supply: Supply, browser: Browser, size: str, viewport: Any
) -> None:
    """From nothing to a delivered order."""
    async with driving(browser, supply.desk.url, viewport=viewport) as page:
        await sign_in(page, supply.desk.name(Role.OPERATIONS))
        await page.goto("/console/products")
        await page.get_by_text("Nothing is sold yet").wait_for()
        await page.goto("/console/products/categories")
        await send(page, "New category", "Add", Name="Tea")
        await says(page, "Added.")
        await looks_right(page)
        await page.goto("/console/products/new")
        await page.get_by_label("Name", exact=False).first.fill("Tea House Card")
        await page.get_by_label("Category", exact=True).select_option(label="Tea")
        await page.get_by_label("Face values").fill("10\n25 - 100")
        await looks_right(page)
        await page.get_by_role("button", name="Add the product").click()
        await page.get_by_role("heading", name="Tea House Card").wait_for()
        await says(page, "Added.")
        product_id = int(page.url.rpartition("/")[2])
        await bring_in(page, "Tea", csv(f"{product_id},30.00,USD,2035-01-01,TEA-0001"))
        await page.goto(f"/console/products/{product_id}")
        await page.get_by_label("For sale", exact=True).check()
        await page.get_by_role("button", name="Save").click()
        await says(page, "Saved.")
        await page.goto("/console/inventory")
        await send(page, "Pump", "Pump now")
        await says(page, "Loaded 1 units")
    async with driving(browser, supply.desk.url, viewport=viewport) as page:
        await sign_in(page, supply.desk.name(Role.FINANCE))
        await page.goto(f"/console/products/{product_id}")
        prices = {"Fee_for_each_voucher,_USD": "1.50", "Tax,_percent": "0", "Why": "agreed"}
        await send(page, "Change", "Set", **prices)
        await says(page, "It costs that from now on.")
        await looks_right(page)
        await picture(page, f"console-product-{size}-light")
    shop = supply.shop
    await shop.refresh()
    product = shop.parts.catalog.product(product_id)
    assert product is not None
    client = await shop.client(minor=10_000)
    placed = await shop.place_one(shop.ask(client, product, 1, denomination_minor=3_000))
    assert str(placed.order.state) == "DELIVERED·COMPLETED"
    # 30.00 less the usual discount, and the fee.
    assert placed.order.fees_minor == 150
    assert await shop.broken() == {}


@SIZES
async def test_a_vendor_is_opened_checked_mapped_and_bought_from(
    supply: Supply, browser: Browser, size: str, viewport: Any
) -> None:
    product = await supply.shop.product()
    order = await supply.waiting(product)
    async with driving(browser, supply.desk.url, viewport=viewport) as page:
        await sign_in(page, supply.desk.name(Role.ADMIN))
        await page.goto("/console/vendors")
        await page.get_by_role("link", name="New vendor").first.click()
        await page.get_by_role("link", name="sandbox", exact=True).click()
        await looks_right(page)
        await page.get_by_label("What to call it").fill("acme")
        await page.get_by_label("Base url").fill(supply.url)
        await page.get_by_label("Api key").fill(API_KEY)
        await page.get_by_role("button", name="Open the account").click()
        await page.get_by_role("heading", name="acme").wait_for()
        assert API_KEY not in await page.content()
        await page.get_by_role("button", name="Check the connection").click()
        await says(page, "It answered in")
        await page.get_by_role("button", name="Read the catalogue").click()
        await says(page, "will be read in a moment")
        await supply.worker.drain()
        await page.get_by_role("link", name="Products", exact=True).last.click()
        await page.get_by_role("link", name="Map", exact=True).first.click()
        await page.get_by_label("Our product").select_option(label="Amazon Gift Card")
        await page.get_by_role("button", name="Map", exact=True).click()
        await says(page, "It can be bought here now.")
        await page.goto(f"/console/orders/{order.id}/vendors")
        await send(page, "Ask", "Buy for 50.00 USD", Why="the client waits")
        await supply.worker.drain()
        await supply.work()
        await page.goto("/console/vendors/1/calls")
        await page.get_by_text("Place", exact=True).first.wait_for()
        await page.get_by_text("What was sent and read").first.click()
        assert API_KEY not in await page.content()
        await looks_right(page)
        await page.goto("/console/vendors/1")
        await send(page, "Pause", "Pause", Why="it is slow")
        await says(page, "The state was changed.")
    assert str((await supply.shop.order(order.id)).state) == "DELIVERED·COMPLETED"


@SIZES
async def test_an_unknown_outcome_is_settled_by_what_the_vendor_says(
    supply: Supply, browser: Browser, size: str, viewport: Any
) -> None:
    product = await supply.shop.product()
    await supply.open_account()
    order, purchase = await supply.unknown(product)
    async with driving(browser, supply.desk.url, viewport=viewport) as page:
        await sign_in(page, supply.desk.name(Role.OPERATIONS))
        await page.goto("/console/vendors")
        await page.get_by_role("link", name="They need a person's verdict.").click()
        await looks_right(page)
        await page.get_by_role("link", name=f"Purchase {purchase}").click()
        await page.get_by_role("heading", name="What was sent, and what was read").wait_for()
        said = await page.locator(".line").inner_text()
        assert "Place" in said
        assert "Read" in said
        await send(page, "It is lost", "It is lost", How_you_know="ticket 4711")
        await says(page, "The verdict counts.")
        await looks_right(page)
        assert await page.get_by_role("button", name="It is lost").count() == 0
    assert str((await supply.shop.order(order.id)).state) == "PENDING·VENDOR_ORDER_FAILED"


@SIZES
async def test_stock_above_the_limit_is_ordered_agreed_to_and_comes(
    supply: Supply, browser: Browser, size: str, viewport: Any
) -> None:
    await supply.shop.product()
    await supply.open_account()
    async with driving(browser, supply.desk.url, viewport=viewport) as page:
        await sign_in(page, supply.desk.name(Role.OPERATIONS))
        await page.goto("/console/inventory/orders")
        await page.get_by_role("link", name="Order stock").click()
        for label, text in (("Product, id", "6"), ("Face value", "25"), ("How many", "8")):
            await page.get_by_label(label).fill(text)
        await page.get_by_label("Why").fill("it runs out")
        await looks_right(page)
        await page.get_by_role("button", name="Order", exact=True).click()
        await says(page, "somebody else must agree")
        path = page.url
    async with driving(browser, supply.desk.url, viewport=viewport) as page:
        await sign_in(page, supply.desk.name(Role.FINANCE))
        await page.goto("/console/approvals")
        await send(page, "Approve", "Approve", Note="seen")
        await says(page, "Approved")
        await supply.worker.drain()
        await supply.work()
        await page.goto(path)
        await page.get_by_text("8", exact=True).first.wait_for()
        await looks_right(page)
        await page.get_by_role("link", name="Purchase 1").wait_for()
    async with supply.shop.parts.db.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM units") == 8


@SIZES
async def test_an_import_shows_how_far_it_is_and_which_rows_it_refused(
    supply: Supply, browser: Browser, size: str, viewport: Any
) -> None:
    """Held where the second product's rows begin, so that the bar stands still half-way."""
    shop = supply.shop
    for number in (6, 7):
        await shop.product(number, voucher_fields=("code",))
    rows = [f"{n},25,USD,2035-01-01,C-{n}-{row:06d}" for n in (6, 7) for row in range(ROWS)]
    rows += ["6,25,USD,2035-01-01,C-6-000001", "6,13,USD,2035-01-01,C-6-999999"]
    async with driving(browser, supply.desk.url, viewport=viewport) as page:
        await sign_in(page, supply.desk.name(Role.OPERATIONS))
        async with shop.parts.db.transaction() as tx:
            await tx.execute(HOLD, 7)
            await bring_in(page, "Large", csv(*rows))
            value, most = await (await page.wait_for_function(BAR)).json_value()
            assert 0 < value < most == len(rows)
            await page.get_by_text(f"of about {most:,} rows read so far").wait_for()
            await page.wait_for_function(
                f"() => document.querySelector('#live progress').value >= {ROWS}"
            )
            await looks_right(page)
            await picture(page, f"console-import-{size}-light")
            # A page that stays open does not ask for ever.
            late = await page.request.get(f"{page.url}?turn={TURNS_MAX}")
            assert "Look again" in (told := await late.text())
            assert "hx-get" not in told
        await page.get_by_text("Rows that did not become units").wait_for()
        report = await page.locator("#live table").inner_text()
        assert "Duplicate" in report
        assert "Invalid" in report
        assert "C-6-" not in await page.content()
        await looks_right(page)


@SIZES
async def test_a_batch_is_blocked_unblocked_and_recalled_from_every_holder(
    supply: Supply, browser: Browser, size: str, viewport: Any
) -> None:
    shop = supply.shop
    product = await shop.product()
    units = await shop.stock(product, 3)
    client = await shop.client(minor=10_000)
    order = (await shop.place_one(shop.ask(client, product, 1))).order
    async with shop.parts.db.connection() as connection:
        batch = await connection.fetchval("SELECT batch_id FROM units WHERE id = $1", units[0])
    async with driving(browser, supply.desk.url, viewport=viewport) as page:
        await sign_in(page, supply.desk.name(Role.OPERATIONS))
        await page.goto(f"/console/inventory/batches/{batch}")
        await send(page, "Block", "Block", Why="the brand looks into it")
        await says(page, "Out of sale")
        await looks_right(page)
        await send(page, "Unblock", "Unblock", Why="it is fine")
        await says(page, "Unblocked.")
        await send(page, "Recall", "Ask for the recall", Why="it is not")
        await says(page, "a second person agrees")
        await page.get_by_role("link", name="Every unit and its holder").click()
        await page.locator(f"a.row-link[href$='/orders/{order.id}']").wait_for()
        await looks_right(page)
    async with driving(browser, supply.desk.url, viewport=viewport) as page:
        await sign_in(page, supply.desk.name(Role.FINANCE))
        await page.goto("/console/approvals")
        await send(page, "Approve", "Approve", Note="seen")
        await says(page, "Approved")
        await supply.worker.drain()
        await page.goto(f"/console/inventory/batches/{batch}")
        await page.get_by_text("Carried out").wait_for()
    assert str((await shop.order(order.id)).state) == "CANCELLED·REFUNDED"


@LOOKS
async def test_every_page_of_supply_looks_right(
    supply: Supply, browser: Browser, size: str, viewport: Any, scheme: str
) -> None:
    stocked = await stocked_of(supply)
    look = {"viewport": viewport, "color_scheme": scheme}
    async with driving(browser, supply.desk.url, **look) as page:
        await sign_in(page, supply.desk.name(Role.ADMIN))
        for pattern in sorted(SUPPLIED):
            await page.goto(stocked.path(pattern))
            await looks_right(page)
            if pattern in PICTURED:
                await picture(page, f"console-{PICTURED[pattern]}-{size}-{scheme}")
        for path, name in (
            ("/console/vendors", "vendors"),
            ("/console/vendors/unknown", "unknown-outcomes"),
            ("/console/products", "products"),
            ("/console/products/6", "product"),
            ("/console/products/new", "product-new"),
            ("/console/inventory/orders", "stock-orders"),
            ("/console/inventory", "shelves"),
        ):
            await page.goto(path)
            await looks_right(page)
            if name not in ("shelves", "product"):
                await picture(page, f"console-{name}-{size}-{scheme}")
