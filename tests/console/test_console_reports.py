"""Reports in the console: asked for, watched, taken along, cancelled, refused, gone."""

import csv
import io
import re
from datetime import timedelta

from rewards.console.http_reports import FIELDS
from rewards.console.watching import TURNS_MAX
from rewards.reports import tasks
from rewards.reports.model import LIFETIME, OPEN_MAX, ReportKind
from rewards.staff.model import Role
from tests.console.busy import STATEMENTS_MAX
from tests.console.counted import counting
from tests.console.desk import Desk, Seen, Visitor
from tests.console.writing import write_reports

PAGE = "/console/reports"


async def ask(desk: Desk, visitor: Visitor, kind: str = "ORDERS", **given: str) -> Seen:
    today = desk.clock.now().date().isoformat()
    days = {"from": today, "to": today} if "from" in FIELDS[ReportKind(kind)] else {}
    return await visitor.send(PAGE, PAGE, kind=kind, **(days | given))


def number_of(page: Seen) -> int:
    return int(page.url.rsplit("/", 1)[1])


async def test_a_report_is_asked_for_watched_and_taken_along(desk: Desk) -> None:
    shop = desk.shop
    client = await shop.client(minor=1_000_000)
    product = await shop.product()
    await shop.stock(product, 3)
    orders = [(await shop.place_one(shop.ask(client, product))).order for _ in range(3)]
    visitor = await desk.at(Role.FINANCE)
    page = await visitor.get(PAGE)
    assert "No report yet" in page.said
    assert "The audit trail is no report" in page.said
    assert 'hx-trigger="load' not in page.text
    page = await ask(desk, visitor, client_id=str(client))
    assert "It waits for a worker" in page.said
    # It looks again by itself, and at last no more.
    assert f'hx-get="{PAGE}/{number_of(page)}?turn=1"' in page.text
    assert "load delay:1s" in page.text
    late = await visitor.get(f"{PAGE}/{number_of(page)}?turn={TURNS_MAX}")
    assert "hx-get" not in late.text
    assert "Look again" in late.said
    number = number_of(page)
    await write_reports(desk, number)
    page = await visitor.get(f"{PAGE}/{number}?turn=7", **{"HX-Request": "true"})
    assert "The file is kept until" in page.said
    assert 'hx-trigger="load' not in page.text
    listed = await visitor.get(PAGE)
    assert f'href="{PAGE}/{number}/file"' in listed.text
    assert 'hx-trigger="load' not in listed.text
    file = await visitor.get(f"{PAGE}/{number}/file")
    rows = list(csv.DictReader(io.StringIO(file.text, newline="")))
    assert [int(row["order_id"]) for row in rows] == [order.id for order in orders]
    assert file.headers["Content-Type"].startswith("text/csv")
    assert file.headers["Content-Disposition"] == f'attachment; filename="orders-{number}.csv"'
    assert file.headers["Cache-Control"] == "no-store"
    assert file.headers["X-Content-Type-Options"] == "nosniff"
    assert int(file.headers["Content-Length"]) == len(file.text.encode())


async def test_a_file_is_handed_on_piece_by_piece(desk: Desk) -> None:
    """Of a report in many chunks the browser has the first before the last was read."""
    shop = desk.shop
    client = await shop.client(minor=1_000_000)
    product = await shop.product()
    await shop.stock(product, 30)
    await shop.place(*[shop.ask(client, product) for _ in range(30)])
    visitor = await desk.at(Role.FINANCE)
    number = number_of(await ask(desk, visitor))
    await write_reports(desk, number, ids_a_step=1)
    async with (
        counting(shop.parts.db, shop.parts.settings.pool_size) as seen,
        visitor.session.get(f"{desk.url}{PAGE}/{number}/file") as answer,
    ):
        pieces = [piece async for piece, _ in answer.content.iter_chunks()]
    assert sum("report_chunks" in text for text in seen) == 31
    assert len(pieces) > 10
    assert b"".join(pieces).count(b"\r\n") == 31


