"""Reports of every kind: right rows, once each, for whoever may see them."""

import asyncio
from datetime import timedelta

import pytest

from rewards.orders.model import Order
from rewards.reports.model import LIFETIME, NEEDS, OPEN_MAX, ReportKind
from rewards.reports.sources import sources
from rewards.staff import model as staff
from rewards.staff.model import Permission, Role
from tests.reports.desk import TODAY_KINDS, Desk

RECHARGE = {"mobile_country_code": "+91", "mobile_number": "919876543210"}


async def test_orders_are_written_once_each_in_order(desk: Desk) -> None:
    rows = await desk.made()
    assert [int(row["order_id"]) for row in rows] == [order.id for order in desk.orders]
    first, last = rows[0], rows[-1]
    assert (first["status"], first["sub_status"]) == ("CANCELLED", "REFUNDED")
    assert first["refunded"] == first["amount"] == "25.50"
    assert (last["denomination"], last["currency"]) == ("25.00", "USD")
    # What a spreadsheet would run is text.
    assert {row["product_name"] for row in rows} == {"'=Amazon"}
    assert last["placed_at"].endswith("Z")
    assert not any(code in str(rows) for code in desk.office.shop.codes)


async def test_transactions_and_refunds_are_the_ledgers(desk: Desk) -> None:
    lines = await desk.made("TRANSACTIONS")
    assert [line["type"] for line in lines] == ["TOPUP", *["ORDER"] * 8, "REFUND"]
    assert lines[1]["amount"] == "-25.50"
    [refund] = await desk.made("REFUNDS")
    assert (refund["order_id"], refund["amount"]) == (str(desk.orders[0].id), "25.50")
    assert await desk.made("TRANSACTIONS", client_id=desk.client) == lines
    other = await desk.office.shop.client(minor=1)
    assert len(await desk.made("TRANSACTIONS", client_id=other)) == 1


async def test_stock_is_told_by_depth_and_by_what_came_and_went(desk: Desk) -> None:
    [shelf] = await desk.made("STOCK_DEPTH")
    assert (shelf["product_id"], shelf["loaded"]) == ("6", "2")
    moves = await desk.made("STOCK_MOVEMENTS")
    assert len(moves) == 10
    gone = [move for move in moves if move["went_at"]]
    assert len(gone) == 8
    assert {move["client_id"] for move in gone} == {str(desk.client)}
    assert {move["state"] for move in moves} == {"DELIVERED", "REVOKED", "AVAILABLE"}
    assert {move["source"] for move in moves} == {"SANDBOX"}


async def test_filters_narrow_and_an_empty_file_has_its_header(desk: Desk) -> None:
    rows = await desk.made(status="cancelled")
    assert [int(row["order_id"]) for row in rows] == [desk.orders[0].id]
    assert len(await desk.made(client_id=desk.client, to=desk.today)) == 8
    for kind in TODAY_KINDS:
        number = await desk.ask(kind, **{"from": "2020-01-01", "to": "2020-12-31"})
        await desk.writing.work_on([number])
        answer = await desk.file(number)
        assert (await desk.read(number))["rows"] == 0
        header = sources(desk.office.shop.parts.catalog, desk.clock)[ReportKind(kind)].header
        assert answer.text == ",".join(header) + "\r\n"
    for kind in ("VENDOR_ORDERS", "DELIVERIES"):
        assert await desk.made(kind) == []


async def test_a_number_shows_its_last_four_digits_alone(desk: Desk) -> None:
    shop = desk.office.shop
    product = await shop.product(9)
    ask = shop.ask(desk.client, product, mobile=RECHARGE)
    order: Order = (await shop.place_one(ask)).order
    rows = await desk.made()
    assert rows[-1]["order_id"] == str(order.id)
    assert rows[-1]["mobile"] == "…3210"
    assert RECHARGE["mobile_number"] not in str(rows)


REFUSED = (
    ({}, "Invalid request body format"),
    ({"kind": "SECRETS"}, "Invalid Kind: oneof"),
    ({"kind": "ORDERS"}, "Invalid From: required"),
    ({"kind": "ORDERS", "parameters": {"from": "yesterday"}}, "Invalid From: date"),
    ({"kind": "ORDERS", "parameters": {"from": "0001-01-01"}}, "Invalid From: date"),
    ({"kind": "ORDERS", "parameters": {"from": "2026-01-02", "to": "2026-01-01"}}, "To: min"),
    ({"kind": "ORDERS", "parameters": {"from": "2025-01-01", "to": "2026-01-02"}}, "To: max"),
    ({"kind": "ORDERS", "parameters": {"from": "2026-01-01", "status": "X"}}, "Status: oneof"),
    ({"kind": "ORDERS", "parameters": {"from": "2026-01-01", "vendor_id": 1}}, "VendorId: oneof"),
    ({"kind": "REFUNDS", "parameters": {"from": "2026-01-01", "client_id": 0}}, "ClientId: oneof"),
    ({"kind": "REFUNDS", "parameters": {"from": "2026-01-01", "status": "X"}}, "Status: oneof"),
    ({"kind": "STOCK_DEPTH", "parameters": {"from": "2026-01-01"}}, "From: oneof"),
    ({"kind": "STOCK_DEPTH", "parameters": {"colour": "red"}}, "Invalid request body format"),
)


