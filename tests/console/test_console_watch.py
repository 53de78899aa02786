"""What an operations or a support person does at the console, through forms alone."""

import re
from pathlib import Path
from typing import Any

import pytest

from rewards.alerts.model import AlertKind
from rewards.audit.checking import Check
from rewards.audit.csv_export import CsvRows
from rewards.audit.model_export import JsonLines
from rewards.console.http_audit import changes_of
from rewards.console.leads import alert_lead, subject_path
from rewards.core.errors import Refusal
from rewards.orders import sql_search
from rewards.staff.model import Role
from tests.console.busy import STATEMENTS_MAX
from tests.console.counted import counting
from tests.console.desk import Desk, open_desk
from tests.console.test_console_tasks import do
from tests.console.watched import (
    made_older,
    mailed,
    open_vending,
    raise_alerts,
    seal,
    trail,
    waiting,
)


async def test_an_alert_is_seen_followed_and_acknowledged(desk: Desk) -> None:
    support = await desk.at(Role.SUPPORT)
    page = await support.get("/console/alerts")
    assert "Nothing is wrong" in page.said
    assert "alert is open" not in (await support.get("/console")).said
    await raise_alerts(desk)
    page = await support.get("/console")
    assert "3 alerts are open" in page.said
    assert "Stock is running out: Product 6 25.00 USD" in page.said
    page = await support.get("/console/alerts")
    assert "Import stock, or order it from a vendor; then pump." in page.said
    assert '/console/waiting?sub_status=VENDOR_ORDER_PENDING"' in page.text
    assert '/console/inventory?product_id=6"' in page.text
    assert '/console/clients/1/webhooks/1"' in page.text
    assert "A worker is silent" not in page.said
    path = "/console/alerts/2/acknowledge"
    page = await support.send(
        "/console/alerts", path, note="180 are ordered", back="/console/alerts"
    )
    assert "Acknowledged." in page.said
    assert f"{desk.name(Role.SUPPORT)}, a moment ago" in page.said
    assert "180 are ordered" in page.said
    assert await trail(desk, "alert.acknowledged") == [(desk.name(Role.SUPPORT), "180 are ordered")]
    assert "2 looked after by nobody" in (await support.get("/console")).said
    # Once more, without a word, and by who may not: nothing changes.
    page = await support.send("/console/alerts", path, note="again")
    assert "Somebody has acknowledged this alert already" in page.said
    page = await support.send("/console/alerts", "/console/alerts/1/acknowledge")
    assert "Invalid Note" in page.said
    viewer = await desk.at(Role.VIEWER)
    assert "/acknowledge" not in (await viewer.get("/console/alerts")).text
    page = await viewer.send("/console/alerts", "/console/alerts/1/acknowledge", note="me")
    assert "It needs the permission alerts:acknowledge." in page.said
    assert await trail(desk, "alert.acknowledged") == [(desk.name(Role.SUPPORT), "180 are ordered")]


