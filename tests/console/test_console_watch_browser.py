"""Alerts, the trail, orders and what waits, in a real browser from login to result."""

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page

from rewards.audit.checking import Check
from rewards.audit.csv_export import CsvRows
from rewards.audit.model_export import JsonLines
from rewards.infra.beats import Heart, ProcessKind
from rewards.staff.model import Role
from tests.console.desk import Desk
from tests.console.driving import (
    SIZES,
    driving,
    go,
    looks_right,
    picture,
    says,
    send,
    sign_in,
)
from tests.console.watched import (
    fail_job,
    made_older,
    mailed,
    open_vending,
    raise_alerts,
    seal,
    trail,
    waiting,
)

pytestmark = pytest.mark.browser

# Where people look things up; each of them moves by the same keys.
LISTS = ("/console/orders", "/console/waiting", "/console/alerts", "/console/audit")


async def furnish(desk: Desk) -> list[Any]:
    """A delivered order, one that waits, two that wait since yesterday; alerts, a mail, seals."""
    late = await waiting(desk, 3, 5)
    await made_older(desk, late, hours=30)
    orders = [*await waiting(desk, 2, 1, stock=2), *late]
    await mailed(desk, orders[0])
    await raise_alerts(desk)
    await seal(desk)
    async with desk.shop.parts.db.transaction() as tx:
        await tx.execute("UPDATE clients SET name = 'Harbour Gifts'")
    return orders


@SIZES
async def test_an_alert_is_followed_from_today_and_acknowledged(
    desk: Desk, browser: Browser, size: str, viewport: Any
) -> None:
    await furnish(desk)
    async with driving(browser, desk.url, viewport=viewport) as page:
        await sign_in(page, desk.name(Role.OPERATIONS))
        await page.get_by_text("3 alerts are open").wait_for()
        await looks_right(page)
        await page.get_by_role("link", name="3 alerts are open").click()
        await page.get_by_role("heading", name="Alerts").wait_for()
        row = page.locator("tbody tr", has_text="ORDERS_STUCK")
        await row.get_by_role("button", name="Acknowledge").click()
        dialog = page.locator("[popover]:popover-open")
        await dialog.get_by_label("What is being done").fill("retried after the pump")
        await looks_right(page)
        await dialog.get_by_role("button", name="Acknowledge it").click()
        await says(page, "Acknowledged.")
        assert "retried after the pump" in await row.inner_text()
        await looks_right(page)
        await row.get_by_role("link").first.click()
        await page.get_by_role("heading", name="Waiting").wait_for()
        assert "sub_status=VENDOR_ORDER_PENDING" in page.url
    assert await trail(desk, "alert.acknowledged") == [
        (desk.name(Role.OPERATIONS), "retried after the pump")
    ]


@SIZES
async def test_a_failed_job_runs_again_and_a_lost_mail_is_sent_again(
    desk: Desk, browser: Browser, size: str, viewport: Any
) -> None:
    orders = await furnish(desk)
    await fail_job(desk)
    async with driving(browser, desk.url, viewport=viewport) as page:
        await sign_in(page, desk.name(Role.OPERATIONS))
        await go(page, "Health")
        await page.get_by_text("no such shelf").wait_for()
        await page.get_by_role("button", name="Run again").click()
        await says(page, "It runs again.")
        await page.get_by_text("No job failed").wait_for()
        await go(page, "Mail")
        await page.get_by_label("State").select_option("FAILED")
        await page.wait_for_url("**state=FAILED**")
        await page.locator("#list").get_by_role("link", name="Order delivered").click()
        await page.get_by_role("heading", name="Mail 1").wait_for()
        await send(page, "Mail it again", "Mail it", Why="the mailbox is there now")
        await says(page, "It is mailed once more.")
        await page.get_by_role("link", name=str(orders[0].id), exact=True).click()
        await page.get_by_role("heading", name=f"Order {orders[0].id}").wait_for()
    assert await trail(desk, "notice.resent") == [
        (desk.name(Role.OPERATIONS), "the mailbox is there now")
    ]
    assert len(await trail(desk, "job.revived")) == 1


