"""Clients, settings and one's own account in a real browser: each task from login to result."""

import base64
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from playwright.async_api import Browser, Page

from rewards.pricing import service as pricing
from rewards.staff.model import Role
from rewards.staff.totp import code_of, step_at
from tests.console.desk import PASSWORD, Desk, open_desk
from tests.console.driving import (
    SIZES,
    driving,
    looks_right,
    picture,
    says,
    send,
    sign_in,
)
from tests.databases import Copies, with_database
from tests.webhooks.receiver import Receiver, receiving
from tests.webhooks.working import send_events

pytestmark = pytest.mark.browser
NEW = "another long and quiet password"


@pytest.fixture(scope="module")
async def house(
    server_dsn: str, copies: Copies, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Desk]:
    """One for all tests of this file: each makes what it changes."""
    name = await copies.take()
    home = tmp_path_factory.mktemp("clients")
    async with open_desk(with_database(server_dsn, name), home, webhook_local=True) as made:
        yield made
    copies.drop(name)


@pytest.fixture(autouse=True)
def later(house: Desk) -> None:
    """Two minutes: logins are tried ten times in one."""
    house.clock.ahead += timedelta(minutes=2)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


async def shown_once(page: Page, back: str) -> str:
    """A secret, read where it is shown, and nowhere after that."""
    await page.get_by_text("This is shown once").wait_for()
    await looks_right(page)
    secret: str = await page.locator("code.secret").last.inner_text()
    await page.get_by_role("link", name="Done").click()
    await page.wait_for_url(back)
    assert secret not in await page.content()
    return secret


async def tab(page: Page, name: str) -> None:
    await (
        page.get_by_role("navigation", name="Within this part")
        .get_by_role("link", name=name, exact=True)
        .click()
    )


@SIZES
async def test_a_client_is_set_up_from_nothing_to_mail(
    house: Desk, browser: Browser, size: str, viewport: Any
) -> None:
    name, buyer = f"Aurora {size}", f"buyer-{size}"
    async with driving(browser, house.url, viewport=viewport) as page:
        await sign_in(page, house.staff[Role.ADMIN].username)
        await page.goto("/console/clients")
        await send(page, "New client", "Make the client", Name=name)
        await page.get_by_role("heading", name=name).wait_for()
        await page.get_by_label("Orders a minute").fill("7")
        await page.locator("#why-limits").fill("a small shop")
        await page.get_by_role("button", name="Save limits").click()
        await says(page, "Saved.")
        await page.get_by_label("Conversion charge").fill("1.5")
        await page.locator("#why-terms").fill("as agreed")
        await page.get_by_role("button", name="Save terms").click()
        await says(page, "Saved.")
        await page.get_by_role("textbox", name="Addresses", exact=True).fill("192.0.2.0/24")
        await page.locator("#why-addresses").fill("it moved")
        await page.get_by_role("button", name="Save addresses").click()
        await says(page, "Saved.")
        assert await page.get_by_label("Orders a minute").input_value() == "7"
        assert Decimal(await page.get_by_label("Conversion charge").input_value()) == Decimal("1.5")
        await looks_right(page)
        await picture(page, f"console-client-{size}-light")
        await tab(page, "Logins")
        await send(page, "New login", "Let them in", Name=buyer, Password=NEW)
        await says(page, "The login was made.")
        await send(page, "Password", "Set it", Their_password=PASSWORD, Why="forgotten")
        await says(page, "Everybody of the client is signed out")
        await looks_right(page)
        await tab(page, "Mail")
        await page.get_by_label("Who of the client is mailed").fill("a@example.com")
        await page.get_by_label("Name of the brand").fill("Aurora")
        await page.get_by_role("button", name="Keep").click()
        await says(page, "It counts for every mail from now on.")
        assert await page.get_by_label("Name of the brand").input_value() == "Aurora"
        await looks_right(page)
        await tab(page, "Wallets")
        await send(page, "Open a wallet", "Open a wallet", Currency="USD")
        await says(page, "The wallet is open.")
        await page.get_by_role("button", name="Change", exact=True).click()
        dialog = page.locator("[popover]:popover-open")
        await dialog.get_by_label("State").select_option("FROZEN")
        await dialog.get_by_label("Why").fill("they asked for it")
        await dialog.get_by_role("button", name="Save").click()
        await says(page, "Saved.")
        await page.get_by_text("Frozen").first.wait_for()
        await tab(page, "Client")
        await send(page, "Suspend", "Suspend", Why="it does not pay")
        await says(page, "Saved.")
        await send(page, "Reactivate", "Reactivate", Why="it paid")
        await says(page, "Saved.")