async def test_each_kind_is_asked_for_with_its_own_fields(desk: Desk) -> None:
    admin = await desk.at(Role.ADMIN)
    await desk.shop.client(minor=1)
    for kind in ReportKind:
        async with counting(desk.shop.parts.db, desk.shop.parts.settings.pool_size) as seen:
            page = await admin.get(f"{PAGE}?kind={kind}")
        assert len(seen) <= STATEMENTS_MAX, seen
        names = set(re.findall(r'name="(from|to|client_id|vendor_id|status)"', page.text))
        assert names == set(FIELDS[kind]), kind
        page = await ask(desk, admin, kind)
        number = number_of(page)
        await write_reports(desk, number)
        assert (await admin.get(f"{PAGE}/{number}/file")).status == 200, kind


async def test_what_is_refused_comes_back_with_what_was_filled_in(desk: Desk) -> None:
    visitor = await desk.at(Role.SUPPORT)
    before = await desk.shop.everything()
    page = await ask(desk, visitor, **{"from": "2026-02-02", "to": "2026-02-01"})
    assert "Invalid To: min" in page.said
    assert 'value="2026-02-02"' in page.text
    page = await ask(desk, visitor, client_id="987654")
    assert "Client not found" in page.said
    assert await desk.shop.everything() == before
    for _ in range(OPEN_MAX):
        assert "It waits" in (await ask(desk, visitor)).said
    assert f"{OPEN_MAX} of yours are being made" in (await visitor.get(PAGE)).said
    page = await ask(desk, visitor)
    assert "Wait for one of yours to end, or cancel it." in page.said


async def test_a_report_is_cancelled_and_has_no_file(desk: Desk) -> None:
    visitor = await desk.at(Role.SUPPORT)
    number = number_of(await ask(desk, visitor))
    page = await visitor.get(f"{PAGE}/{number}/file")
    assert (page.status, page.url) == (200, f"{desk.url}{PAGE}/{number}")
    assert "The report has no file." in page.said
    page = await visitor.send(PAGE, f"{PAGE}/{number}/cancel")
    assert "Cancelled; what was written is dropped." in page.said
    assert "Ask again" in page.said
    page = await visitor.send(PAGE, f"{PAGE}/{number}/cancel")
    assert "The report is not being made any more." in page.said
    assert "Somebody cancelled it" in (await visitor.get(f"{PAGE}/{number}")).said


async def test_what_failed_or_is_gone_says_what_to_do(desk: Desk) -> None:
    visitor = await desk.at(Role.SUPPORT)
    failed, kept = [number_of(await ask(desk, visitor)) for _ in range(2)]
    await write_reports(desk, kept)
    parts = desk.shop.parts
    desk.clock.ahead += tasks.GIVE_UP_AFTER + timedelta(minutes=1)
    writing = tasks.Writing(parts.db, parts.clock, {})
    await writing.sweep()
    visitor = await desk.at(Role.SUPPORT)
    page = await visitor.get(f"{PAGE}/{failed}")
    assert f"tell whoever runs this installation: {tasks.LATE}" in page.said
    desk.clock.ahead += LIFETIME
    await writing.expire()
    visitor = await desk.at(Role.SUPPORT)
    page = await visitor.get(f"{PAGE}/{kept}")
    assert "Its week is over and the file is gone." in page.said
    again = re.search(r'href="(/console/reports\?kind=ORDERS[^"]*)"', page.text)
    assert again
    assert (await visitor.get(again[1].replace("&amp;", "&"))).status == 200


async def test_another_persons_report_is_nobodys(desk: Desk) -> None:
    number = number_of(await ask(desk, await desk.at(Role.SUPPORT)))
    await write_reports(desk, number)
    other = await desk.at(Role.FINANCE)
    before = await desk.shop.everything()
    assert "No report yet" in (await other.get(PAGE)).said
    assert (await other.get(f"{PAGE}/{number}")).status == 404
    assert (await other.get(f"{PAGE}/{number}/file")).status == 404
    assert await desk.shop.everything() == before
    viewer = await desk.at(Role.VIEWER)
    assert "Reports" not in (await viewer.get("/console")).said
    page = await viewer.get(PAGE)
    assert page.status == 403
    assert "It needs the permission reports:make." in page.said
