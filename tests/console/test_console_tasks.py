"""What operators come for, through forms alone: many at once, notes, searches, a second person."""

import re

from rewards.core.errors import Refusal
from rewards.orders.model import Order
from rewards.staff.model import Role
from tests.console.desk import Desk, Visitor


async def waiting(desk: Desk, *quantities: int) -> list[Order]:
    """A client's orders for which the pool has nothing."""
    shop = desk.shop
    product = await shop.product()
    client = await shop.client(minor=10_000_000)
    placed = await shop.place(*[shop.ask(client, product, each) for each in quantities])
    assert not any(isinstance(each, Refusal) for each in placed)
    return [each.order for each in placed if not isinstance(each, Refusal)]


async def do(visitor: Visitor, page_path: str, path: str, fields: list[tuple[str, str]]) -> str:
    """Send a form with several values of a name; what the page that follows says."""
    csrf = (await visitor.get(page_path)).csrf
    return (await visitor.post(path, [("csrf", csrf), *fields])).said


async def test_many_are_cancelled_once_it_was_seen_what_that_does(desk: Desk) -> None:
    orders = await waiting(desk, 1, 2, 3)
    visitor = await desk.at(Role.OPERATIONS)
    chosen = [("order_ids", str(order.id)) for order in orders[:2]]
    before = await desk.shop.everything()
    said = await do(
        visitor, "/console/waiting", "/console/waiting/preview", [("act", "cancel"), *chosen]
    )
    assert "Nothing was done yet." in said
    assert "25.50" in said
    assert await desk.shop.everything() == before
    said = await do(
        visitor,
        "/console/waiting",
        "/console/waiting/do",
        [("act", "cancel"), ("reason", "the brand has none"), *chosen],
    )
    assert "Done for 2 of 2 orders." in said
    states = [(await desk.shop.order(order.id)).status for order in orders]
    assert states == ["CANCELLED", "CANCELLED", "PENDING"]
    # Once more: each is refused by itself, and says so.
    said = await do(
        visitor,
        "/console/waiting",
        "/console/waiting/do",
        [("act", "cancel"), ("reason", "again"), *chosen],
    )
    assert "Done for 0 of 2 orders." in said
    assert f"Order {orders[0].id}:" in said


async def test_without_a_reason_or_a_choice_nothing_is_done(desk: Desk) -> None:
    [order] = await waiting(desk, 1)
    visitor = await desk.at(Role.OPERATIONS)
    chosen = [("order_ids", str(order.id))]
    before = await desk.shop.everything()
    page, path = "/console/waiting", "/console/waiting/do"
    said = await do(visitor, page, path, [("act", "cancel"), *chosen])
    assert "Invalid Reason" in said
    said = await do(visitor, page, "/console/waiting/preview", [("act", "retry")])
    assert "Choose some orders first." in said
    said = await do(visitor, page, path, [("act", "explode"), ("reason", "x"), *chosen])
    assert "Not found" in said
    assert await desk.shop.everything() == before


async def test_a_role_that_may_not_is_told_so(desk: Desk) -> None:
    [order] = await waiting(desk, 1)
    visitor = await desk.at(Role.VIEWER)
    before = await desk.shop.everything()
    page = await visitor.get(f"/console/orders/{order.id}")
    assert "Cancel this order" not in page.said
    path = f"/console/orders/{order.id}"
    page = await visitor.send(path, f"{path}/cancel", reason="because")
    assert "Insufficient permissions. It needs the permission orders:cancel." in page.said
    assert await desk.shop.everything() == before


async def test_a_note_and_a_kept_search_stay(desk: Desk) -> None:
    [order] = await waiting(desk, 1)
    visitor = await desk.at(Role.SUPPORT)
    path = f"/console/orders/{order.id}"
    page = await visitor.send(path, f"{path}/notes", text="Called <b>them</b>, they wait.")
    assert "Called <b>them</b>, they wait." in page.said
    assert "<b>them</b>" not in page.text
    search = "/console/orders?status=PENDING"
    page = await visitor.send(search, "/console/searches", name="Late ones", status="PENDING")
    assert "Kept." in page.said
    assert page.url.endswith("/console/orders?status=PENDING")
    found = re.search(r"/console/searches/(\d+)/forget", page.text)
    assert found
    page = await visitor.send("/console/orders", found[0])
    assert "Forgotten." in page.said
    assert "Late ones" not in page.said


async def test_a_recall_needs_a_second_person(desk: Desk) -> None:
    shop = desk.shop
    product = await shop.product()
    await shop.stock(product, 1)
    client = await shop.client(minor=10_000_000)
    await shop.place_one(shop.ask(client, product, 1))
    async with shop.parts.db.connection() as connection:
        batch_id = await connection.fetchval("SELECT max(batch_id) FROM units")
    asker = await desk.at(Role.ADMIN)
    path = f"/console/inventory/batches/{batch_id}"
    page = await asker.send(path, f"{path}/recall", reason="the brand says they leaked")
    assert "a second person agrees" in page.said
    page = await asker.get("/console/approvals")
    assert "Somebody else decides" in page.said
    assert "Batch recall" in page.said
    other = await desk.at(Role.FINANCE)
    page = await other.get("/console/approvals")
    found = re.search(r"/console/approvals/(\d+)/approve", page.text)
    assert found
    page = await other.send("/console/approvals", found[0], note="they did say so")
    assert "Approved; it is carried out now." in page.said


async def test_a_single_unit_is_blocked_unblocked_and_revoked_from_the_list(desk: Desk) -> None:
    shop = desk.shop
    product = await shop.product()
    unit, sold = await shop.stock(product, 2)
    client = await shop.client(minor=10_000_000)
    async with shop.parts.db.connection() as connection:
        batch_id = await connection.fetchval("SELECT max(batch_id) FROM units")
    path = f"/console/inventory/batches/{batch_id}/units"
    operations = await desk.at(Role.OPERATIONS)
    page = await operations.send(path, f"{path}/{unit}/block", reason="used before")
    assert "The unit is out of sale." in page.said
    assert f"{path}/{unit}/block" not in page.text
    await shop.place_one(shop.ask(client, product, 1))
    page = await operations.send(path, f"{path}/{unit}/unblock", reason="it is good")
    assert "The next pump puts the unit on sale again." in page.said
    page = await operations.send(path, f"{path}/{unit}/revoke", reason="it is not")
    assert "The unit is gone for good." in page.said
    page = await operations.get(path)
    for act in ("block", "unblock", "revoke"):
        assert f"/{sold}/{act}" not in page.text
        assert f"/{unit}/{act}" not in page.text
    page = await operations.send(path, f"{path}/{sold}/revoke", reason="it is not")
    assert "cancel its item late, or recall its batch" in page.said
    [other] = await shop.stock(product, 1)
    async with shop.parts.db.transaction() as tx:
        await tx.execute("UPDATE units SET batch_id = $1 WHERE id = $2", batch_id, other)
    assert f"{path}/{other}/revoke" in (await operations.get(path)).text
    viewer = await desk.at(Role.VIEWER)
    assert f"{path}/{other}/revoke" not in (await viewer.get(path)).text


async def test_what_a_first_step_was_given_stays_with_its_session(desk: Desk) -> None:
    visitor = desk.visitor()
    page = await visitor.get("/console/sign-in")
    fields = {"csrf": page.csrf, "step": "x" * 40, "username": "", "password": ""}
    page = await visitor.post("/console/sign-in", fields)
    assert page.status == 401
    assert "That took too long. Begin again." in page.said