async def test_alerts_of_the_past_are_found_by_kind_and_paged(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await raise_alerts(desk)
    viewer = await desk.at(Role.VIEWER)
    page = await viewer.get("/console/alerts?state=PAST")
    assert "A worker is silent" in page.said
    assert "Stock is running out" not in page.said
    page = await viewer.get("/console/alerts?state=PAST&kind=POOL_COVER_LOW")
    assert "No alert fits" in page.said
    page = await viewer.get("/console/alerts?kind=everything")
    assert "Invalid Kind: oneof" in page.said
    monkeypatch.setattr("rewards.console.http_alerts.ALERTS_A_PAGE", 3)
    page = await viewer.get("/console/alerts?state=ANY")
    found = re.search(r'rel="next" href="([^"]+)"', page.text)
    assert found
    page = await viewer.get(found[1].replace("&amp;", "&"))
    assert "Orders wait too long" in page.said
    assert "Stock is running out" not in page.said


@pytest.mark.parametrize(
    ("kind", "subject", "facts", "text", "path"),
    [
        ("ORDERS_STUCK", "PARTIAL", {}, "Partial", "/waiting?sub_status=PARTIAL"),
        ("VENDOR_BALANCE_LOW", "vendor 3 USD", {"vendor": "acme"}, "acme", "/vendors/3"),
        ("VENDOR_BALANCE_LOW", "vendor 3 USD minimum", {}, "minimum", "/vendors/3"),
        ("ENDPOINT_DISABLED", "endpoint 5", {"client_id": 7}, "7", "/clients/7/webhooks/5"),
        ("DRIFT_FOUND", "vendor 3", {}, "Vendor 3", "/money/drifts?state=OPEN"),
        ("DRIFT_FOUND", "own books", {}, "Own books", "/money/drifts?state=OPEN"),
        ("JOBS_LATE", "job orders.fill", {}, "Job orders.fill", "/health"),
        ("KEY_NEAR_END", "data key 4 use", {}, "Data key", "/audit?subject_kind=credential"),
        (
            *("KEY_NEAR_END", "credential 4 of client 7", {"client_id": 7}),
            *("Credential 4 of client 7", "/clients/7/credentials"),
        ),
    ],
)
def test_every_alert_leads_to_what_it_is_about(
    kind: str, subject: str, facts: dict[str, Any], text: str, path: str
) -> None:
    told, lead = alert_lead({"kind": kind, "subject": subject, "facts": facts})
    assert text in told
    assert lead == f"/console{path}"
    assert AlertKind(kind)


def test_what_has_no_page_leads_nowhere() -> None:
    assert subject_path("order", 5, None) == "/console/orders/5"
    assert subject_path("webhook", 5, None) == ""
    assert subject_path("moon", 5, 1) == ""


def test_what_was_and_what_is_stands_apart_from_the_rest() -> None:
    facts = {"percent": {"from": "1", "to": "2"}, "note": {"from": "x"}}
    assert changes_of("product.discount_set", facts) == (
        [("percent", "1", "2")],
        {"note": {"from": "x"}},
    )
    moved = {"from": "PENDING·INITIAL", "to": "CANCELLED·REFUNDED", "quantity": 1}
    assert changes_of("order.cancelled", moved) == (
        [("state", "PENDING·INITIAL", "CANCELLED·REFUNDED")],
        {"quantity": 1},
    )
    window = {"from": "2026-01-01", "to": None}
    assert changes_of("audit.exported", window) == ([], window)


async def test_the_trail_is_narrowed_by_all_that_the_api_can(desk: Desk) -> None:
    [order] = await waiting(desk, 2)
    operations = await desk.at(Role.OPERATIONS)
    path = f"/console/orders/{order.id}"
    await operations.send(path, f"{path}/cancel", reason="the brand has none left")
    finance = await desk.at(Role.FINANCE)
    username, staff_id = desk.name(Role.OPERATIONS), desk.staff[Role.OPERATIONS].id
    today = f"{desk.shop.now:%Y-%m-%d}"
    page = await finance.get("/console/audit?action=order.cancelled")
    assert "PENDING·VENDOR_ORDER_PENDING → then CANCELLED·REFUNDED" in page.said
    assert "51.00 USD" in page.said
    assert "the brand has none left" in page.said
    found = re.search(r"request_id=(req_\w+)", page.text)
    assert found
    for query in (
        f"from={today}&to={today}",
        "actor=STAFF",
        f"staff={username}",
        f"staff_id={staff_id}",
        f"client_id={order.client_id}",
        f"subject_kind=order&subject_id={order.id}",
        "address=127.0.0.1",
        f"request_id={found[1]}",
        "reason=none+brand",
    ):
        page = await finance.get(f"/console/audit?action=order.cancelled&{query}")
        assert "the brand has none left" in page.said, query
    for query in ("to=2020-01-01", "actor=SYSTEM", "staff=nobody", "reason=some", "address=::1"):
        page = await finance.get(f"/console/audit?action=order.cancelled&{query}")
        assert "No entry fits" in page.said, query
    page = await finance.get("/console/audit?actor=robot")
    assert "Invalid Actor: oneof." in page.said


@pytest.mark.parametrize(("form", "kind"), [("jsonl", JsonLines), ("csv", CsvRows)])
async def test_the_trail_is_taken_away_and_proves_itself(
    desk: Desk, form: str, kind: type[JsonLines] | type[CsvRows]
) -> None:
    await waiting(desk, 1, 2)
    finance = await desk.at(Role.FINANCE)
    assert "nothing is sealed yet" in (await finance.get("/console/audit")).said
    key = await seal(desk)
    page = await finance.get("/console/audit")
    assert f"rewards audit verify FILE --key {key}" in page.said
    file = await finance.get(f"/console/audit/file?form={form}&from=&to=")
    assert file.status == 200
    assert file.headers["Cache-Control"] == "no-store"
    assert re.fullmatch(
        rf'attachment; filename="audit-1-\d+\.{form}"', file.headers["Content-Disposition"]
    )
    assert file.headers["Content-Type"].startswith(kind.media_type)
    assert "default-src 'none'" in file.headers["Content-Security-Policy"]
    check = Check(key)
    assert check.run(kind.read(file.raw.splitlines(keepends=True))) == []
    assert check.entries > 3
    assert await trail(desk, "audit.exported") == [(desk.name(Role.FINANCE), None)]


async def test_an_export_that_is_refused_leaves_nothing(desk: Desk) -> None:
    finance, support = await desk.at(Role.FINANCE), await desk.at(Role.SUPPORT)
    page = await finance.get("/console/audit/file?from=yesterday")
    assert page.url.endswith("/console/audit")
    assert "Invalid From: timestamp." in page.said
    assert (await finance.get("/console/audit/file?form=pdf")).status == 400
    assert (await support.get("/console/audit/file")).status == 403
    assert (await support.get("/console/audit")).status == 403
    assert await trail(desk, "audit.exported") == []


async def test_orders_are_found_by_all_that_the_api_can(desk: Desk) -> None:
    first, second = await waiting(desk, 1, 3)
    async with desk.shop.parts.db.transaction() as tx:
        await tx.execute("UPDATE orders SET email = 'jo@example.com' WHERE id = $1", first.id)
        await tx.execute("UPDATE clients SET name = 'Harbour Gifts'")
    await made_older(desk, [first], hours=30)
    support = await desk.at(Role.SUPPORT)
    page = await support.get("/console/orders")
    assert page.said.count("Harbour Gifts") == 2
    today = f"{second.placed_at:%Y-%m-%d}"
    for query, expected in (
        (f"q={first.id}", [first]),
        (f"id={second.id}", [second]),
        (f"ref={second.ref}", [second]),
        ("email=jo@example.com", [first]),
        ("q=jo@example.com", [first]),
        (f"client_id={first.client_id}&sort=OLDEST", [first, second]),
        ("product_id=6&status=PENDING&sub_status=VENDOR_ORDER_PENDING", [second, first]),
        ("currency=USD&min_amount=50", [second]),
        ("currency=USD&max_amount=50", [first]),
        ("older_than=24", [first]),
        (f"placed_from={today}", [second]),
        (f"placed_to={today}", [second, first]),
    ):
        page = await support.get(f"/console/orders?{query}")
        ids = re.findall(r'class="row-link" href="/console/orders/(\d+)"', page.text)
        assert ids == [str(order.id) for order in expected], query
    page = await support.get("/console/orders?min_amount=50")
    assert "Invalid Currency: required." in page.said


async def test_a_search_that_is_broken_off_goes_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = await waiting(desk, 3, 1, 1, 1)
    monkeypatch.setattr(sql_search, "OF_PRODUCT_MAX", 2)
    support = await desk.at(Role.SUPPORT)
    path: str | None = "/console/orders?product_id=6&currency=USD&min_amount=70"
    seen: list[str] = []
    for turn in range(4):
        assert path is not None
        page = await support.get(path)
        seen += re.findall(r'row-link" href="/console/orders/(\d+)"', page.text)
        following = re.search(r'rel="next" href="([^"]+)"', page.text)
        if turn == 0:
            assert "Looked at the orders placed since" in page.said
            assert "No order fits" not in page.said
        if following is None:
            break
        path = following[1].replace("&amp;", "&")
    assert seen == [str(orders[0].id)]


async def test_items_are_given_back_one_by_one(desk: Desk) -> None:
    [order] = await waiting(desk, 3, stock=3)
    operations = await desk.at(Role.OPERATIONS)
    path = f"/console/orders/{order.id}"
    page = await operations.get(path)
    items = re.findall(r'name="item_ids" value="([^"]+)"', page.text)
    assert len(items) == 3
    before = await desk.shop.everything()
    said = await do(operations, path, f"{path}/cancel-items", [("reason", "leaked")])
    assert "Invalid ItemIds" in said
    assert await desk.shop.everything() == before
    fields = [("reason", "leaked"), *[("item_ids", item) for item in items[:2]]]
    said = await do(operations, path, f"{path}/cancel-items", fields)
    assert "These items were given back." in said
    assert await desk.shop.item_states(order.id) == ["REVOKED", "REVOKED", "DELIVERED"]
    assert (await desk.shop.order(order.id)).refunded_minor == 5_100


async def test_items_beyond_the_first_hundred_are_shown_and_given_back(desk: Desk) -> None:
    [order] = await waiting(desk, 120, stock=120)
    assert not isinstance(await desk.shop.retry(order.id), Refusal)
    admin = await desk.at(Role.ADMIN)
    path = f"/console/orders/{order.id}"
    page = await admin.get(path)
    assert "1 to 100 of 120" in page.said
    assert f'href="{path}?item=101#items"' in page.text
    beyond = f"{path}?item=117"
    page = await admin.get(beyond)
    assert "101 to 120 of 120" in page.said
    items = re.findall(r'name="item_ids" value="([^"]+)"', page.text)
    assert items == [f"{order.id}-{position}" for position in range(101, 121)]
    assert page.said.count("Pin code ••••") == 20
    fields = [("reason", "leaked"), ("item_ids", items[16]), ("back", beyond)]
    said = await do(admin, beyond, f"{path}/cancel-items", fields)
    assert "These items were given back." in said
    assert "101 to 120 of 120" in said
    states = await desk.shop.item_states(order.id)
    assert [at for at, state in enumerate(states, 1) if state != "DELIVERED"] == [117]
    shown = await admin.send(beyond, f"{path}/reveal", position="118", reason="asks", back=beyond)
    assert f"Item 118 of order {order.id}" in shown.said
    assert f'href="{beyond}"' in shown.text
    assert "There are 120" in (await admin.get(f"{path}?item=5000")).said
    assert "1 to 100 of 120" in (await admin.get(f"{path}?item=x")).said


async def test_a_late_cancel_above_the_limit_waits_for_another(dsn: str, tmp_path: Path) -> None:
    async with open_desk(dsn, tmp_path, money_approval_limit_minor=10_000) as desk:
        small, large, alone = await waiting(desk, 1, 9, 5, stock=15)
        operations = await desk.at(Role.OPERATIONS)
        path = f"/console/orders/{alone.id}"
        page = await operations.send(path, f"{path}/cancel", reason="fraud")
        assert "nothing happens before a second person has approved it" in page.said
        assert (await desk.shop.order(alone.id)).status == "DELIVERED"
        chosen = [("order_ids", str(order.id)) for order in (small, large)]
        act = [("act", "cancel"), ("reason", "fraud"), *chosen]
        said = await do(operations, "/console/waiting", "/console/waiting/do", act)
        assert "Done for 1 of 2 orders. 1 wait for a second person." in said
        assert (await desk.shop.order(small.id)).status == "CANCELLED"
        assert (await desk.shop.order(large.id)).status == "DELIVERED"


async def test_a_mail_is_sent_once_more(desk: Desk) -> None:
    [order] = await waiting(desk, 1, stock=1)
    number = await mailed(desk, order)
    support = await desk.at(Role.SUPPORT)
    path = f"/console/orders/{order.id}"
    page = await support.get(path)
    assert "j***@customer.example" in page.said
    assert "jane.doe" not in page.text
    again = f"/console/mails/{number}/resend"
    page = await support.send(path, again, reason="they asked", back=path)
    assert page.url.endswith(path)
    assert "It is mailed once more." in page.said
    assert await trail(desk, "notice.resent") == [(desk.name(Role.SUPPORT), "they asked")]
    viewer = await desk.at(Role.VIEWER)
    for shown in (path, f"/console/mails/{number}"):
        assert again not in (await viewer.get(shown)).text


async def test_a_vendor_is_chosen_for_many_with_what_it_costs(dsn: str, tmp_path: Path) -> None:
    async with open_vending(dsn, tmp_path) as (desk, counter):
        small, large = await counter.waiting(2), await counter.waiting(10)
        operations = await desk.at(Role.OPERATIONS)
        chosen = [("order_ids", str(order.id)) for order in (small, large)]
        act = [("act", "vendor-fulfilment"), ("vendor", "acme")]
        before = await desk.shop.everything()
        page = await do(operations, "/console/waiting", "/console/waiting/preview", [*act, *chosen])
        assert "2 from acme" in page
        assert "second person" in page
        assert await desk.shop.everything() == before
        said = await do(
            operations,
            "/console/waiting",
            "/console/waiting/do",
            [*act, ("reason", "asked by the client"), *chosen],
        )
        assert "Done for 1 of 2 orders. 1 wait for a second person." in said
        await counter.work()
        assert (await desk.shop.order(small.id)).status == "DELIVERED"
        path = f"/console/orders/{small.id}"
        async with counting(desk.shop.parts.db, desk.shop.parts.settings.pool_size) as seen:
            page = (await operations.get(path)).said
        assert len(seen) <= STATEMENTS_MAX
        assert "Exchange" in page
        other = f"/console/orders/{large.id}/vendors"
        said = (await operations.send(other, other.replace("vendors", "vendor-fulfilment"))).said
        assert "Invalid Reason" in said


async def test_every_page_of_the_watch_shows_within_its_statements(desk: Desk) -> None:
    """With alerts, orders of clients, a sealed trail, mails: at most 12 statements each."""
    await raise_alerts(desk)
    orders = await waiting(desk, 1, 2, 3, stock=1)
    await mailed(desk, orders[0])
    await made_older(desk, orders[1:2], hours=30)
    await seal(desk)
    admin = await desk.at(Role.ADMIN)
    await admin.send("/console/alerts", "/console/alerts/1/acknowledge", note="seen to")
    most = 0
    for path in (
        *("/console", "/console/alerts?state=ANY", "/console/audit", "/console/waiting"),
        *("/console/orders", "/console/orders?q=x", f"/console/orders/{orders[0].id}"),
        f"/console/orders/{orders[1].id}/vendors",
    ):
        await admin.get(path)
        async with counting(desk.shop.parts.db, desk.shop.parts.settings.pool_size) as seen:
            page = await admin.get(path)
        assert page.status == 200, page.said
        assert len(seen) <= STATEMENTS_MAX, (path, len(seen), seen)
        most = max(most, len(seen))
    assert most > 5
