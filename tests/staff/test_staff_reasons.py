"""Acts upon people, secrets and terms take a reason, and the trail keeps it (ADR 0037)."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rewards.clients.model import NewCredential
from rewards.clients.service import issue_credentials
from rewards.core.actor import SYSTEM
from rewards.staff.model import Role
from rewards.vendors import service as vendors
from rewards.vendors.account import NewAccount
from tests.staff.office import Office, open_office

WHY = "asked for by their head of security"
PASSWORD = "a very quiet password"
ACTS: list[tuple[str, str, dict[str, Any], str]] = [
    ("PATCH", "/staff/{person}", {"role": "support"}, "staff.changed"),
    ("POST", "/staff/{person}/sessions/end", {}, "staff.session_ended"),
    ("POST", "/staff/{person}/sessions/{session}/end", {}, "staff.session_ended"),
    ("POST", "/staff/{person}/second-factor/reset", {}, "staff.second_factor_reset"),
    ("POST", "/clients/{client}/credentials/{key}/revoke", {}, "credential.revoked"),
    (
        "POST",
        "/clients/{client}/credentials/{key}/rotate-signing-secret",
        {},
        "credential.secret_rotated",
    ),
    ("PATCH", "/clients/{client}/logins/{login}", {"password": PASSWORD}, "login.password_changed"),
    ("PATCH", "/clients/{client}", {"status": "SUSPENDED"}, "client.changed"),
    ("PUT", "/products/6/discounts/{client}", {"percent": 3}, "product.discount_set"),
    ("PUT", "/products/6/visibility/{client}", {"visible": False}, "product.visibility_set"),
    ("PUT", "/vendors/{vendor}/products/6", {"sku": "AMZ-25"}, "vendor.product_mapped"),
    ("POST", "/clients", {"name": "Northwind"}, "client.created"),
    ("POST", "/clients/{client}/wallets", {"currency": "USD"}, "wallet.opened"),
    ("POST", "/clients/{client}/credentials", {}, "credential.issued"),
    (
        "POST",
        "/clients/{client}/logins",
        {"username": "ann", "password": PASSWORD},
        "login.created",
    ),
    ("PUT", "/clients/{client}/notice-settings", {}, "client.notice_settings_set"),
    (
        "POST",
        "/staff",
        {"username": "dora", "role": "viewer", "password": PASSWORD},
        "staff.created",
    ),
    (
        "POST",
        "/vendors",
        {
            "name": "other",
            "adapter": "sandbox",
            "config": {"base_url": "https://other.example"},
            "secrets": {"api_key": "k" * 20},
        },
        "vendor.created",
    ),
    ("PATCH", "/products/6", {"pool_target": 7}, "product.changed"),
    ("PATCH", "/vendors/{vendor}", {"status": "PAUSED"}, "vendor.changed"),
]


@pytest.fixture
async def office(dsn: str, tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(dsn, tmp_path) as office:
        await office.shop.product()
        yield office


async def things(office: Office) -> dict[str, int]:
    """Somebody of the staff with a session and a second factor, a client, and a vendor."""
    shop, parts = office.shop, office.shop.parts
    client = await shop.client(minor=1)
    person = office.people[await office.hire(Role.VIEWER, "viewer two")]
    async with parts.db.transaction() as tx:
        await tx.execute(
            "INSERT INTO staff_second_factors (staff_id, secret, created_at, confirmed_at)"
            " VALUES ($1, 'sealed', now(), now())",
            person,
        )
        [issued] = await issue_credentials(
            *(tx, parts.vault, parts.settings, [NewCredential(client)], shop.now)
        )
        login = await tx.fetchval(
            "INSERT INTO client_logins (client_id, username, password_hash, created_at)"
            " VALUES ($1, 'buyer', 'none', now()) RETURNING id",
            client,
        )
        config = {"base_url": "https://vendor.example"}
        account = NewAccount("acme", "sandbox", config, {"api_key": "k" * 20})
        vendor = await vendors.create(tx, parts.vault, account, SYSTEM, shop.now, loopback=False)
        session = await tx.fetchval("SELECT id FROM staff_sessions WHERE staff_id = $1", person)
    made = {"person": person, "session": session, "client": client, "login": login}
    return made | {"key": issued.id, "vendor": vendor.id}


@pytest.mark.parametrize(
    ("method", "path", "body", "action"), ACTS, ids=[f"{act[0]} {act[1]}" for act in ACTS]
)
async def test_the_trail_keeps_why(
    office: Office, method: str, path: str, body: dict[str, Any], action: str
) -> None:
    where = path.format(**await things(office))
    too_long = body | {"reason": "x" * 501}
    assert await office.refused("admin", method, where, too_long, 400) == "INVALID_FIELD"
    assert await office.status("admin", method, where, body | {"reason": WHY}) < 300
    async with office.shop.parts.db.connection() as connection:
        rows = await connection.fetch(
            "SELECT reason FROM audit_entries WHERE action = $1 AND actor_kind = 'STAFF'", action
        )
    assert {row["reason"] for row in rows} == {WHY}


async def test_nobody_is_held_up_for_a_word(office: Office) -> None:
    """A key that leaked, and a person who was robbed: the body may be left out whole."""
    made = await things(office)
    for path in ("/clients/{client}/credentials/{key}/revoke", "/staff/{person}/sessions/end"):
        assert await office.status("admin", "POST", path.format(**made)) == 200
    async with office.shop.parts.db.connection() as connection:
        rows = await connection.fetch("SELECT reason FROM audit_entries ORDER BY id DESC LIMIT 2")
    assert [row["reason"] for row in rows] == [None, None]
