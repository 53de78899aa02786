"""The claim page in a real browser: on a phone, on a desk, in the dark, without a script (T56)."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.async_api import Browser, Page

from tests.browsing import IMAGES, PICTURES, WIDER
from tests.claims.site import PASSWORD, Site

pytestmark = pytest.mark.browser

PHONE = {"width": 390, "height": 844}
FIELDS = {"code": "AURB-7Q2M-K9XD-4T6W", "pin": "4821"}
EXPIRES_AT = datetime(2028, 6, 30, 23, 59, 59, tzinfo=UTC)
DESK = {"width": 1280, "height": 900}
CLIPBOARD = ["clipboard-read", "clipboard-write"]
WAIT_MS = 15_000
SMALL_TARGETS = """() => [...document.querySelectorAll('button, a, summary, input')]
    .filter(node => node.offsetParent && node.getBoundingClientRect().height < 44)
    .map(node => node.outerHTML)"""
# WCAG 1.4.3: every text against the first opaque ground behind it; cards have a gradient.
CONTRASTS = """() => {
    const light = ([r, g, b]) => {
        const [x, y, z] = [r, g, b].map(v => v / 255)
            .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const parts = text => text.match(/[\\d.]+/g).map(Number);
    const poor = [];
    for (const node of document.querySelectorAll('.panel *, .text *')) {
        const own = [...node.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
        if (!own || !node.offsetParent) continue;
        let ground = node;
        while (ground && parts(getComputedStyle(ground).backgroundColor)[3] === 0)
            ground = ground.parentElement;
        const [a, b] = [getComputedStyle(node).color,
            ground ? getComputedStyle(ground).backgroundColor : 'rgb(255, 255, 255)']
            .map(text => light(parts(text))).sort((p, q) => q - p);
        if ((a + 0.05) / (b + 0.05) < 4.5) poor.push(node.outerHTML);
    }
    return poor;
}"""


@asynccontextmanager
async def visiting(browser: Browser, url: str, **chosen: Any) -> AsyncIterator[Page]:
    """A page of its own; whatever it asks for elsewhere, or refuses by its policy, fails."""
    context = await browser.new_context(**({"viewport": PHONE, "device_scale_factor": 2} | chosen))
    context.set_default_timeout(WAIT_MS)
    page = await context.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda problem: said.append(str(problem)))
    try:
        await page.goto(url)
        yield page
    finally:
        await context.close()
    assert [each for each in asked if not each.startswith("http://127.0.0.1:")] == []
    # What chromium says of every page that is refused.
    assert [each for each in said if "the server responded with a status of" not in each] == []


async def looks_right(page: Page) -> None:
    """Nothing is cut off, too small for a thumb, or too pale."""
    assert not await page.evaluate(WIDER)
    assert await page.evaluate(SMALL_TARGETS) == []
    assert await page.evaluate(CONTRASTS) == []


async def picture(page: Page, name: str) -> None:
    if os.environ.get(PICTURES):
        IMAGES.mkdir(exist_ok=True)
        await page.screenshot(path=IMAGES / f"{name}.png", full_page=True, animations="disabled")


async def local(site: Site, **facts: Any) -> str:
    url = await site.link(fields=FIELDS, expires_at=EXPIRES_AT, **facts)
    return site.url + "/vouchers" + url.split("/vouchers")[1]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("size", "viewport"), [("phone", PHONE), ("desktop", DESK)])
async def test_claimed_with_a_script(
    site: Site, browser: Browser, size: str, viewport: dict[str, int], scheme: str
) -> None:
    url = await local(site)
    chosen = {"viewport": viewport, "color_scheme": scheme}
    chosen |= {"device_scale_factor": 1} if viewport is DESK else {}
    async with visiting(browser, url, **chosen, permissions=CLIPBOARD) as page:
        await looks_right(page)
        await picture(page, f"claim-closed-{size}-{scheme}")
        # The keyboard alone gets there.
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        code = page.locator("#code-1")
        await code.wait_for()
        text = await code.text_content()
        assert text == FIELDS["code"]
        assert not await page.locator("#pin-1").is_visible()
        await looks_right(page)
        await picture(page, f"claim-opened-{size}-{scheme}")
        await page.get_by_role("button", name="Copy").first.click()
        await page.get_by_text("Copied").first.wait_for()
        assert await page.evaluate("navigator.clipboard.readText()") == text
        await page.get_by_text("Show PIN").click()
        assert await page.locator("#pin-1").text_content() == FIELDS["pin"]
        await looks_right(page)


async def test_claimed_without_a_script(site: Site, browser: Browser) -> None:
    url = await local(site)
    async with visiting(browser, url, java_script_enabled=False) as page:
        await page.get_by_role("button", name="Show my voucher").click()
        assert FIELDS["code"] in (await page.content())
        assert await page.get_by_role("button", name="Copy").count() == 0
        assert await page.get_by_role("button", name="Print").count() == 0
        await page.get_by_text("Show PIN").click()
        assert await page.locator("#pin-1").is_visible()
        await picture(page, "claim-opened-phone-without-script")


async def test_a_password_is_asked_for(site: Site, browser: Browser) -> None:
    url = await local(site, protected=True)
    async with visiting(browser, url) as page:
        await looks_right(page)
        await picture(page, "claim-protected-phone-light")
        await page.get_by_label("Password").fill("not the one")
        async with page.expect_navigation() as arrived:
            await page.get_by_role("button", name="Show my voucher").click()
        assert (await arrived.value).status == 403
        await page.get_by_role("alert").wait_for()
        await looks_right(page)
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Show my voucher").click()
        assert await page.locator("#code-1").text_content() == FIELDS["code"]
        await page.emulate_media(media="print")
        assert not await page.get_by_role("button", name="Print").is_visible()
        await picture(page, "claim-print")


async def test_read_from_right_to_left(site: Site, browser: Browser) -> None:
    url = await local(site)
    async with visiting(browser, url) as page:
        await page.evaluate("document.documentElement.dir = 'rtl'")
        await looks_right(page)
        await page.get_by_role("button", name="Show my voucher").click()
        await page.evaluate("document.documentElement.dir = 'rtl'")
        await looks_right(page)
        await picture(page, "claim-opened-phone-right-to-left")


async def test_a_link_that_is_not_valid(site: Site, browser: Browser) -> None:
    url = site.url + "/vouchers/claim/" + "A" * 43
    async with visiting(browser, "about:blank") as page:
        answer = await page.goto(url)
        assert answer is not None
        assert answer.status == 404
        await looks_right(page)
        await picture(page, "claim-not-valid-phone-light")
