"""Webhooks of clients, as staff see, change and send them again."""

from typing import Any

import pytest

from rewards.staff.model import Role
from tests.staff.house import NOON, House

URL = "https://shop.example/hooks?key=4711-private"
DELIVERY = """
INSERT INTO webhook_deliveries (endpoint_id, client_id, event_id, sequence, event_type, status,
    next_at, last_error, created_at, finished_at)
VALUES (1, $1, 1, 1, 'webhook.test', 'FAILED', $2, 'HTTP 500', $2, $2)
"""


async def ask(
    house: House, headers: dict[str, str], method: str, path: str, body: Any = None
) -> Any:
    url = f"/admin/api/v1/clients/{house.client}/webhooks{path}"
    return await house.http.request(method, url, json=body, headers=headers)


async def test_staff_do_what_the_client_could(house: House) -> None:
    """And the trail says that it was staff."""
    admin = await house.member(Role.ADMIN)
    headers = house.token(admin)
    made = await ask(house, headers, "POST", "", {"url": URL, "events": ["order.failed"]})
    assert (made.status_code, made.headers["Cache-Control"]) == (201, "no-store")
    secret = made.json()["secret"]
    assert secret.startswith("whsec_")
    rotated = await ask(house, headers, "POST", "/1/rotate-secret")
    assert (rotated.status_code, rotated.headers["Cache-Control"]) == (200, "no-store")
    assert (await ask(house, headers, "POST", "/1/rotate-secret")).status_code == 409
    off = (await ask(house, headers, "PATCH", "/1", {"status": "DISABLED"})).json()
    assert (off["status"], off["disabled_reason"]) == ("DISABLED", "STAFF")
    assert (await ask(house, headers, "POST", "/1/test")).status_code == 409
    await ask(house, headers, "PATCH", "/1", {"status": "ENABLED", "name": "Shop"})
    tested = await ask(house, headers, "POST", "/1/test")
    assert (tested.status_code, tested.json()["event_id"]) == (202, "evt_1")
    async with house.db.transaction() as tx:
        await tx.execute(DELIVERY, house.client, NOON)
    again = await ask(house, headers, "POST", "/deliveries/1/redeliver")
    assert (again.status_code, again.json()["redelivery_of"]) == (202, 1)
    told = (await ask(house, headers, "GET", "/deliveries/1")).json()
    assert (told["status"], told["payload"]["type"]) == ("FAILED", "webhook.test")
    listed = (await ask(house, headers, "GET", "/1/deliveries?status=pending")).json()
    assert [each["id"] for each in listed] == [2]
    recovered = await ask(house, headers, "POST", "/1/recover", {"since": "2026-01-01T00:00:00Z"})
    assert (recovered.status_code, recovered.json()["failed"]) == (202, 0)
    assert [each["id"] for each in (await ask(house, headers, "GET", "")).json()] == [1]
    assert (await ask(house, headers, "GET", "/1")).json()["name"] == "Shop"
    assert (await ask(house, headers, "DELETE", "/1")).status_code == 204
    assert (await ask(house, headers, "GET", "/1")).status_code == 404
    trail = await house.audit()
    assert [row["action"] for row in trail] == [
        "webhook.created",
        "webhook.secret_rotated",
        "webhook.changed",
        "webhook.changed",
        "webhook.tested",
        "webhook.redelivered",
        "webhook.recovered",
        "webhook.deleted",
    ]
    assert {(row["actor_kind"], row["actor_id"]) for row in trail} == {("STAFF", admin)}
    assert {row["client_id"] for row in trail} == {house.client}
    for hidden in (secret[6:], rotated.json()["secret"][6:], "4711-private"):
        assert hidden not in str(trail)


async def test_what_went_wrong_is_found_among_all_clients(house: House) -> None:
    admin, headers = await house.as_role(Role.ADMIN), await house.as_role(Role.VIEWER)
    for _ in range(4):
        await ask(house, admin, "POST", "", {"url": URL})
    await ask(house, admin, "PATCH", "/2", {"status": "DISABLED"})
    await ask(house, admin, "DELETE", "/4")
    async with house.db.transaction() as tx:
        await tx.execute("UPDATE webhook_endpoints SET failing_since = $1 WHERE id > 2", NOON)
    for query, ids in (
        ("", [1, 2, 3]),
        ("?status=disabled", [2]),
        ("?failing=true", [3]),
        ("?failing=false&status=ENABLED", [1]),
        ("?limit=1&page=2", [2]),
    ):
        found = await house.http.get(f"/admin/api/v1/webhooks{query}", headers=headers)
        assert [each["id"] for each in found.json()] == ids, query
        assert all(each["client_id"] == house.client for each in found.json())
        assert "secret" not in found.json()[0]
    for query, message in (
        ("?status=GONE", "Invalid Status: oneof"),
        ("?failing=perhaps", "Invalid Failing: oneof"),
    ):
        refused = await house.http.get(f"/admin/api/v1/webhooks{query}", headers=headers)
        assert (refused.status_code, refused.json()["message"]) == (400, message)


ROUTES = (
    ("GET", "", None),
    ("POST", "", {"url": URL}),
    ("GET", "/1", None),
    ("PATCH", "/1", {"name": "x"}),
    ("DELETE", "/1", None),
    ("POST", "/1/test", None),
    ("POST", "/1/rotate-secret", None),
    ("GET", "/1/deliveries", None),
    ("POST", "/1/recover", {"since": "2026-01-01T00:00:00Z"}),
    ("GET", "/deliveries/1", None),
    ("POST", "/deliveries/1/redeliver", None),
)


async def test_a_webhook_is_found_under_its_own_client_alone(house: House) -> None:
    headers = await house.as_role(Role.ADMIN)
    await ask(house, headers, "POST", "", {"url": URL})
    async with house.db.transaction() as tx:
        await tx.execute(DELIVERY, house.client, NOON)
        other = await tx.fetchval(
            "INSERT INTO clients (name, created_at) VALUES ('other', $1) RETURNING id", NOON
        )
    before = await house.everything()
    for client, code in ((other, None), (999_999, "CLIENT_NOT_FOUND")):
        for method, path, body in ROUTES:
            if client == other and path == "":
                continue
            answer = await house.http.request(
                method,
                f"/admin/api/v1/clients/{client}/webhooks{path}",
                json=body,
                headers=headers,
            )
            named = "DELIVERY_NOT_FOUND" if "/deliveries/" in path else "WEBHOOK_NOT_FOUND"
            assert answer.status_code == 404, (method, path)
            assert answer.json()["code"] == (code or named), (method, path)
    assert await house.everything() == before


@pytest.mark.parametrize(
    ("role", "may"),
    [
        (Role.VIEWER, {"GET"}),
        (Role.FINANCE, {"GET"}),
        (Role.SUPPORT, {"GET", "test", "recover", "redeliver"}),
        (Role.OPERATIONS, {"GET", "test", "recover", "redeliver", "PATCH", "DELETE"}),
    ],
)
async def test_who_sees_a_secret_is_trusted_with_credentials(
    house: House, role: Role, may: set[str]
) -> None:
    admin, headers = await house.as_role(Role.ADMIN), await house.as_role(role)
    await ask(house, admin, "POST", "", {"url": URL})
    for method, path, body in ROUTES:
        answer = await ask(house, headers, method, path, body)
        allowed = bool(may & {method, path.rpartition("/")[2]})
        assert (answer.status_code == 403) is not allowed, (method, path)