@SIZES
async def test_an_act_is_found_in_the_trail_and_the_trail_taken_away(
    desk: Desk, browser: Browser, tmp_path: Path, size: str, viewport: Any
) -> None:
    orders = await furnish(desk)
    operations = await desk.at(Role.OPERATIONS)
    path = f"/console/orders/{orders[1].id}"
    await operations.send(path, f"{path}/cancel", reason="the client gave up")
    key = await seal(desk)
    async with driving(browser, desk.url, viewport=viewport) as page:
        await sign_in(page, desk.name(Role.FINANCE))
        await page.goto("/console/audit")
        await page.get_by_role("searchbox").fill("order.cancelled")
        await page.wait_for_url("**action=order.cancelled**")
        await page.get_by_text("the client gave up").wait_for()
        assert await page.locator("#list tbody tr").count() == 1
        await page.locator("#list summary").click()
        said = await page.locator("#list tbody").inner_text()
        assert "CANCELLED·REFUNDED" in said
        assert "25.50" in said
        await looks_right(page)
        for form, kind in (("JSON lines", JsonLines), ("CSV for a spreadsheet", CsvRows)):
            await page.get_by_label("As", exact=True).select_option(label=form)
            async with page.expect_download() as coming:
                await page.get_by_role("button", name="Export").click()
            file = tmp_path / (await coming.value).suggested_filename
            await (await coming.value).save_as(file)
            check = Check(key)
            lines = file.read_bytes().splitlines(keepends=True)
            assert check.run(kind.read(lines)) == []  # type: ignore[attr-defined]
            assert check.entries > 5
        assert file.suffix == ".csv"
    assert len(await trail(desk, "audit.exported")) == 2


@SIZES
async def test_a_search_is_narrowed_kept_used_and_forgotten(
    desk: Desk, browser: Browser, size: str, viewport: Any
) -> None:
    orders = await furnish(desk)
    async with driving(browser, desk.url, viewport=viewport) as page:
        await sign_in(page, desk.name(Role.SUPPORT))
        await page.goto("/console/orders")
        assert await page.locator("#list tbody tr").count() == 4
        await page.locator("summary", has_text="More filters").click()
        await page.get_by_label("Currency").fill("USD")
        await page.get_by_label("From amount").fill("60")
        await page.wait_for_url("**min_amount=60**")
        await page.locator("#list tbody tr").nth(1).wait_for()
        assert await page.locator("#list tbody tr").count() == 2
        assert "Harbour Gifts" in await page.locator("#list").inner_text()
        await send(page, "Keep this search", "Keep it", Name="Large ones")
        await says(page, "Kept.")
        await looks_right(page)
        await page.goto("/console/orders")
        await page.get_by_role("link", name="Large ones").click()
        await page.wait_for_url("**min_amount=60**")
        assert await page.locator("#list tbody tr").count() == 2
        await page.get_by_role("button", name="Forget Large ones").click()
        await says(page, "Forgotten.")
        assert await page.get_by_role("link", name="Large ones").count() == 0
        await page.goto(f"/console/orders?q={orders[3].ref}")
        await page.keyboard.press("j")
        await page.keyboard.press("Enter")
        await page.get_by_role("heading", name=f"Order {orders[3].id}").wait_for()


