"""What pages offer is what the API would do, asked for with why; what they count is listed."""

import html
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from rewards.catalog.model import LinkType
from rewards.clients import service as clients
from rewards.orders.model import Order
from rewards.staff.model import Role
from rewards.wallets import service as wallets
from rewards.wallets.model import NewWallet
from tests.console.desk import PASSWORD, Desk, Visitor
from tests.console.supply import API_KEY, Supply, open_supply
from tests.console.watched import trail, waiting

ITEMS_SHOWN = 100
WALLETS = 60


def form_of(text: str, action: str, *, named: str = "reason") -> str:
    """The form of a page that is sent there, and that has this field."""
    found = [
        form
        for where, form in re.findall(
            r'<form method="post" action="([^"]*)"[^>]*>(.*?)</form>', text, re.DOTALL
        )
        if where == action and f'name="{named}"' in form
    ]
    assert found, (action, named)
    return found[0]


def asks_why(form: str) -> bool:
    return bool(re.search(r'<(?:input|textarea)[^>]* name="reason"[^>]* required', form))


async def ordered(desk: Desk, quantity: int, **facts: object) -> Order:
    shop = desk.shop
    product = await shop.product(9, realtime=True, **facts)
    await shop.stock(product, quantity)
    ask = shop.ask(await shop.client(minor=10_000_000), product, quantity)
    return (await shop.place_one(ask)).order


async def test_a_code_behind_a_link_is_shown_to_whoever_may_see_it(desk: Desk) -> None:
    """Its order has no masked units; the API shows the code all the same."""
    order = await ordered(desk, 2, link_type=LinkType.PUBLIC)
    path = f"/console/orders/{order.id}"
    assert f"{path}/reveal" not in (await (await desk.at(Role.OPERATIONS)).get(path)).text
    admin = await desk.at(Role.ADMIN)
    page = await admin.get(path)
    assert page.text.count(f'action="{path}/reveal"') == 2
    assert asks_why(form_of(page.text, f"{path}/reveal"))
    before = await desk.shop.everything()
    page = await admin.send(path, f"{path}/reveal", position="2")
    assert "Invalid Reason" in page.said
    assert await desk.shop.everything() == before
    page = await admin.send(path, f"{path}/reveal", position="2", reason="the link is gone")
    assert desk.shop.codes[1] in page.said
    assert await trail(desk, "order.code_revealed") == [(desk.name(Role.ADMIN), "the link is gone")]
    # What was taken back is nobody's any more.
    await admin.send(path, f"{path}/cancel", reason="they gave up")
    assert f"{path}/reveal" not in (await admin.get(path)).text


async def test_a_code_of_an_item_beyond_the_first_page_is_shown(desk: Desk) -> None:
    order = await ordered(desk, ITEMS_SHOWN + 1)
    path = f"/console/orders/{order.id}"
    admin = await desk.at(Role.ADMIN)
    page = await admin.get(path)
    assert page.text.count(f'action="{path}/reveal"') == ITEMS_SHOWN
    position = str(ITEMS_SHOWN + 1)
    there = f"{path}?item={position}"
    page = await admin.get(there)
    assert page.text.count(f'action="{path}/reveal"') == 1
    page = await admin.send(there, f"{path}/reveal", position=position, reason="it does not work")
    assert f"Item {position} of order {order.id}" in page.said
    assert desk.shop.codes[ITEMS_SHOWN] in page.said


async def test_a_number_of_today_leads_to_what_was_counted(desk: Desk) -> None:
    await waiting(desk, 2, 1, stock=2)
    await waiting(desk, 2, stock=1)
    visitor = await desk.at(Role.VIEWER)
    page = await visitor.get("/console")
    figures = dict(re.findall(r'<dt><a href="[^"]*">([^<]*)</a></dt><dd>([0-9,]+)', page.text))
    leads = {
        name: html.unescape(path)
        for path, name in re.findall(r'<dt><a href="([^"]*)">([^<]*)</a></dt>', page.text)
    }
    assert figures["Orders today"] == "3"
    for name in ("Orders today", "Of those, delivered", "Waiting now"):
        listed = await visitor.get(leads[name])
        assert listed.text.count('<th scope="row"') == int(figures[name]), name
    for kind in ("Order", "Top-up"):
        sums = re.search(
            rf"<dt>{kind} <small>(\d+) today</small></dt><dd>(.*?)</dd>", page.text, re.DOTALL
        )
        assert sums
        to_lines = re.findall(r'href="([^"]+)"', sums[2])
        assert len(to_lines) == 2
        for lead in to_lines:
            lines = await visitor.get(html.unescape(lead))
            assert lines.text.count('<th scope="row"') == int(sums[1])


async def test_what_is_changed_of_a_client_is_asked_why(desk: Desk) -> None:
    shop, visitor = desk.shop, await desk.at(Role.ADMIN)
    client = await shop.client()
    path = f"/console/clients/{client}"
    page = await visitor.get(path)
    changes: tuple[Mapping[str, str], ...] = (
        {"orders_per_minute": "7"},
        {"conversion_fee_percent": "1.5", "name": "Aurora"},
        {"allowed_ips": "203.0.113.7"},
        {"status": "SUSPENDED"},
    )
    for turn, fields in enumerate(changes):
        assert asks_why(form_of(page.text, path, named=next(iter(fields))))
        page = await visitor.send(path, path, **fields, reason=f"because {turn}")
        assert "Saved." in page.said, page.said
    assert asks_why(form_of(page.text, path, named="status"))
    page = await visitor.send(path, path, status="ACTIVE", reason="they paid")
    why = [*(f"because {turn}" for turn in range(len(changes))), "they paid"]
    assert [reason for _, reason in await trail(desk, "client.changed")] == why


