"""The page of the shelves: as many as fit, the next ones behind them, and counts that may go on."""

import re

from rewards.staff.model import Role
from tests.console.desk import Desk

SHELVES = """
INSERT INTO shelf (unit_id, product_id, denomination_minor, currency, expires_at, loaded)
SELECT p * 100000 + n, p, 2500, 'USD', 'infinity', n <= 2
FROM generate_series(100, 219) AS p, generate_series(1, 3) AS n
"""
DEEP = """
INSERT INTO shelf (unit_id, product_id, denomination_minor, currency, expires_at, loaded)
SELECT 50000000 + n, 6, 2500, 'USD', 'infinity', n <= 500 FROM generate_series(1, 11000) AS n
"""
SHOWN = re.compile(r'class="row-link" href="/console/products/(\d+)"')
NEXT = re.compile(r'rel="next" href="([^"]+)"')


async def test_the_shelves_are_shown_page_after_page(desk: Desk) -> None:
    async with desk.shop.parts.db.transaction() as tx:
        await tx.execute(SHELVES)
    viewer = await desk.at(Role.VIEWER)
    path, shown = "/console/inventory", []
    for _ in range(3):
        page = await viewer.get(path)
        assert page.status == 200
        shown.append([int(each) for each in SHOWN.findall(page.text)])
        following = NEXT.search(page.text)
        path = following[1].replace("&amp;", "&") if following else ""
    assert [len(each) for each in shown] == [50, 50, 20]
    assert [each for found in shown for each in found] == list(range(100, 220))
    assert not path
    assert "First page" in page.said
    # One product is no list that goes on; what is no place in it is refused in words.
    one = await viewer.get("/console/inventory?product_id=150")
    assert (SHOWN.findall(one.text), NEXT.search(one.text)) == (["150"], None)
    bad = await viewer.get("/console/inventory?cursor=there")
    assert "Invalid Cursor" in bad.said
    assert SHOWN.findall(bad.text) == []


async def test_what_is_not_counted_to_its_end_says_so(desk: Desk) -> None:
    shop = desk.shop
    product = await shop.product()
    client = await shop.client(minor=10**7)
    await shop.place_one(shop.ask(client, product, 7))
    async with shop.parts.db.transaction() as tx:
        await tx.execute(DEEP)
    page = await (await desk.at(Role.VIEWER)).get("/console/inventory")
    # 500 in the pool, 10,500 wait; of a thousand that are counted seven wait for the order.
    assert "10,000+" in page.said
    assert "500 of 1,000" in page.said
    assert "1,986+ days" in page.said