@SIZES
async def test_a_code_is_shown_for_a_reason_and_an_item_given_back(
    desk: Desk, browser: Browser, size: str, viewport: Any
) -> None:
    orders = await furnish(desk)
    async with driving(browser, desk.url, viewport=viewport) as page:
        await sign_in(page, desk.name(Role.ADMIN))
        await page.goto(f"/console/orders/{orders[0].id}")
        await page.get_by_role("heading", name=f"Order {orders[0].id}").wait_for()
        shown = await page.locator("main").inner_text()
        for text in ("Harbour Gifts", "order.placed", "Items", "Money", "Mail", "••••"):
            assert text.lower() in shown.lower(), text
        assert "j***@customer.example" in await page.locator("main").inner_html()
        await looks_right(page)
        await send(page, "Reveal", "Show it", Why="the end user cannot read it")
        await page.get_by_text("is in the audit trail").wait_for()
        assert await page.locator("code.secret").count() > 0
        await looks_right(page)
        await page.get_by_role("link", name="Done").click()
        await page.get_by_label(f"Choose item {orders[0].id}-1", exact=True).check()
        await page.get_by_label("Why the chosen items go back").fill("it leaked")
        await page.get_by_role("button", name="Give back the chosen items").click()
        await says(page, "These items were given back.")
        await send(page, "Mail it again", "Mail it", Why="they ask for it")
        await says(page, "It is mailed once more.")
        await looks_right(page)
    assert await desk.shop.item_states(orders[0].id) == ["REVOKED", "DELIVERED"]
    assert len(await trail(desk, "order.code_revealed")) == 1


@SIZES
async def test_what_waits_longest_is_ended_for_many_after_a_preview(
    desk: Desk, browser: Browser, size: str, viewport: Any
) -> None:
    orders = await furnish(desk)
    async with driving(browser, desk.url, viewport=viewport) as page:
        await sign_in(page, desk.name(Role.OPERATIONS))
        await page.get_by_role("link", name="For more than a day").click()
        await page.wait_for_url("**older_than=24**")
        assert await page.locator("#list tbody tr").count() == 2
        for order in orders[2:]:
            await page.get_by_label(f"Choose order {order.id}", exact=True).check()
        await page.get_by_role("button", name="Cancel", exact=True).click()
        await page.get_by_text("Nothing was done yet.").wait_for()
        assert "76.50" in await page.locator("main").inner_text()
        await looks_right(page)
        await page.get_by_label("Why").fill("the brand has none")
        await page.get_by_role("button", name="Cancel 2 orders").click()
        await says(page, "Done for 2 of 2 orders.")
        await looks_right(page)
    states = [(await desk.shop.order(order.id)).status for order in orders]
    assert states == ["DELIVERED", "PENDING", "CANCELLED", "CANCELLED"]


async def test_a_retry_of_many_by_the_keyboard_alone(desk: Desk, browser: Browser) -> None:
    orders = await furnish(desk)
    product = desk.shop.parts.catalog.product(6)
    assert product is not None
    await desk.shop.stock(product, 8)
    async with driving(browser, desk.url) as page:
        await sign_in(page, desk.name(Role.SUPPORT))
        await page.goto("/console/waiting")
        for key in ("j", "x", "j", "x"):
            await page.keyboard.press(key)
        await page.get_by_text("2 chosen").wait_for()
        await page.get_by_role("button", name="Retry", exact=True).press("Enter")
        await page.get_by_text("Nothing was done yet.").wait_for()
        await page.get_by_label("Why").fill("there is stock again")
        await page.get_by_role("button", name="Retry 2 orders").press("Enter")
        await says(page, "Done for 2 of 2 orders.")
    assert [(await desk.shop.order(order.id)).status for order in orders[2:]] == ["DELIVERED"] * 2


