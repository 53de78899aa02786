"""The portal in a real browser: each task from login to result, on a desk and on a phone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from playwright.async_api import Browser, Page

from rewards.clients.model_members import MemberRole
from tests.console.driving import DESK, PHONE, driving, looks_right, picture, says
from tests.databases import Copies, with_database
from tests.market import MovedClock
from tests.members.company import PASSWORD, Company, opened
from tests.portal.test_portal_pages import PAGES, placed
from tests.webhooks.receiver import Receiver, receiving
from tests.webhooks.working import send_events

pytestmark = pytest.mark.browser
SIZES = pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desktop", "phone"])
# Of which pages the documents have pictures.
PICTURED = {"": "home", "/keys": "keys", "/requests": "requests", "/webhooks": "webhooks"}
NEW = "another quiet password"
CLOCK = MovedClock()


@pytest.fixture(scope="module")
async def company(
    server_dsn: str, copies: Copies, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Company]:
    """One for all tests of this file: each makes what it changes."""
    name = await copies.take()
    home = tmp_path_factory.mktemp("portal")
    dsn = with_database(server_dsn, name)
    async with opened(dsn, home, CLOCK, webhook_local=True) as made:
        yield made
    copies.drop(name)


@pytest.fixture(autouse=True)
def later(company: Company) -> None:
    """Two minutes: logins and passwords are tried ten times in one."""
    CLOCK.ahead += timedelta(minutes=2)
    company.tokens.clear()


@asynccontextmanager
async def signed_in(
    company: Company, browser: Browser, viewport: Any, role: MemberRole = MemberRole.OWNER
) -> AsyncIterator[Page]:
    async with driving(browser, company.url, viewport=viewport) as page:
        await sign_in(page, company.name(role))
        await page.wait_for_url("**/portal")
        yield page


async def sign_in(page: Page, name: str, password: str = PASSWORD) -> None:
    await page.goto("/portal/sign-in")
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Password", exact=False).first.fill(password)
    await page.get_by_role("button", name="Sign in").click()


async def send(page: Page, opens: str, button: str, **fields: str) -> None:
    """Open a dialog, fill it in, send it."""
    await page.get_by_role("button", name=opens, exact=True).first.click()
    dialog = page.locator("[popover]:popover-open")
    for label, text in fields.items():
        await dialog.get_by_label(label.replace("_", " ")).fill(text)
    await looks_right(page)
    await dialog.get_by_role("button", name=button, exact=True).click()


async def shown_once(page: Page) -> str:
    """A secret, read where it is shown, and nowhere after that."""
    await page.get_by_text("This is shown once").wait_for()
    await looks_right(page)
    secret: str = await page.locator("code.secret").last.inner_text()
    await page.get_by_role("link", name="Done").click()
    names = ("Deliveries", "API keys")
    back = [page.get_by_role("heading", name=name, exact=True) for name in names]
    await back[0].or_(back[1]).wait_for()
    assert secret not in await page.content()
    return secret


@SIZES
async def test_who_cannot_sign_in_is_told_what_to_do(
    company: Company, browser: Browser, viewport: Any
) -> None:
    async with driving(browser, company.url, viewport=viewport) as page:
        await sign_in(page, company.name(MemberRole.VIEWER), "wrong password")
        await says(page, "do not fit")
        await page.get_by_text("Forgot your password?").click()
        await page.get_by_text("The only owner asks whoever runs this service").wait_for()
        await looks_right(page)


@SIZES
async def test_an_order_is_found_and_its_codes_shown(
    company: Company, browser: Browser, viewport: Any
) -> None:
    number = await placed(company)
    async with signed_in(company, browser, viewport) as page:
        await page.goto("/portal/orders")
        await page.keyboard.press("/")
        await page.keyboard.type(str(number))
        await page.wait_for_url(f"**q={number}**")
        await page.locator("#list").get_by_role("link", name=str(number)).first.wait_for()
        await page.locator("#list .row-link").first.click()
        await page.get_by_role("heading", name=f"Order {number}").wait_for()
        assert "CANARY" not in await page.content()
        await page.get_by_role("button", name="Show the codes").click()
        await page.get_by_text("Whoever sees a code can spend it").wait_for()
        assert (await page.content()).count("CANARY") >= 2
        await looks_right(page)
        today = company.shop.now.date().isoformat()
        await page.goto(f"/portal/orders?from={today}&to={today}")
        await page.get_by_role("link", name=str(number)).wait_for()


@SIZES
async def test_money_is_followed_and_downloaded(
    company: Company, browser: Browser, viewport: Any
) -> None:
    async with signed_in(company, browser, viewport, MemberRole.FINANCE) as page:
        await page.goto("/portal/money?type=TOPUP")
        await page.locator("#list .row-link").first.click()
        await page.get_by_role("heading", name="Transaction").wait_for()
        await looks_right(page)
        await page.goto("/portal/money")
        async with page.expect_download() as lines:
            await page.get_by_role("link", name="Transactions as CSV").click()
        assert "TOPUP" in (await (await lines.value).path()).read_text()
        async with page.expect_download() as statement:
            await page.get_by_role("button", name="Download").click()
        assert (await statement.value).suggested_filename.startswith("statement-")


@SIZES
async def test_a_key_is_made_replaced_rotated_and_revoked(
    company: Company, browser: Browser, viewport: Any
) -> None:
    proof = {"Your_password": PASSWORD}
    async with signed_in(company, browser, viewport) as page:
        await page.goto("/portal/keys")
        await send(page, "Make a key", "Make it", What_it_is_for="till", **proof)
        first = await shown_once(page)
        await send(page, "Replace", "Make it", **proof)
        assert await shown_once(page) != first
        await send(page, "New signing secret", "Replace", **proof)
        assert await shown_once(page) != first
        for _ in range(2):
            await send(page, "Revoke", "Revoke", **proof)
            await says(page, "The key is revoked.")
        assert await page.get_by_role("button", name="Revoke", exact=True).count() == 0
        made = (await company.call("GET", "/credentials")).json[-2:]
        assert made[0]["scopes"] == made[1]["scopes"]
        assert all(key["revoked_at"] for key in made)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


@SIZES
async def test_a_webhook_is_made_tested_sent_again_changed_and_deleted(
    company: Company, browser: Browser, receiver: Receiver, viewport: Any
) -> None:
    async with signed_in(company, browser, viewport, MemberRole.DEVELOPER) as page:
        await page.goto("/portal/webhooks")
        await send(page, "Add a webhook", "Add it", URL=receiver.url("shop"), Name="Till")
        await shown_once(page)
        await page.get_by_role("button", name="Send a test").click()
        await says(page, "A test is on its way")
        await send_events(company.shop.parts)
        await page.reload()
        await page.get_by_role("link", name="webhook.test").first.click()
        await page.get_by_role("heading", name="Attempts").wait_for()
        await page.get_by_role("cell", name="200").wait_for()
        await looks_right(page)
        await page.get_by_role("button", name="Send again").click()
        await says(page, "It is sent again.")
        await send_events(company.shop.parts)
        assert [b"webhook.test" in heard.body for heard in receiver.heard["shop"]].count(True) == 2
        await send(page, "Change", "Save", Name="Till two")
        await page.get_by_role("heading", name="Till two").wait_for()
        day = company.shop.now.date().isoformat()
        await send(page, "Send what it missed", "Send", **{"Since_(UTC)": day})
        await says(page, "are on their way")
        await send(page, "New secret", "Make it")
        await shown_once(page)
        await page.get_by_role("button", name="Switch off").click()
        await says(page, "It is switched.")
        await send(page, "Delete", "Delete")
        await says(page, "The webhook is deleted.")


@SIZES
async def test_a_request_is_found_by_its_id_and_leads_to_its_order(
    company: Company, browser: Browser, viewport: Any
) -> None:
    asked = f"till-{viewport['width']}"
    key = await company.key(name="Shop")
    number = await placed(company, by=key, headers={"X-Request-Id": asked})
    await company.shop.parts.requests.flush()
    async with signed_in(company, browser, viewport) as page:
        await page.goto("/portal/requests")
        await page.get_by_role("searchbox").fill(asked)
        await page.wait_for_url(f"**request_id={asked}**")
        await page.locator("#list tbody tr").first.wait_for()
        await page.locator("#list").get_by_role("link", name=str(number)).click()
        await page.get_by_role("heading", name=f"Order {number}").wait_for()


@SIZES
async def test_usage_stands_against_limits_and_a_threshold_is_set(
    company: Company, browser: Browser, viewport: Any
) -> None:
    async with signed_in(company, browser, viewport, MemberRole.FINANCE) as page:
        await page.get_by_role("heading", name="Limits").wait_for()
        assert await page.get_by_role("progressbar").count() >= 4
        await page.goto("/portal/settings")
        await page.get_by_label("Tell us below, in USD").fill("12.50")
        await page.get_by_label("Who of you is mailed").fill("money@example.com")
        await page.get_by_role("button", name="Keep").click()
        await says(page, "The settings are kept.")
        assert await page.get_by_label("Tell us below, in USD").input_value() == "12.50"
        await page.goto("/portal/money")
        assert "12.50" in await page.locator("main").inner_text()


@SIZES
async def test_somebody_is_let_in_given_a_role_a_password_and_shown_out(
    company: Company, browser: Browser, viewport: Any
) -> None:
    name, proof = f"ada-{viewport['width']}", {"Your_password": PASSWORD}
    async with signed_in(company, browser, viewport) as page:
        await page.goto("/portal/team")
        fields = {"Name": name, "Their_first_password": NEW, **proof}
        await send(page, "Let somebody in", "Let them in", **fields)
        await says(page, "They may log in now.")
        hers = page.get_by_role("row", name=name)
        for chosen, done in (("Finance", {"Another_password": PASSWORD}), ("Finance", {})):
            await hers.get_by_role("button", name="Change").click()
            dialog = page.locator("[popover]:popover-open")
            await dialog.get_by_label("Role").select_option(chosen.lower())
            for label, text in {**done, **proof}.items():
                await dialog.get_by_label(label.replace("_", " ")).fill(text)
            if not done:
                await dialog.get_by_label("May sign in").uncheck()
            await looks_right(page)
            await dialog.get_by_role("button", name="Save").click()
            await says(page, "It counts from now on.")
            async with driving(browser, company.url, viewport=viewport) as other:
                await sign_in(other, name)
                if done:
                    await other.wait_for_url("**/portal")
                    await other.get_by_role("button", name="your account").click()
                    await other.get_by_text("Finance").wait_for()
                    await other.get_by_role("button", name="Sign out").click()
                    await says(other, "You are signed out.")
                else:
                    await says(other, "do not fit")
        # Hers ended, and nobody else's.
        await page.goto("/portal/team")
        await page.get_by_role("heading", name="Team").first.wait_for()


@pytest.mark.parametrize(
    ("size", "viewport", "scheme"),
    [
        ("desktop", DESK, "light"),
        ("phone", PHONE, "dark"),
        ("desktop", DESK, "dark"),
        ("phone", PHONE, "light"),
    ],
)
async def test_every_page_looks_right(
    company: Company, browser: Browser, size: str, viewport: Any, scheme: str
) -> None:
    """axe finds nothing serious, and nothing is wider than the screen."""
    number = await placed(company)
    hook = {"url": "http://127.0.0.1:8099/hook", "name": "Shop"}
    made = (await company.call("POST", "/webhooks", hook)).json["id"]
    await company.call("POST", f"/webhooks/{made}/test")
    await send_events(company.shop.parts)
    delivery = (await company.call("GET", f"/webhooks/{made}/deliveries")).json[0]["id"]
    line = (await company.call("GET", "/transactions")).json[0]["id"]
    await company.shop.parts.requests.flush()
    more = (
        *(f"/orders/{number}", f"/webhooks/{made}", f"/money/transactions/{line}", "/nowhere"),
        f"/webhooks/{made}/deliveries/{delivery}",
    )
    async with driving(browser, company.url, viewport=viewport, color_scheme=scheme) as page:
        await sign_in(page, company.name(MemberRole.OWNER))
        await page.wait_for_url("**/portal")
        for path in (*PAGES, *more):
            await page.goto(f"/portal{path}")
            await looks_right(page)
            if path in PICTURED and (size == "desktop") == (scheme == "light"):
                await picture(page, f"portal-{PICTURED[path]}-{size}-{scheme}")
