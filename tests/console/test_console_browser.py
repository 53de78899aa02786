"""The console in a real browser: each task from login to result, on a desk and on a phone."""

from typing import Any

import pytest
from playwright.async_api import Browser

from rewards.catalog.model import LinkType
from rewards.staff.model import Role
from tests.console.busy import FILES, OTHER, SHOWN, SUPPLIED, Busy, fill
from tests.console.desk import Desk
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
from tests.console.hostile import PAYLOADS

pytestmark = pytest.mark.browser

# Of which pages the documents have pictures.
PICTURED = {
    "/console/inventory": "inventory",
    "/console/money": "money",
    "/console/reports": "reports",
}
STOCK = """product_id,denomination,currency,expires_at,card_number,pin_code
6,25.00,USD,2030-01-01,CARD-0001,1111
6,25.00,USD,2030-01-01,CARD-0002,2222
6,25.00,USD,2030-01-01,CARD-0001,1111
6,13.00,USD,2030-01-01,CARD-0003,3333
"""


@pytest.fixture
async def busy(desk: Desk) -> Busy:
    return await fill(desk)


@SIZES
async def test_an_order_is_found_and_its_wait_ended(
    busy: Busy, browser: Browser, size: str, viewport: Any
) -> None:
    async with driving(browser, busy.desk.url, viewport=viewport) as page:
        await sign_in(page, busy.desk.name(Role.OPERATIONS))
        await page.goto("/console/orders")
        await page.keyboard.press("/")
        await page.keyboard.type(str(busy.waiting.id))
        await page.wait_for_url(f"**q={busy.waiting.id}**")
        await page.locator("#list tbody tr").first.wait_for()
        assert await page.locator("#list tbody tr").count() == 1
        await page.get_by_role("searchbox").blur()
        await page.keyboard.press("j")
        await page.keyboard.press("Enter")
        await page.get_by_role("heading", name=f"Order {busy.waiting.id}").wait_for()
        await picture(page, f"console-order-{size}-light", whole=True)
        await send(page, "Cancel", "Cancel the order", Why="the client gave up")
        await says(page, "Cancelled")
        await looks_right(page)
    order = await busy.desk.shop.order(busy.waiting.id)
    assert order.status == "CANCELLED"


@SIZES
async def test_links_that_went_astray_are_mailed_again(
    desk: Desk, browser: Browser, size: str, viewport: Any
) -> None:
    shop = desk.shop
    product = await shop.product(9, link_type=LinkType.PUBLIC)
    await shop.stock(product, 1)
    ask = shop.ask(await shop.client(minor=10_000), product, 1, email="jane@customer.example")
    placed = await shop.place_one(ask)
    [before] = (await shop.parts.orders.show(placed)).vouchers
    async with driving(browser, desk.url, viewport=viewport) as page:
        await sign_in(page, desk.name(Role.SUPPORT))
        await page.goto(f"/console/orders/{placed.order.id}")
        await send(page, "Resend links", "Resend links", Why="she mistyped her address")
        await says(page, "The links were mailed again.")
        await page.get_by_text("she mistyped her address").first.wait_for()
        await looks_right(page)
        text = await page.content()
    assert before.claim_url
    assert before.claim_url not in text
    assert (await shop.events(placed.order.id)).count("order.delivered") == 2
    [after] = (await shop.parts.orders.show(placed)).vouchers
    assert after.claim_url == before.claim_url


@SIZES
async def test_stock_is_imported_with_a_report_and_pumped(
    busy: Busy, browser: Browser, size: str, viewport: Any
) -> None:
    async with driving(browser, busy.desk.url, viewport=viewport) as page:
        await sign_in(page, busy.desk.name(Role.OPERATIONS))
        await page.goto("/console/inventory/batches")
        file = {"name": "stock.csv", "mimeType": "text/csv", "buffer": STOCK.encode()}
        await page.get_by_label("CSV or XLSX").set_input_files([file])
        await page.get_by_label("What to call it").fill("First of March")
        await page.get_by_role("button", name="Import").click()
        await page.get_by_role("heading", name="First of March").wait_for()
        await page.get_by_text("Rows that did not become units").wait_for()
        assert await page.locator("table tbody tr").count() == 2
        assert "CARD-0001" not in await page.content()
        await looks_right(page)
        await page.goto("/console/inventory")
        await send(page, "Pump", "Pump now")
        await says(page, "Loaded 2 units")
        await looks_right(page)


@SIZES
async def test_a_client_is_made_paid_and_given_a_key(
    busy: Busy, browser: Browser, size: str, viewport: Any
) -> None:
    async with driving(browser, busy.desk.url, viewport=viewport) as page:
        await sign_in(page, busy.desk.name(Role.ADMIN))
        await page.goto("/console/clients")
        await send(page, "New client", "Make the client", Name="Aurora Ltd")
        await page.get_by_role("heading", name="Aurora Ltd").wait_for()
        await page.get_by_role("link", name="Wallets").click()
        await send(page, "Open a wallet", "Open a wallet", Currency="USD")
        await says(page, "The wallet is open.")
        await send(page, "Top up", "Book", Amount_in_USD="250.50")
        await says(page, "Topped up.")
        assert "250.50" in await page.locator("main").inner_text()
        await looks_right(page)
        await page.get_by_role("link", name="Credentials").click()
        await send(page, "Issue a credential", "Issue")
        await page.get_by_text("This is shown once.").wait_for()
        shown = await page.locator("#secret-2").inner_text()
        await looks_right(page)
        await page.get_by_role("link", name="Done").click()
        await page.get_by_role("heading", name="Aurora Ltd").wait_for()
        assert shown not in await page.content()