@SIZES
async def test_a_vendor_is_compared_and_asked(
    dsn: str, tmp_path: Path, browser: Browser, size: str, viewport: Any
) -> None:
    async with open_vending(dsn, tmp_path) as (desk, counter):
        one, other = await counter.waiting(2), await counter.waiting(1)
        async with driving(browser, desk.url, viewport=viewport) as page:
            await sign_in(page, desk.name(Role.OPERATIONS))
            await page.goto("/console/waiting")
            await page.get_by_role("link", name=f"Compare vendors for order {one.id}").click()
            await page.get_by_role("heading", name="Buy from a vendor").wait_for()
            said = await page.locator("tbody tr").first.inner_text()
            assert "acme" in said
            # What it costs, and what that leaves.
            assert "48.50" in said
            assert "2.50" in said
            await looks_right(page)
            await page.get_by_role("button", name="Ask", exact=True).click()
            dialog = page.locator("[popover]:popover-open")
            await dialog.get_by_label("Why").fill("asked by the client")
            await dialog.get_by_role("button", name="Buy for").click()
            await says(page, "Approved; a worker now asks the vendor.")
            await counter.work()
            await page.reload()
            await page.get_by_text("Delivered", exact=True).first.wait_for()
            assert "Exchange" in await page.locator("#story ~ ol").inner_text()
            await looks_right(page)
            await page.goto("/console/waiting")
            await page.get_by_label(f"Choose order {other.id}", exact=True).check()
            await page.get_by_role("button", name="Buy from a vendor").click()
            await page.get_by_label("From which vendor").select_option("acme")
            await page.get_by_role("button", name="See what that would cost").click()
            await page.get_by_text("1 from acme").wait_for()
            await looks_right(page)
            await page.get_by_label("Why").fill("asked by the client")
            await page.get_by_role("button", name="Buy from a vendor 1 order").click()
            await says(page, "Done for 1 of 1 orders.")
        assert (await desk.shop.order(one.id)).status == "DELIVERED"


async def focused(page: Page) -> str:
    return str(await page.evaluate("document.activeElement.className || document.activeElement.id"))


async def test_every_list_is_moved_through_by_the_same_keys(desk: Desk, browser: Browser) -> None:
    await furnish(desk)
    async with driving(browser, desk.url) as page:
        await sign_in(page, desk.name(Role.ADMIN))
        for path in LISTS:
            await page.goto(path)
            await page.keyboard.press("/")
            assert await page.evaluate("document.activeElement.closest('.filters') !== null"), path
            await page.evaluate("document.activeElement.blur()")
            await page.keyboard.press("j")
            await page.keyboard.press("j")
            await page.keyboard.press("k")
            assert "row-link" in await focused(page), path
            first = await page.evaluate(
                "document.activeElement === document.querySelector('main .row-link')"
            )
            assert first, path
            await page.keyboard.press("?")
            await page.get_by_role("dialog", name="Keyboard").wait_for()
            await page.keyboard.press("Escape")
            await page.evaluate("document.querySelector('main .row-link').focus()")
            await page.keyboard.press("Enter")
            if path == "/console/audit":
                await page.locator("#list details[open]").first.wait_for()
            else:
                await page.wait_for_url(lambda url, path=path: not url.endswith(path))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@SIZES
async def test_the_watch_looks_right(
    desk: Desk, browser: Browser, size: str, viewport: Any, scheme: Any
) -> None:
    """Each page with something on it, and the lists with nothing: axe finds nothing serious."""
    async with driving(browser, desk.url, viewport=viewport, color_scheme=scheme) as page:
        await sign_in(page, desk.name(Role.ADMIN))
        for path in (*LISTS[:3], "/console/mails", "/console/health"):
            await page.goto(path)
            await page.locator(".empty").first.wait_for()
            await looks_right(page)
        orders = await furnish(desk)
        await fail_job(desk)
        await Heart(desk.shop.parts.db, ProcessKind.WORKER).beat()
        # Every page once in each light; both sizes have pictures.
        for path, name in (
            ("/console", "today"),
            ("/console/alerts", "alerts"),
            ("/console/audit", "audit"),
            ("/console/orders", "orders"),
            ("/console/waiting", "waiting"),
            (f"/console/orders/{orders[0].id}", ""),
            ("/console/health", "health"),
            ("/console/mails", "mails"),
            ("/console/mails/1", ""),
            ("/console/mails?client_id=x", ""),
            ("/console/orders?min_amount=x", ""),
            ("/console/audit?request_id=none", ""),
        ):
            await page.goto(path)
            await page.get_by_role("main").wait_for()
            await looks_right(page)
            if name and (size == "desktop") == (scheme == "light"):
                await picture(page, f"console-{name}-{size}-{scheme}")
