"""A browser at the console: signs in, looks at pages with axe, takes pictures for documents."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from playwright.async_api import Browser, Page

from tests.browsing import IMAGES, PICTURES, WIDER
from tests.console.desk import PASSWORD

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
# What axe may not find; the rest is advice.
GRAVE = ("serious", "critical")
JUDGE = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations
    .map(found => [found.impact, found.id, found.nodes.map(node => node.html).slice(0, 3)])"""
DESK = {"width": 1280, "height": 860}
PHONE = {"width": 390, "height": 844}
WAIT_MS = 60_000
SIZES = pytest.mark.parametrize(
    ("size", "viewport"), [("desktop", DESK), ("phone", PHONE)], ids=["desktop", "phone"]
)


@asynccontextmanager
async def driving(browser: Browser, url: str, **chosen: Any) -> AsyncIterator[Page]:
    """A page of its own; what it asks for elsewhere, or its policy refuses, fails the test."""
    context = await browser.new_context(base_url=url, **({"viewport": DESK} | chosen))
    context.set_default_timeout(WAIT_MS)
    page = await context.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda problem: said.append(str(problem)))
    try:
        yield page
    finally:
        await context.close()
    assert [each for each in asked if not each.startswith((url, "data:"))] == []
    # What chromium says of every page that is refused.
    # And what it advises of forms that have passwords of two people: one's own, and another's.
    usual = ("the server responded with a status of", "[DOM] Multiple forms should")
    wrong = [each for each in said if not any(words in each for words in usual)]
    assert not wrong, wrong


async def sign_in(page: Page, name: str, password: str = PASSWORD) -> None:
    await page.goto("/console/sign-in")
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("main").wait_for()
    assert "/sign-in" not in page.url


async def go(page: Page, place: str) -> None:
    """Where the navigation leads; on a phone it is folded away."""
    menu = page.get_by_role("button", name="Menu")
    if await menu.is_visible():
        await menu.click()
    await page.get_by_label("Main").get_by_role("link", name=place, exact=True).click()
    await page.get_by_role("heading", level=1, name=place, exact=True).wait_for()


async def send(page: Page, opens: str, button: str, **fields: str) -> None:
    """Open a dialog, fill it in, send it."""
    await page.get_by_role("button", name=opens, exact=True).first.click()
    dialog = page.locator("[popover]:popover-open")
    for label, text in fields.items():
        await dialog.get_by_label(label.replace("_", " ")).fill(text)
    await dialog.get_by_role("button", name=button, exact=True).click()


async def says(page: Page, text: str) -> None:
    await page.locator(".told").get_by_text(text).first.wait_for()


async def looks_right(page: Page) -> None:
    """Nothing is cut off, and axe finds nothing serious."""
    assert not await page.evaluate(WIDER), page.url
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(f"() => {{ {AXE} }}")
    found = [each for each in await page.evaluate(JUDGE) if each[0] in GRAVE]
    assert found == [], (page.url, found)


async def picture(page: Page, name: str, *, whole: bool = False) -> None:
    if os.environ.get(PICTURES):
        IMAGES.mkdir(exist_ok=True)
        path = IMAGES / f"{name}.png"
        await page.screenshot(path=path, full_page=whole, animations="disabled")