async def test_what_cannot_be_asked_is_refused(desk: Desk) -> None:
    office = desk.office
    before = await office.shop.everything()
    for body, message in REFUSED:
        told = await office.ask("support", "POST", "/reports", body, 400)
        assert told["message"].endswith(message), body
    unknown = {"kind": "ORDERS", "parameters": {"from": desk.today, "client_id": 999}}
    assert await office.refused("support", "POST", "/reports", unknown, 404) == "CLIENT_NOT_FOUND"
    assert await office.shop.everything() == before
    assert await office.ask("admin", "GET", "/reports") == []


async def test_ones_own_are_ones_own_and_an_admin_sees_all(desk: Desk) -> None:
    office = desk.office
    mine, theirs = await desk.ask(), await desk.ask(who="finance")
    await desk.writing.work_on([mine, theirs])

    async def listed(who: str, query: str = "") -> list[int]:
        found = await office.ask(who, "GET", "/reports" + query)
        return [one["report_id"] for one in found]

    assert await listed("support") == [mine]
    assert await listed("finance") == [theirs]
    assert await listed("admin") == [theirs, mine]
    assert await listed("admin", f"?cursor={theirs}&limit=1") == [mine]
    for path in (f"/reports/{theirs}", f"/reports/{theirs}/file", "/reports/999/file"):
        assert await office.refused("support", "GET", path, None, 404) == "REPORT_NOT_FOUND"
    path = f"/reports/{theirs}/cancel"
    assert await office.refused("support", "POST", path, None, 404) == "REPORT_NOT_FOUND"
    assert (await desk.file(theirs, "admin")).status_code == 200
    assert await office.refused("viewer", "GET", "/reports", None, 403) == "FORBIDDEN"


async def test_each_kind_needs_what_it_shows_now_as_well(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = await desk.ask()
    await desk.writing.work_on([number])
    assert NEEDS.keys() == set(ReportKind)
    less = staff.PERMISSIONS[Role.SUPPORT] - {Permission.ORDERS_READ}
    monkeypatch.setattr(
        staff, "PERMISSIONS", dict(staff.PERMISSIONS) | {Role.SUPPORT: frozenset(less)}
    )
    body = {"kind": "orders", "parameters": {"from": desk.today}}
    assert await desk.office.refused("support", "POST", "/reports", body, 403) == "FORBIDDEN"
    path = f"/reports/{number}/file"
    assert await desk.office.refused("support", "GET", path, None, 403) == "FORBIDDEN"


async def test_a_person_has_a_few_at_a_time_however_they_ask(desk: Desk) -> None:
    body = {"kind": "STOCK_DEPTH"}
    told = await asyncio.gather(
        *(desk.office.status("support", "POST", "/reports", body) for _ in range(OPEN_MAX + 3))
    )
    assert sorted(told) == [202] * OPEN_MAX + [409] * 3
    first = (await desk.office.ask("support", "GET", "/reports"))[0]["report_id"]
    await desk.office.ask("support", "POST", f"/reports/{first}/cancel")
    await desk.ask("STOCK_DEPTH")
    await desk.ask("STOCK_DEPTH", who="finance")


async def test_a_file_expires_and_its_row_stays(desk: Desk) -> None:
    number = await desk.ask()
    assert (await desk.file(number)).json()["details"] == {"state": "QUEUED"}
    await desk.writing.work_on([number])
    assert (await desk.file(number)).status_code == 200
    desk.clock.ahead += LIFETIME - timedelta(minutes=1)
    assert await desk.writing.expire() == 0
    assert (await desk.file(number)).status_code == 200
    desk.clock.ahead += timedelta(minutes=1)
    refused = await desk.file(number)
    assert (refused.status_code, refused.json()["details"]) == (409, {"state": "EXPIRED"})
    assert await desk.writing.expire() == 1
    told = await desk.read(number)
    assert (told["state"], told["rows"]) == ("EXPIRED", 8)
    async with desk.office.shop.parts.db.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM report_chunks") == 0