async def test_a_password_that_somebody_else_sets_is_asked_why(desk: Desk) -> None:
    shop, visitor = desk.shop, await desk.at(Role.ADMIN)
    client = await shop.client()
    new = await clients.prepare_login(shop.parts.passwords, client, "jane", PASSWORD)
    async with shop.parts.db.transaction() as tx:
        login = await clients.add_login(tx, new, shop.now)
    everybody = f"/console/clients/{client}/logins"
    person = f"/console/settings/staff/{desk.staff[Role.SUPPORT].id}"
    for page_path, path, action in (
        (everybody, f"{everybody}/{login.id}/password", "login.password_changed"),
        (person, f"{person}/password", "staff.changed"),
    ):
        page = await visitor.get(page_path)
        assert asks_why(form_of(page.text, path))
        fields = {"password": "another long password", "reason": "forgot it over the summer"}
        page = await visitor.send(page_path, path, **fields)
        assert "Set" in page.said
        told = [(desk.name(Role.ADMIN), "forgot it over the summer")]
        assert await trail(desk, action) == told


async def test_what_is_changed_of_a_vendor_is_asked_why(dsn: str, tmp_path: Path) -> None:
    async with open_supply(dsn, tmp_path) as supply:
        await supply.shop.product()
        await supply.open_account()
        await change_a_vendor(supply)


async def change_a_vendor(supply: Supply) -> None:
    visitor = await supply.desk.at(Role.ADMIN)
    path = f"/console/vendors/{supply.vendor_id}"
    changes = (
        (path, f"{path}/rename", {"name": "Acme Ltd"}),
        (path, f"{path}/status", {"status": "PAUSED"}),
        (path, f"{path}/status", {"status": "ACTIVE"}),
        (
            f"{path}/settings",
            f"{path}/settings",
            {"config.base_url": supply.url, "secret.api_key": API_KEY},
        ),
    )
    for turn, (shown, action, fields) in enumerate(changes):
        page = await visitor.get(shown)
        assert asks_why(form_of(page.text, action))
        await visitor.send(shown, action, **fields, reason=f"because {turn}")
    told = await trail(supply.desk, "vendor.changed")
    assert [reason for _, reason in told] == [f"because {turn}" for turn in range(len(changes))]


async def test_a_discount_on_the_page_of_a_product_is_asked_why(desk: Desk) -> None:
    product, client = await desk.shop.product(), await desk.shop.client()
    visitor = await desk.at(Role.FINANCE)
    path = f"/console/products/{product.id}"
    page = await visitor.get(path)
    assert asks_why(form_of(page.text, f"{path}/discounts"))
    fields = {"client_id": str(client), "percent": "3.5", "reason": "as agreed in May"}
    page = await visitor.send(path, f"{path}/discounts", **fields)
    assert "The discount counts now." in page.said
    told = [(desk.name(Role.FINANCE), "as agreed in May")]
    assert await trail(desk, "product.discount_set") == told


async def test_a_client_with_many_wallets_has_them_page_by_page(desk: Desk) -> None:
    client = await desk.shop.client()
    async with desk.shop.parts.db.transaction() as tx:
        new = [NewWallet(client_id=client, currency="USD") for _ in range(WALLETS - 1)]
        await wallets.open_wallets(tx, new, desk.shop.now)
    visitor = await desk.at(Role.VIEWER)
    path = f"/console/clients/{client}/wallets"
    page = await visitor.get(path)
    assert page.text.count('<th scope="row"') == 50
    following = re.search(r'rel="next" href="([^"]+)"', page.text)
    assert following
    page = await visitor.get(html.unescape(following[1]))
    assert "Page 2 of 2" in page.said
    assert page.text.count('<th scope="row"') == WALLETS - 50


@pytest.fixture
async def rare(desk: Desk) -> tuple[Visitor, list[str]]:
    """Who looks for orders, and the fields that stand folded away."""
    visitor = await desk.at(Role.SUPPORT)
    page = await visitor.get("/console/orders")
    assert '<details class="more">' in page.text
    folded = page.text.split('<details class="more">')[1].split("</details>")[0]
    return visitor, re.findall(r'<(?:input|select)[^>]* name="([^"]+)"', folded)


async def test_more_filters_stay_open_while_one_is_filled(rare: tuple[Visitor, list[str]]) -> None:
    visitor, names = rare
    assert len(names) == 10
    for name in names:
        # An amount is refused without its currency, and a word where a number or a day is due.
        for value in ("OLDEST", "5", "2026-11-01", "no such"):
            page = await visitor.get(f"/console/orders?{name}={value}")
            assert page.status == 200
            assert '<details class="more" open>' in page.text, (name, value)
            if name != "sort":
                assert f'value="{value}"' in page.text
    for name in ("q", "status", "sub_status", "client_id"):
        page = await visitor.get(f"/console/orders?{name}=5")
        assert '<details class="more">' in page.text, name
