"""From where clients and their people act, as the trail and the request log keep it."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from rewards.clients.model_members import MemberRole
from tests.members.company import Company, opened
from tests.portal.visitor import visiting

PROXY = ("127.0.0.1/32",)
# What a browser or a stranger wrote itself stands left of what the proxy saw.
FORWARDED = {"X-Forwarded-For": "198.51.100.9, 203.0.113.7"}
ORDER = {"product_id": 6, "denomination": 25, "quantity": 1}


async def acted(company: Company, headers: Mapping[str, str]) -> None:
    """An order by a key, and what people do at the API, each with these headers."""
    await company.shop.stock(await company.shop.product(), 1)
    key = await company.key()
    made = [
        await company.call("POST", "/orders", ORDER, by=key, headers=headers),
        await company.prove(
            *("POST", "/members"),
            {"username": "new", "password": "another quiet password", "role": "viewer"},
            headers=headers,
        ),
        await company.prove("POST", "/credentials", {"name": "shop"}, headers=headers),
        await company.call(
            "POST", "/webhooks", {"url": "https://shop.example/hook", "name": "a"}, headers=headers
        ),
    ]
    assert [answer.status in {200, 201} for answer in made] == [True] * 4, made


async def addresses(company: Company) -> dict[str, str | None]:
    """From where each act of a client is said to have come."""
    async with company.shop.parts.db.connection() as connection:
        rows = await connection.fetch(
            "SELECT action, address FROM audit_entries WHERE actor_kind = 'CLIENT'"
        )
    return {row["action"]: row["address"] for row in rows}


ACTED = ("order.placed", "login.created", "credential.issued", "webhook.created")


@pytest.mark.parametrize(("trusted", "address"), [(PROXY, "203.0.113.7"), ((), "127.0.0.1")])
async def test_an_act_is_from_where_the_proxy_says_if_it_is_ours(
    dsn: str, tmp_path: Path, trusted: tuple[str, ...], address: str
) -> None:
    async with opened(dsn, tmp_path, trusted_proxies=trusted) as company:
        await acted(company, FORWARDED)
        assert await addresses(company) == dict.fromkeys(ACTED, address)
        await company.shop.parts.requests.flush()
        lines = (await company.call("GET", "/requests")).json
        assert {line["address"] for line in lines} == {address}


async def test_an_address_that_nobody_can_read_is_nobodys(dsn: str, tmp_path: Path) -> None:
    """Better none than that of our own proxy."""
    async with opened(dsn, tmp_path, trusted_proxies=PROXY) as company:
        await acted(company, {"X-Forwarded-For": "unknown"})
        assert await addresses(company) == dict.fromkeys(ACTED, None)


@pytest.mark.parametrize(("trusted", "address"), [(PROXY, "203.0.113.7"), ((), "127.0.0.1")])
async def test_what_is_done_on_a_page_is_from_where_the_person_is(
    dsn: str, tmp_path: Path, trusted: tuple[str, ...], address: str
) -> None:
    async with (
        opened(dsn, tmp_path, trusted_proxies=trusted) as company,
        visiting(company, FORWARDED) as visitor,
    ):
        await visitor.sign_in(MemberRole.OWNER)
        await visitor.get("/keys")
        form = {"name": "shop", "scopes": "orders:read", "current_password": "a quiet password"}
        assert (await visitor.send("/keys", form)).status == 200
        assert (await addresses(company))["credential.issued"] == address