async def test_light_dark_and_the_keyboard(busy: Busy, browser: Browser) -> None:
    async with driving(browser, busy.desk.url, color_scheme="light") as page:
        await sign_in(page, busy.desk.name(Role.VIEWER))
        await page.goto("/console/orders")
        ground = "getComputedStyle(document.body).backgroundColor"
        before = await page.evaluate(ground)
        await page.get_by_role("button", name="your account").click()
        await page.get_by_role("button", name="Dark").click()
        await page.wait_for_url("**/console/orders")
        assert await page.evaluate(ground) != before
        await page.keyboard.press("?")
        await page.get_by_role("dialog", name="Keyboard").wait_for()
        await page.keyboard.press("Escape")
        await looks_right(page)


@pytest.mark.parametrize(
    ("size", "viewport", "scheme"),
    [("desktop", DESK, "light"), ("phone", PHONE, "dark")],
    ids=["desktop", "phone"],
)
async def test_every_page_looks_right(
    busy: Busy, browser: Browser, size: str, viewport: Any, scheme: str
) -> None:
    """axe finds nothing serious, nothing is wider than the screen, no text of anybody runs."""
    async with busy.desk.shop.parts.db.transaction() as tx:
        await tx.execute("UPDATE clients SET name = $1", PAYLOADS[21])
    async with driving(browser, busy.desk.url, viewport=viewport, color_scheme=scheme) as page:
        await page.goto("/console/sign-in")
        await looks_right(page)
        await picture(page, f"console-sign-in-{size}-{scheme}")
        await page.add_init_script("window.hit = () => { window.wasHit = true; }")
        await sign_in(page, busy.desk.name(Role.ADMIN))
        for pattern in SHOWN:
            if pattern not in OTHER | FILES | SUPPLIED:
                await page.goto(busy.path(pattern))
                await looks_right(page)
                assert not await page.evaluate("window.wasHit")
                name = PICTURED.get(pattern)
                if name:
                    await picture(page, f"console-{name}-{size}-{scheme}")


async def test_it_works_without_a_script(busy: Busy, browser: Browser) -> None:
    async with driving(browser, busy.desk.url, java_script_enabled=False) as page:
        await sign_in(page, busy.desk.name(Role.OPERATIONS))
        await page.goto("/console/orders")
        await page.get_by_role("searchbox").fill(str(busy.waiting.id))
        await page.get_by_role("button", name="Search").click()
        await page.locator(".row-link").first.click()
        await page.get_by_role("heading", name=f"Order {busy.waiting.id}").wait_for()
        await page.get_by_role("button", name="Retry", exact=True).click()
        await page.get_by_role("button", name="Retry", exact=True).last.click()
        await says(page, "The pool was looked into again.")


async def test_an_open_dialog_is_typed_into(busy: Busy, browser: Browser) -> None:
    """As it opens, and not later: what is typed first goes nowhere else."""
    async with driving(browser, busy.desk.url) as page:
        await sign_in(page, busy.desk.name(Role.ADMIN))
        await page.goto("/console/clients")
        button = page.get_by_role("button", name="New client", exact=True)
        said = "each => { each.click(); return document.activeElement.name; }"
        assert await button.evaluate(said) == "name"


async def test_what_was_typed_outlives_a_refusal(busy: Busy, browser: Browser) -> None:
    async with driving(browser, busy.desk.url) as page:
        await sign_in(page, busy.desk.name(Role.ADMIN))
        await page.goto("/console/clients")
        addresses = "10.0.0.1\nno address"
        typed = {"Name": "Aurora Ltd", "Addresses_it_may_call_from": addresses}
        await send(page, "New client", "Make the client", **typed)
        dialog = page.locator("[popover]:popover-open")
        await dialog.get_by_text("Invalid AllowedIps").wait_for()
        assert await dialog.get_by_label("Name").input_value() == "Aurora Ltd"
        field = dialog.get_by_label("Addresses it may call from")
        assert await field.input_value() == addresses
        assert await page.evaluate("sessionStorage.getItem('typed')") is None
        await looks_right(page)
        await field.fill("10.0.0.1")
        await dialog.get_by_role("button", name="Make the client").click()
        await page.get_by_role("heading", name="Aurora Ltd").wait_for()
        # A password is typed again.
        await page.goto("/console/settings")
        typed = {"Name": "ada", "First_password": "short"}
        await send(page, "New person", "Let them in", **typed)
        await dialog.get_by_text("Invalid Password").wait_for()
        assert await dialog.get_by_label("Name").input_value() == "ada"
        assert await dialog.get_by_label("First password").input_value() == ""
