"""Staff and clients: what a mutation changes, what the audit trail says, what is refused."""

from typing import Any

import pytest

from rewards.staff.model import Role
from tests.staff.house import House

API = "/admin/api/v1"
DEFAULT_LIMITS = {
    "orders_per_minute": 60,
    "orders_per_10s": 10,
    "orders_per_day": 5000,
    "concurrent_orders": 3,
    "max_quantity": 1000,
}


@pytest.fixture
async def admin(house: House) -> dict[str, str]:
    return await house.as_role(Role.ADMIN)


async def refused(
    house: House, headers: dict[str, str], method: str, path: str, body: Any, status: int
) -> dict[str, Any]:
    """The refusal's body, after seeing that it changed nothing."""
    before = await house.everything()
    answer = await house.http.request(method, API + path, json=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert await house.everything() == before
    told: dict[str, Any] = answer.json()
    return told


async def only_audit_row(house: House, before: int) -> dict[str, Any]:
    rows = await house.audit()
    assert len(rows) == before + 1
    row = rows[-1]
    assert (row["actor_kind"], row["address"]) == ("STAFF", "192.0.2.7")
    assert row["request_id"]
    return row


async def test_a_client_is_added_and_the_trail_says_by_whom(
    house: House, admin: dict[str, str]
) -> None:
    answer = await house.http.post(
        f"{API}/clients",
        json={
            "name": "Globex",
            "limits": {"orders_per_minute": 600, "max_quantity": 50},
            "allowed_ips": ["10.0.0.0/8", "2001:db8::1"],
            "conversion_fee_percent": "1.5",
        },
        headers=admin,
    )
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert told["limits"] == DEFAULT_LIMITS | {"orders_per_minute": 600, "max_quantity": 50}
    assert (told["status"], told["allowed_ips"]) == ("ACTIVE", ["10.0.0.0/8", "2001:db8::1"])
    assert float(told["conversion_fee_percent"]) == 1.5
    row = await only_audit_row(house, 0)
    assert (row["action"], row["subject_id"], row["client_id"]) == (
        "client.created",
        told["id"],
        told["id"],
    )
    listed = await house.http.get(f"{API}/clients?name=glob", headers=admin)
    assert [client["id"] for client in listed.json()] == [told["id"]]
    assert listed.headers["x-total-count"] == "1"
    one = await house.http.get(f"{API}/clients/{told['id']}", headers=admin)
    assert one.json()["limits"] == told["limits"]


async def test_a_change_tells_what_was_and_what_is(house: House, admin: dict[str, str]) -> None:
    answer = await house.http.patch(
        f"{API}/clients/{house.client}",
        json={"status": "suspended", "limits": {"orders_per_day": 7}, "allowed_ips": ["::1"]},
        headers=admin,
    )
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["status"] == "SUSPENDED"
    assert told["limits"] == DEFAULT_LIMITS | {"orders_per_day": 7}
    row = await only_audit_row(house, 0)
    assert row["action"] == "client.changed"
    assert row["facts"] == {
        "status": {"from": "ACTIVE", "to": "SUSPENDED"},
        "orders_per_day": {"from": 5000, "to": 7},
        "allowed_ips": {"from": [], "to": ["::1"]},
    }


NO_CLIENTS: tuple[tuple[Any, str], ...] = (
    ({}, "Invalid request body format"),
    ({"name": "x", "status": "ACTIVE"}, "Invalid request body format"),
    ({"name": "x", "id": 7}, "Invalid request body format"),
    ({"name": " "}, "Invalid Name: required"),
    ({"name": "a\x00b"}, "Invalid Name: printable"),
    ({"name": "x" * 201}, "Invalid Name: max"),
    ({"name": "x", "conversion_fee_percent": "NaN"}, "Invalid ConversionFeePercent: format"),
    ({"name": "x", "allowed_ips": ["10.0.0.1/8"]}, "Invalid AllowedIps: ip"),
    (
        {"name": "x", "limits": {"max_quantity": 0}},
        "Invalid MaxQuantity: min",
    ),
    (
        {"name": "x", "conversion_fee_percent": 100},
        "Invalid ConversionFeePercent: max",
    ),
)


async def test_a_client_that_may_not_be_is_refused(house: House, admin: dict[str, str]) -> None:
    for body, message in NO_CLIENTS:
        assert (await refused(house, admin, "POST", "/clients", body, 400))["message"] == message


NO_CHANGES: tuple[tuple[Any, str], ...] = (
    ({"status": "CLOSED"}, "Invalid Status: oneof"),
    ({"limits": {"orders_per_minute": -1}}, "Invalid OrdersPerMinute: min"),
    ({"limits": {"orders_per_minute": 2**31}}, "Invalid OrdersPerMinute: max"),
    ({"token_epoch": 4}, "Invalid request body format"),
)


async def test_a_change_that_may_not_be_is_refused(house: House, admin: dict[str, str]) -> None:
    for body, message in NO_CHANGES:
        path = f"/clients/{house.client}"
        assert (await refused(house, admin, "PATCH", path, body, 400))["message"] == message


async def test_what_is_no_client_is_404(house: House, admin: dict[str, str]) -> None:
    for client_id in ("999999", "0", "x", "1e3", "99999999999999999999"):
        for method, path, body in (
            ("GET", "", None),
            ("PATCH", "", {"status": "ACTIVE"}),
            ("GET", "/credentials", None),
            ("POST", "/credentials", {}),
            ("POST", "/credentials/1/revoke", None),
            ("POST", "/logins", {"username": "buyer", "password": "a quiet password"}),
            ("POST", "/wallets", {"currency": "USD"}),
        ):
            told = await refused(house, admin, method, f"/clients/{client_id}{path}", body, 404)
            assert told["error"] == "NotFound"


async def test_a_credential_is_shown_once_and_never_told_again(
    house: House, admin: dict[str, str]
) -> None:
    path = f"{API}/clients/{house.client}/credentials"
    answer = await house.http.post(path, json={"scopes": ["orders:read"]}, headers=admin)
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    told = answer.json()
    assert told["api_key"].startswith("sk_test_0_")
    assert told["signing_secret"].startswith("whsec_")
    row = await only_audit_row(house, 0)
    assert (row["action"], row["subject_id"]) == ("credential.issued", told["id"])
    everything = str(await house.everything())
    assert told["api_secret"] not in everything
    assert told["signing_secret"] not in everything
    [listed] = (await house.http.get(path, headers=admin)).json()
    assert "api_secret" not in listed
    assert "signing_secret" not in listed
    assert (listed["scopes"], listed["revoked_at"]) == (["orders:read"], None)


async def test_without_a_body_a_credential_may_do_everything(
    house: House, admin: dict[str, str]
) -> None:
    path = f"{API}/clients/{house.client}/credentials"
    told = (await house.http.post(path, headers=admin)).json()
    assert "orders:write" in told["scopes"]
    assert told["signing_required"] is False


async def test_a_credential_is_revoked_for_good_and_once(
    house: House, admin: dict[str, str]
) -> None:
    path = f"{API}/clients/{house.client}/credentials"
    issued = (await house.http.post(path, headers=admin)).json()
    first = await house.http.post(f"{path}/{issued['id']}/revoke", headers=admin)
    assert first.status_code == 200
    row = await only_audit_row(house, 1)
    assert (row["action"], row["subject_id"]) == ("credential.revoked", issued["id"])
    assert row["facts"]["revoked_at"] == {"from": None, "to": house.clock.now().isoformat()}
    house.clock.advance(hours=1)
    second = await house.http.post(f"{path}/{issued['id']}/revoke", headers=await _again(house))
    assert second.json() == first.json()
    assert len(await house.audit()) == 2


async def _again(house: House) -> dict[str, str]:
    return house.token(await house.member(Role.ADMIN, username="second@example.com"))


async def test_a_credential_is_revoked_only_as_its_own_clients(
    house: House, admin: dict[str, str]
) -> None:
    issued = (
        await house.http.post(f"{API}/clients/{house.client}/credentials", headers=admin)
    ).json()
    other = (await house.http.post(f"{API}/clients", json={"name": "B"}, headers=admin)).json()
    path = f"/clients/{other['id']}/credentials/{issued['id']}/revoke"
    assert (await refused(house, admin, "POST", path, None, 404))["code"] == "CREDENTIAL_NOT_FOUND"


async def test_a_login_works_at_the_clients_door(house: House, admin: dict[str, str]) -> None:
    answer = await house.http.post(
        f"{API}/clients/{house.client}/logins",
        json={"username": "Buyer@example.com", "password": "a quiet password"},
        headers=admin,
    )
    assert answer.status_code == 201, answer.text
    assert answer.json()["username"] == "buyer@example.com"
    row = await only_audit_row(house, 0)
    assert (row["action"], row["facts"]) == (
        "login.created",
        {"username": "buyer@example.com", "role": "owner"},
    )
    assert "a quiet password" not in str(await house.everything())
    entered = await house.http.post(
        "/auth/login", json={"username": "buyer@example.com", "password": "a quiet password"}
    )
    assert entered.json()["client_id"] == house.client
    # What opens the client's door does not open the staff's, and the other way round.
    denied = await house.http.post(
        "/admin/auth/login", json={"username": "buyer@example.com", "password": "a quiet password"}
    )
    assert denied.status_code == 401


NO_LOGINS: tuple[tuple[Any, int, str], ...] = (
    ({"username": "taken", "password": "a quiet password"}, 409, "Username is already in use"),
    ({"username": "a b", "password": "a quiet password"}, 400, "Invalid Username: username"),
    ({"username": "fine", "password": "short"}, 400, "Invalid Password: min"),
    ({"username": "fine", "password": "password1"}, 400, "Invalid Password: common"),
)


async def test_a_login_that_may_not_be_is_refused(house: House, admin: dict[str, str]) -> None:
    path = f"/clients/{house.client}/logins"
    await house.http.post(
        API + path, json={"username": "taken", "password": "a quiet password"}, headers=admin
    )
    for body, status, message in NO_LOGINS:
        assert (await refused(house, admin, "POST", path, body, status))["message"] == message


async def test_somebody_is_let_in_through_the_door(house: House, admin: dict[str, str]) -> None:
    body = {"username": "Zoe", "role": "Finance", "password": "a long and quiet password"}
    answer = await house.http.post(f"{API}/staff", json=body, headers=admin)
    assert answer.status_code == 201, answer.text
    assert (answer.json()["username"], answer.json()["role"]) == ("zoe", "finance")
    row = await only_audit_row(house, 0)
    assert (row["action"], row["facts"]) == (
        "staff.created",
        {"username": "zoe", "role": "finance"},
    )
    listed = await house.http.get(f"{API}/staff", headers=admin)
    assert [person["username"] for person in listed.json()] == ["admin@example.com", "zoe"]
    assert (await refused(house, admin, "POST", "/staff", body, 409))[
        "code"
    ] == "STAFF_USERNAME_TAKEN"
    bad = body | {"username": "yan", "role": "owner"}
    assert (await refused(house, admin, "POST", "/staff", bad, 400))["message"] == (
        "Invalid Role: oneof"
    )


async def test_a_list_takes_no_odd_question(house: House, admin: dict[str, str]) -> None:
    for query, message in (
        ("name=a%00b", "Invalid Name: printable"),
        ("name=" + "x" * 201, "Invalid Name: max"),
        ("page=0", "Invalid Page: min"),
        ("limit=501", "Invalid Limit: max"),
    ):
        answer = await house.http.get(f"{API}/clients?{query}", headers=admin)
        assert (answer.status_code, answer.json()["message"]) == (400, message)


async def test_a_clients_wallets_are_listed(house: House, admin: dict[str, str]) -> None:
    answer = await house.http.get(f"{API}/clients/{house.client}/wallets", headers=admin)
    [wallet] = answer.json()
    assert (wallet["id"], wallet["currency"], wallet["status"]) == (house.wallet, "USD", "ACTIVE")
    path, body = f"{API}/clients/{house.client}/wallets", {"currency": "EUR"}
    made = (await house.http.post(path, json=body, headers=admin)).json()
    for page, number in ((1, made["id"]), (2, house.wallet)):
        answer = await house.http.get(f"{path}?limit=1&page={page}", headers=admin)
        assert [each["id"] for each in answer.json()] == [number]
        assert answer.headers["X-Total-Count"] == "2"
    for query, message in (("page=0", "Invalid Page: min"), ("limit=501", "Invalid Limit: max")):
        answer = await house.http.get(f"{path}?{query}", headers=admin)
        assert (answer.status_code, answer.json()["message"]) == (400, message)
    missing = await house.http.get(f"{API}/clients/999999/wallets", headers=admin)
    assert (missing.status_code, missing.json()["code"]) == (404, "CLIENT_NOT_FOUND")
