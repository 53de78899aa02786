"""The finance person in a real browser: reports, a day's money, a second person, what is owed."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page

from rewards.reconciliation import documents, statement
from rewards.staff import bookings
from rewards.staff.model import Role
from rewards.wallets.model import WalletStatus
from tests.console.busy import Busy, fill
from tests.console.desk import Desk
from tests.console.driving import SIZES, driving, go, looks_right, says, send, sign_in
from tests.console.writing import write_reports

pytestmark = pytest.mark.browser


@pytest.fixture
async def busy(desk: Desk) -> Busy:
    return await fill(desk)


async def taken(page: Page, link: str, *, role: Any = "link") -> tuple[str, bytes]:
    """The name and the content of what the browser keeps."""
    async with page.expect_download() as waited:
        await page.get_by_role(role, name=link).first.click()
    kept = await waited.value
    return kept.suggested_filename, Path(await kept.path()).read_bytes()


async def balance_of(busy: Busy) -> int:
    return (await busy.desk.shop.wallets(busy.client_id))["USD"].balance_minor


@SIZES
async def test_a_report_is_asked_for_watched_and_taken_along(
    busy: Busy, browser: Browser, size: str, viewport: Any
) -> None:
    async with driving(browser, busy.desk.url, viewport=viewport) as page:
        await sign_in(page, busy.desk.name(Role.FINANCE))
        await go(page, "Reports")
        await page.get_by_text("No report yet").wait_for()
        await looks_right(page)
        await page.get_by_role("link", name="Transactions", exact=True).click()
        await page.get_by_label("Client", exact=True).fill(str(busy.client_id))
        await page.get_by_role("button", name="Make the file").click()
        await page.get_by_text("It waits for a worker").wait_for()
        await looks_right(page)
        number = int(page.url.rsplit("/", 1)[1])
        # Nobody touches the page: it finds out by itself that the file is there.
        await write_reports(busy.desk, number)
        await page.get_by_text("The file is kept until").wait_for()
        assert await page.locator("[hx-trigger]").count() == 0
        await looks_right(page)
        name, content = await taken(page, "Download")
        assert name == f"transactions-{number}.csv"
        assert content.count(b"\r\n") == 4
        assert content.startswith(b"transaction_id,")
        await page.get_by_role("link", name="Reports", exact=True).last.click()
        await page.get_by_role("cell", name="Done").wait_for()


async def test_a_list_of_reports_moves_by_itself_and_one_is_cancelled(
    busy: Busy, browser: Browser
) -> None:
    async with driving(browser, busy.desk.url) as page:
        await sign_in(page, busy.desk.name(Role.FINANCE))
        numbers = []
        for kind in ("ORDERS", "REFUNDS"):
            await page.goto(f"/console/reports?kind={kind}")
            await page.get_by_role("button", name="Make the file").click()
            await page.get_by_text("It waits for a worker").wait_for()
            numbers.append(int(page.url.rsplit("/", 1)[1]))
        await page.goto("/console/reports")
        rows = page.locator("#list tbody tr")
        await rows.nth(1).locator(".row-link").focus()
        await write_reports(busy.desk, numbers[0])
        await rows.nth(1).get_by_role("link", name="Download").wait_for()
        # Whoever was at a row still is.
        assert await page.evaluate("document.activeElement.id") == f"report-{numbers[0]}"
        await rows.nth(0).get_by_role("button", name="Cancel").click()
        await says(page, "Cancelled; what was written is dropped.")
        await page.get_by_role("link", name="Ask again").wait_for()
        await looks_right(page)


async def test_a_report_is_made_without_a_script(busy: Busy, browser: Browser) -> None:
    async with driving(browser, busy.desk.url, java_script_enabled=False) as page:
        await sign_in(page, busy.desk.name(Role.FINANCE))
        await page.goto("/console/reports?kind=ORDERS")
        await page.get_by_role("button", name="Make the file").click()
        await page.get_by_text("It waits for a worker").wait_for()
        number = int(page.url.rsplit("/", 1)[1])
        await write_reports(busy.desk, number)
        await page.get_by_role("link", name="Look again").click()
        name, _ = await taken(page, "Download")
        assert name == f"orders-{number}.csv"


@SIZES
async def test_a_day_is_followed_to_its_lines_and_closed_with_a_statement(
    busy: Busy, browser: Browser, size: str, viewport: Any
) -> None:
    desk = busy.desk
    async with driving(browser, desk.url, viewport=viewport) as page:
        await sign_in(page, busy.desk.name(Role.FINANCE))
        await go(page, "Money")
        await page.locator("#list table a", has_text="127.50").click()
        await page.get_by_role("heading", level=1, name="Ledger").wait_for()
        assert await page.locator("#list tbody tr").count() == 2
        await looks_right(page)
        await page.locator("#list tbody .row-link").last.click()
        await page.get_by_role("heading", name="Both its sides").wait_for()
        await page.get_by_role("link", name=f"Order {busy.delivered.id}", exact=True).wait_for()
        await looks_right(page)
        await page.get_by_role("link", name="USD wallet").click()
        await page.get_by_role("heading", level=1, name="USD wallet of").wait_for()
        await page.get_by_label("Kind").select_option("ORDER")
        await page.wait_for_url("**type=ORDER**")
        await page.locator("#list tbody tr").nth(1).wait_for()
        assert await page.locator("#list tbody tr").count() == 2
        await looks_right(page)
        today = desk.shop.now.date()
        desk.clock.ahead += timedelta(days=1)
        await sign_in(page, busy.desk.name(Role.FINANCE))
        await page.goto(f"/console/money?day={today}")
        await page.get_by_role("link", name="Signed statement of this day").click()
        await looks_right(page)
        name, content = await taken(page, "Download JSON", role="button")
    key = documents.public_key_of(statement.signing_key(desk.shop.parts.vault))
    assert name == f"statement-{today}-{today}.json"
    assert documents.tampering(content, key) == []


@SIZES
async def test_much_money_is_agreed_to_by_a_second_person(
    busy: Busy, browser: Browser, size: str, viewport: Any
) -> None:
    desk, before = busy.desk, await balance_of(busy)
    wallet = busy.path("/console/money/wallets/{wallet_id}")
    async with driving(browser, desk.url, viewport=viewport) as page:
        await sign_in(page, busy.desk.name(Role.FINANCE))
        await page.goto(wallet)
        # The form brings a reference of its own; the bank's is better.
        await send(page, "Top up", "Book", Amount_in_USD="50000", Reference="wire-1")
        await says(page, "Nothing is booked before a second person agrees")
        await page.get_by_text("waits for a second person: you asked").wait_for()
        await looks_right(page)
        await page.goto("/console/approvals")
        await send(page, "Withdraw", "Withdraw it")
        await says(page, "Withdrawn; nothing comes of it.")
        await page.goto(wallet)
        await send(page, "Top up", "Book", Amount_in_USD="60000", Reference="wire-1")
        await says(page, "Nothing is booked")
    assert await balance_of(busy) == before
    async with driving(browser, desk.url, viewport=viewport) as page:
        await sign_in(page, busy.desk.name(Role.ADMIN))
        await page.goto("/console/approvals")
        await send(page, "Approve", "Approve", Note="the bank shows it")
        await says(page, "Approved; it is carried out now.")
        async with desk.shop.parts.db.connection() as connection:
            number = await connection.fetchval("SELECT max(id) FROM approvals")
        await bookings.carry_out(desk.shop.parts.db, desk.clock, number)
        assert await balance_of(busy) == before + 6_000_000
        await page.goto("/console/approvals?state=CARRIED_OUT")
        await page.get_by_role("link", name="What it moved").click()
        await page.get_by_text("Asked for by").wait_for()
        said = await page.locator("main").inner_text()
        assert busy.desk.name(Role.FINANCE) in said
        assert busy.desk.name(Role.ADMIN) in said
        await looks_right(page)


@SIZES
async def test_a_refund_that_is_owed_is_unblocked_and_paid(
    busy: Busy, browser: Browser, size: str, viewport: Any
) -> None:
    desk = busy.desk
    await desk.shop.set_wallet_status(busy.client_id, WalletStatus.FROZEN)
    await desk.shop.cancel(busy.waiting.id)
    async with driving(browser, desk.url, viewport=viewport) as page:
        await sign_in(page, busy.desk.name(Role.FINANCE))
        await page.goto("/console/money")
        await page.get_by_role("link", name="Refunds owed").click()
        await page.get_by_text("The wallet is frozen").wait_for()
        await looks_right(page)
        await page.get_by_role("link", name="Wallet", exact=False).last.click()
        await page.get_by_role("button", name="Change", exact=True).click()
        dialog = page.locator("[popover]:popover-open")
        await dialog.get_by_label("State").select_option("ACTIVE")
        await dialog.get_by_label("Why").fill("they proved who they are")
        await dialog.get_by_role("button", name="Save").click()
        await says(page, "Saved.")
        await page.goto("/console/money/owed")
        await page.get_by_role("button", name="Try again").click()
        await says(page, "The refund was tried again.")
        await page.get_by_text("Nothing is owed").wait_for()
    assert (await desk.shop.order(busy.waiting.id)).refund_owed_minor == 0


@SIZES
async def test_wallets_that_run_low_are_found_and_corrected(
    busy: Busy, browser: Browser, size: str, viewport: Any
) -> None:
    before = await balance_of(busy)
    async with driving(browser, busy.desk.url, viewport=viewport) as page:
        await sign_in(page, busy.desk.name(Role.FINANCE))
        await page.goto(busy.path("/console/money/wallets/{wallet_id}"))
        await send(page, "Change", "Save", Tell_the_client_below="20000", Why="they asked")
        await says(page, "Saved.")
        await page.goto("/console/money/wallets")
        await page.get_by_label("Below their threshold").check()
        await page.wait_for_url("**low=true**")
        await page.locator("#list").get_by_text("Low", exact=True).wait_for()
        await looks_right(page)
        await page.locator("#list .row-link").click()
        await send(page, "Adjust", "Book", Amount_in_USD="1.25", Why="a wire that we missed")
        await says(page, "Booked.")
        await page.locator("#list .row-link").first.click()
        await page.get_by_text("a wire that we missed").first.wait_for()
        await looks_right(page)
    assert await balance_of(busy) == before + 125
