"""The portal in a real browser, on a desk and on a phone: each page whole, and a key to its end."""

import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, Page

from rewards.clients.model_members import MemberRole
from tests.browsing import IMAGES, PICTURES, WIDER, launched
from tests.members.company import PASSWORD, Company
from tests.portal.test_portal_pages import PAGES, placed

pytestmark = pytest.mark.browser
SIZES = {"desktop": {"width": 1280, "height": 860}, "phone": {"width": 390, "height": 844}}
WAIT_MS = 60_000
# Of which pages the documents have pictures.
PICTURED = {"": "portal-home", "/keys": "portal-keys", "/requests": "portal-requests"}


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with launched() as opened:
        yield opened


async def sign_in(page: Page, name: str) -> None:
    await page.goto("/portal/sign-in")
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url("**/portal")


@pytest.mark.parametrize("size", SIZES)
async def test_every_page_fits_and_a_key_is_made(
    company: Company, browser: Browser, size: str
) -> None:
    number = await placed(company)
    key = await company.key(name="Shop")
    await company.call("GET", "/wallets", by=key)
    await company.shop.parts.requests.flush()
    viewport: Any = SIZES[size]
    context = await browser.new_context(base_url=company.url, viewport=viewport)
    context.set_default_timeout(WAIT_MS)
    page = await context.new_page()
    broken: list[str] = []
    page.on("pageerror", lambda problem: broken.append(str(problem)))
    await sign_in(page, company.name(MemberRole.OWNER))
    for path in (*PAGES, f"/orders/{number}"):
        answer = await page.goto(f"/portal{path}")
        assert answer is not None
        assert answer.status == 200
        assert not await page.evaluate(WIDER), path
        if os.environ.get(PICTURES) and path in PICTURED:
            target = IMAGES / f"{PICTURED[path]}-{size}.png"
            await page.screenshot(path=target, animations="disabled")
    await page.get_by_role("button", name="Show the codes").click()
    await page.get_by_text("Whoever sees a code can spend it").wait_for()
    await page.goto("/portal/keys")
    await page.get_by_role("button", name="Make a key").click()
    dialog = page.locator("[popover]:popover-open")
    await dialog.get_by_label("What it is for").fill("till")
    await dialog.get_by_label("Your password").fill(PASSWORD)
    await dialog.get_by_role("button", name="Make it").click()
    await page.get_by_text("This is shown once").wait_for()
    secret = await page.locator("#secret-2").text_content()
    await page.get_by_role("link", name="Done").click()
    await page.get_by_role("heading", name="API keys").wait_for()
    assert (secret or "-") not in await page.content()
    assert broken == []
    await context.close()