@SIZES
async def test_discounts_are_agreed_with_a_client_and_taken_away(
    house: Desk, browser: Browser, size: str, viewport: Any
) -> None:
    shop = house.shop
    client_id, product = await shop.client(), await shop.product(40 + len(size))
    async with driving(browser, house.url, viewport=viewport) as page:
        await sign_in(page, house.name(Role.FINANCE))
        await page.goto(f"/console/clients/{client_id}")
        await tab(page, "Discounts")
        await page.get_by_text("Nothing agreed").wait_for()
        await looks_right(page)
        agreed = {"Product,_id": str(product.id), "Percent": "7.25", "Why": "a year's volume"}
        await send(page, "Agree on one", "Agree", **agreed)
        await says(page, "The discount counts now.")
        await page.get_by_role("row", name=product.name).get_by_text("7.25 %").wait_for()
        await looks_right(page)
        async with shop.parts.db.connection() as connection:
            agreed_on = await pricing.discount_of(connection, product.id, client_id)
        assert agreed_on == Decimal("7.25")
        await send(page, "Change", "Agree", Percent="", Why="the year is over")
        await says(page, "The discount counts now.")
        await page.get_by_text("Nothing agreed").wait_for()


@SIZES
async def test_credentials_are_issued_rotated_and_revoked(
    house: Desk, browser: Browser, size: str, viewport: Any
) -> None:
    path = f"/console/clients/{await house.shop.client()}/credentials"
    async with driving(browser, house.url, viewport=viewport) as page:
        await sign_in(page, house.staff[Role.ADMIN].username)
        await page.goto(path)
        await send(page, "Issue a credential", "Issue", What_it_is_for="till")
        first = await shown_once(page, f"**{path}")
        await page.get_by_text("till").first.wait_for()
        await send(page, "New signing secret", "Replace", Why="leaked")
        assert await shown_once(page, f"**{path}") != first
        await send(page, "Revoke", "Revoke", Why="leaked")
        await says(page, "Revoked.")
        assert await page.get_by_role("button", name="Revoke", exact=True).count() == 0
        await looks_right(page)


@SIZES
async def test_a_webhook_is_made_tested_sent_again_and_deleted(
    house: Desk, browser: Browser, receiver: Receiver, size: str, viewport: Any
) -> None:
    path = f"/console/clients/{await house.shop.client()}/webhooks"
    async with driving(browser, house.url, viewport=viewport) as page:
        await sign_in(page, house.staff[Role.ADMIN].username)
        await page.goto(path)
        fields = {"URL": receiver.url("shop"), "What_to_call_it": "Till"}
        await send(page, "New webhook", "Make it", **fields)
        await shown_once(page, f"**{path}")
        await page.get_by_role("link", name="Till").click()
        await page.get_by_role("button", name="Send a test").click()
        await says(page, "A test event is on its way.")
        await send_events(house.shop.parts)
        await page.reload()
        await page.get_by_role("link", name="webhook.test").first.click()
        await page.get_by_role("cell", name="200").wait_for()
        await looks_right(page)
        await page.get_by_role("button", name="Send again").click()
        await says(page, "It is sent again.")
        await send_events(house.shop.parts)
        assert len(receiver.heard["shop"]) == 2
        day = house.shop.now.date().isoformat()
        await send(page, "Send what it missed", "Send", **{"Since_(UTC)": day})
        await says(page, "are on their way")
        await send(page, "New secret", "Replace")
        await shown_once(page, "**/webhooks/*")
        await send(page, "Change", "Save", Name="Till two")
        await says(page, "Saved.")
        await page.get_by_role("heading", name="Till two").wait_for()
        await send(page, "Disable", "Disable")
        await says(page, "Saved.")
        await send(page, "Delete", "Delete")
        await says(page, "Deleted.")


