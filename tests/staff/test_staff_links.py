"""Staff help with claim links: tell of them again, replace them; who may, why, and what is kept."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from rewards.catalog.model import LinkType
from rewards.claims.model import digest_of
from rewards.core.actor import Actor, ActorKind
from rewards.entry.api import build_app
from rewards.orders.view import OrderOut
from rewards.staff.model import Role
from tests.shop import Shop, open_shop
from tests.staff.signed_in import bearer, sign_in

ORDERS = "/admin/api/v1/orders"
WHY = {"reason": "it went to the wrong person"}


@dataclass
class Desk:
    """A shop, its application, and one of each role who is logged in."""

    shop: Shop
    http: httpx.AsyncClient
    tokens: dict[str, dict[str, str]]

    async def post(
        self, order_id: int, act: str, body: Any = WHY, who: str = "operations"
    ) -> httpx.Response:
        return await self.http.post(
            f"{ORDERS}/{order_id}/links/{act}",
            json=body,
            headers=self.tokens[who],
        )

    async def order(self, quantity: int = 2, *, linked: bool = True) -> int:
        facts = {"link_type": LinkType.PUBLIC} if linked else {}
        number = 40 if linked else 6
        known = self.shop.parts.catalog.product(number)
        product = known or await self.shop.product(number, **facts)
        await self.shop.stock(product, quantity)
        client = await self.shop.client(minor=1_000_000)
        return (await self.shop.place_one(self.shop.ask(client, product, quantity))).order.id

    async def read(self, order_id: int) -> OrderOut:
        client_id = (await self.shop.order(order_id)).client_id
        actor = Actor(ActorKind.CLIENT, client_id)
        return await self.shop.parts.orders.read(actor, client_id, order_id)

    async def trail(self, order_id: int) -> list[tuple[str, str | None]]:
        async with self.shop.parts.db.connection() as connection:
            rows = await connection.fetch(
                "SELECT action, reason FROM audit_entries WHERE subject_kind = 'order'"
                " AND subject_id = $1 AND actor_kind = 'STAFF' ORDER BY id",
                order_id,
            )
        return [(row["action"], row["reason"]) for row in rows]


@pytest.fixture
async def desk(dsn: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_shop(dsn, tmp_path) as shop:
        tokens = {}
        async with shop.parts.db.transaction() as tx:
            for role in Role:
                staff_id = await tx.fetchval(
                    "INSERT INTO staff_users (username, role, password_hash, created_at)"
                    " VALUES ($1, $1, 'none', now()) RETURNING id",
                    str(role),
                )
                await sign_in(tx, staff_id)
                tokens[str(role)] = bearer(shop.parts.vault, staff_id, shop.now)
        transport = httpx.ASGITransport(build_app(shop.parts), client=("127.0.0.1", 4711))
        async with httpx.AsyncClient(transport=transport, base_url="http://desk") as http:
            yield Desk(shop, http, tokens)


async def test_links_are_told_of_again(desk: Desk) -> None:
    order_id = await desk.order()
    before = await desk.read(order_id)
    answer = await desk.post(order_id, "resend", who="support")
    assert answer.status_code == 200, answer.text
    assert answer.json()["sub_status"] == "GV_LINK_UNCLAIMED"
    assert "/vouchers/claim/" not in answer.text
    assert (await desk.read(order_id)).vouchers == before.vouchers
    assert await desk.shop.events(order_id) == ["order.delivered"] * 2
    assert await desk.trail(order_id) == [("order.links_resent", WHY["reason"])]
    assert await desk.shop.broken() == {}


async def test_links_are_replaced_whole_or_in_part(desk: Desk) -> None:
    order_id = await desk.order()
    first = [voucher.claim_url or "" for voucher in (await desk.read(order_id)).vouchers]
    answer = await desk.post(order_id, "reissue")
    assert answer.status_code == 200, answer.text
    assert "/vouchers/claim/" not in answer.text
    second = [voucher.claim_url or "" for voucher in (await desk.read(order_id)).vouchers]
    assert not {*first} & {*second}
    body = WHY | {"item_ids": [f"{order_id}-2"]}
    assert (await desk.post(order_id, "reissue", body, "admin")).status_code == 200
    third = [voucher.claim_url or "" for voucher in (await desk.read(order_id)).vouchers]
    assert (third[0], third[1] != second[1]) == (second[0], True)
    async with desk.shop.parts.db.connection() as connection:
        live = await connection.fetch("SELECT digest FROM claim_links WHERE ended_at IS NULL")
    assert {row["digest"] for row in live} == {digest_of(url.rpartition("/")[2]) for url in third}
    assert await desk.trail(order_id) == [("order.links_reissued", WHY["reason"])] * 2
    assert await desk.shop.broken() == {}


@pytest.mark.parametrize("act", ["resend", "reissue"])
async def test_what_cannot_be_done_changes_nothing(desk: Desk, act: str) -> None:
    order_id, plain = await desk.order(), await desk.order(linked=False)
    gone = await desk.order()
    await desk.shop.cancel(gone)
    before = await desk.shop.everything()
    item = f"{order_id}-1"
    for number, body, status, code in (
        (order_id, {}, 400, "INVALID_FIELD"),
        (order_id, WHY | {"item_ids": []}, 400, "INVALID_FIELD"),
        (order_id, WHY | {"item_ids": [f"{gone}-1"]}, 400, "INVALID_FIELD"),
        (order_id, WHY | {"item_ids": [item, f"{order_id}-3"]}, 400, "INVALID_FIELD"),
        (gone, WHY, 409, "NO_CLAIM_LINKS"),
        (gone, WHY | {"item_ids": [f"{gone}-1"]}, 409, "NO_CLAIM_LINKS"),
        (plain, WHY, 409, "NO_CLAIM_LINKS"),
        (999_999, WHY, 404, "ORDER_NOT_FOUND"),
    ):
        answer = await desk.post(number, act, body)
        assert (answer.status_code, answer.json()["code"]) == (status, code), body
    who = "viewer" if act == "resend" else "support"
    assert (await desk.post(order_id, act, who=who)).status_code == 403
    assert await desk.shop.everything() == before
