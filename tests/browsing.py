"""The system's chromium, as tests of pages drive it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

CHROMIUM = Path("/usr/bin/chromium")
QUIET = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
IMAGES = Path(__file__).parents[1] / "docs/images"
# The pictures of the documents are taken again when somebody says so.
PICTURES = "REWARDS_TAKE_PICTURES"
WIDER = "() => document.documentElement.scrollWidth > window.innerWidth"


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    """One for a whole file; the test is skipped where there is none."""
    if not CHROMIUM.exists():
        pytest.skip("no chromium here")
    async with async_playwright() as driver:
        opened = await driver.chromium.launch(executable_path=str(CHROMIUM), args=QUIET)
        yield opened
        await opened.close()