@SIZES
async def test_somebody_of_the_staff_is_let_in_changed_and_shown_out(
    house: Desk, browser: Browser, size: str, viewport: Any
) -> None:
    name = f"eve-{size}"
    async with driving(browser, house.url, viewport=viewport) as page:
        await sign_in(page, house.staff[Role.ADMIN].username)
        await page.goto("/console/settings")
        await send(page, "New person", "Let them in", Name=name, First_password=NEW)
        await says(page, "They can sign in now.")
        await page.get_by_role("link", name=name).click()
        await page.get_by_role("heading", name=name, exact=True).wait_for()
        async with driving(browser, house.url, viewport=viewport) as other:
            await sign_in(other, name, NEW)
            await page.reload()
            await page.get_by_text("Active").first.wait_for()
            await page.get_by_role("button", name="Role", exact=True).click()
            dialog = page.locator("[popover]:popover-open")
            await dialog.get_by_label("Role").select_option("finance")
            await dialog.get_by_label("Why").fill("another team")
            await dialog.get_by_role("button", name="Change").click()
            await says(page, "The new role counts at once.")
            async with driving(browser, house.url, viewport=viewport) as third:
                await sign_in(third, name, NEW)
                await page.reload()
                await send(page, "End it", "End the session", Why="left it open")
                await says(page, "That session has ended.")
                await third.goto("/console/orders")
                await third.get_by_role("heading", name="Sign in").wait_for()
                await other.reload()
                assert "/sign-in" not in other.url
            await send(page, "Sign out", "Sign them out", Why="stolen")
            await says(page, "They are signed out everywhere.")
            await page.locator("#list table").get_by_text("Ended").first.wait_for()
            await other.goto("/console/orders")
            await other.get_by_role("heading", name="Sign in").wait_for()
        await looks_right(page)
        await send(page, "Password", "Set it", Their_password=PASSWORD, Why="forgotten")
        await says(page, "Set, and they are signed out everywhere.")
        await send(page, "Deactivate", "Deactivate", Why="has left")
        await says(page, "Signed out everywhere.")
        await send(page, "Activate", "Activate", Why="is back")
        await says(page, "They can sign in again.")
        await page.goto("/console/settings/installation")
        await page.get_by_text("REWARDS_POOL_SIZE").wait_for()
        await looks_right(page)


@SIZES
async def test_ones_own_factor_is_set_up_lost_and_reset(
    house: Desk, browser: Browser, size: str, viewport: Any
) -> None:
    name = f"frank-{size}"
    async with driving(browser, house.url, viewport=viewport) as admin:
        await sign_in(admin, house.staff[Role.ADMIN].username)
        await admin.goto("/console/settings")
        await send(admin, "New person", "Let them in", Name=name, First_password=PASSWORD)
        await admin.get_by_role("link", name=name).click()
        async with driving(browser, house.url, viewport=viewport) as page:
            await sign_in(page, name)
            await page.goto("/console/me")
            await page.get_by_role("button", name="Set it up").click()
            secret = await page.locator("code.secret").inner_text()
            await looks_right(page)
            await page.get_by_label("code", exact=False).last.fill(code_now(secret, house))
            await page.get_by_role("main").get_by_role("button").last.click()
            await page.get_by_text("Recovery code 1", exact=True).wait_for()
            await page.get_by_role("link", name="Done").click()
            await page.get_by_label("The one now").fill(PASSWORD)
            await page.get_by_label("The new one").fill(NEW)
            await page.get_by_role("button", name="Change the password").click()
            await says(page, "Changed. Your other sessions have ended.")
            await page.get_by_role("button", name="End all others").click()
            await says(page, "Your other sessions have ended.")
            await looks_right(page)
        await send(admin, "Second factor", "Take it off", Why="lost it")
        await says(admin, "Their second factor is off")
        async with driving(browser, house.url, viewport=viewport) as page:
            await sign_in(page, name, NEW)


def code_now(secret: str, desk: Desk) -> str:
    """What an authenticator shows."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    return code_of(key, step_at(desk.shop.now))
