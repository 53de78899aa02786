"""Mails as they are read: in a real browser, on a desk and a phone, by day and by night."""

import base64
import os
import re
from email.message import EmailMessage
from typing import Any

import pytest
from playwright.async_api import Browser

from rewards.catalog.model import LinkType
from rewards.notices.model import Audience, NewNotice, NoticeKind
from rewards.notices.service import queue
from tests.browsing import IMAGES, PICTURES, WIDER
from tests.notices.mailroom import CONTACT, Mailroom
from tests.notices.picture import logo
from tests.notices.postoffice import PostOffice, html_of, text_of

pytestmark = pytest.mark.browser

PHONE = {"width": 390, "height": 500}
DESK = {"width": 760, "height": 400}
# WCAG 1.4.3: every text against the first opaque ground behind it.
POOR = """() => {
    const light = text => {
        const [x, y, z] = text.match(/[\\d.]+/g).map(Number).map(v => v / 255)
            .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const poor = [];
    for (const node of document.querySelectorAll('body *')) {
        const own = [...node.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
        if (!own || !node.offsetParent) continue;
        let ground = node;
        while (ground && getComputedStyle(ground).backgroundColor === 'rgba(0, 0, 0, 0)')
            ground = ground.parentElement;
        const [a, b] = [getComputedStyle(node).color, getComputedStyle(ground).backgroundColor]
            .map(light).sort((p, q) => q - p);
        if ((a + 0.05) / (b + 0.05) < 4.5) poor.push(node.outerHTML);
    }
    return poor;
}"""
DIRECTION = "() => getComputedStyle(document.querySelector('h1')).direction"


def as_shown(mail: EmailMessage) -> str:
    """The HTML as a mail program shows it, its pictures in place and codes as usual."""
    html = re.sub(r"CANARY-6-0{6}(\d+)-card_number", r"6006 4915 0382 71\1", html_of(mail))
    html = re.sub(r"CANARY-6-0{6}(\d+)-pin_code", r"48\1", html)
    for part in mail.walk():
        name = (part["Content-ID"] or "").strip("<>")
        if name:
            data = base64.b64encode(part.get_payload(decode=True)).decode()  # type: ignore[arg-type]
            html = html.replace(f"cid:{name}", f"data:{part.get_content_type()};base64,{data}")
    return html


async def look(browser: Browser, mail: EmailMessage, name: str = "", **chosen: Any) -> str:
    """Nothing is cut off or too pale, and nobody is asked for anything; its direction."""
    context = await browser.new_context(**({"viewport": DESK, "device_scale_factor": 2} | chosen))
    page = await context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.set_content(as_shown(mail))
    assert not await page.evaluate(WIDER)
    assert await page.evaluate(POOR) == []
    assert [each for each in asked if not each.startswith(("data:", "about:"))] == []
    direction = str(await page.evaluate(DIRECTION))
    if name and os.environ.get(PICTURES):
        IMAGES.mkdir(exist_ok=True)
        await page.screenshot(path=IMAGES / f"{name}.png", full_page=True)
    await context.close()
    return direction


BRAND: dict[str, Any] = {
    "brand_name": "Solara Rewards",
    "accent": "#e85d04",
    "footer": "Solara Rewards Ltd, 1 Sunny Street, Springfield",
}


async def vouchers(room: Mailroom, quantity: int = 2, *, linked: bool = False, **look: Any) -> None:
    product = await room.shop.product(
        link_type=LinkType.PUBLIC if linked else None,
        redemption="Go to the shop's site and choose Redeem.\nType the card number and the PIN.",
        terms="Valid in the United States. Cannot be exchanged for cash.",
    )
    await room.shop.stock(product, quantity, expires_at=room.shop.now.replace(year=2028))
    client_id = await room.shop.client(minor=10_000_000)
    await room.configure(client_id, **(BRAND | look))
    await room.order(product, quantity, client_id=client_id)
    await room.deliver()


async def test_vouchers_by_day_on_a_desk(
    room: Mailroom, office: PostOffice, browser: Browser
) -> None:
    await vouchers(room, logo=logo())
    [mail] = office.taken
    assert await look(browser, mail, "mail-delivered") == "ltr"
    assert await look(browser, mail, viewport=PHONE, color_scheme="dark") == "ltr"


async def test_a_link_by_night_on_a_phone(
    room: Mailroom, office: PostOffice, browser: Browser
) -> None:
    await vouchers(room, 1, linked=True)
    [mail] = office.taken
    assert await look(browser, mail, "mail-link-dark", viewport=PHONE, color_scheme="dark")
    assert "/vouchers/claim/" in text_of(mail)
    # The codes are nowhere in it.
    assert room.shop.codes[0] not in mail.as_string()


async def test_vouchers_in_arabic_read_from_the_right(
    room: Mailroom, office: PostOffice, browser: Browser
) -> None:
    await vouchers(room, language="ar-EG", brand_name="سولارا", accent="#0b6e4f", footer=None)
    [mail] = office.taken
    assert mail["Content-Language"] == "ar"
    assert re.search("[\u0600-\u06ff]", mail["Subject"])
    assert await look(browser, mail, "mail-delivered-ar", viewport=PHONE) == "rtl"


async def test_clients_mail_is_ours_in_their_language(
    room: Mailroom, office: PostOffice, browser: Browser
) -> None:
    client_id = await room.shop.client()
    await room.configure(client_id, **BRAND)
    low = {"wallet_id": "7", "currency": "USD", "balance": "74.50", "threshold": "80.00"}
    endpoint = {"name": "Orders", "host": "hooks.client.example", "at": "2026-11-21 18:00 UTC"}
    told = (
        (NoticeKind.LOW_BALANCE, low),
        (NoticeKind.ENDPOINT_FAILING, endpoint),
        (NoticeKind.ENDPOINT_DISABLED, endpoint | {"why": "failing"}),
        (NoticeKind.ENDPOINT_DISABLED, endpoint | {"why": "gone"}),
    )
    async with room.shop.parts.db.transaction() as tx:
        new = [
            NewNotice(client_id, kind, Audience.CLIENT, CONTACT, f"cause {n}", None, facts)
            for n, (kind, facts) in enumerate(told)
        ]
        await queue(tx, new, room.shop.parts.settings, room.shop.now)
    await room.tasks.send()
    names = {"Low balance: USD 74.50 left": "mail-low-balance"}
    assert len(office.taken) == len(told)
    for mail in office.taken:
        assert "Starship Rewards" in mail["From"]
        await look(browser, mail, names.get(mail["Subject"], ""))
