"""Every staff route x every kind of caller, generated from the application's route table (T45)."""

import re
from typing import Any

import pytest
from litestar.handlers import HTTPRouteHandler

from rewards.staff.auth import Requires
from rewards.staff.model import PERMISSIONS, Permission, Role
from tests.staff.house import House
from tests.staff.signed_in import SESSIONS_FROM, bearer

API = "/admin/api/v1"
OPEN_TO_ALL = {("POST", "/admin/auth/login")}
# What everybody may do with what is their own; and what of it is open before there is a second
# factor, where everybody must have one.
ENROLLING = {("POST", "/admin/auth/logout"), ("GET", f"{API}/me"), ("POST", f"{API}/me/prove")} | {
    ("POST", f"{API}/me/second-factor"),
    ("POST", f"{API}/me/second-factor/confirm"),
}
ANY_STAFF = ENROLLING | {
    ("POST", f"{API}/me/password"),
    ("POST", f"{API}/me/second-factor/remove"),
    ("GET", f"{API}/sessions"),
    ("DELETE", f"{API}/sessions/{{session_id:str}}"),
    ("POST", f"{API}/sessions/end-others"),
}
# What hands out a secret, decides who may come in, or is a second person's word.
PROVEN = {
    ("POST", f"{API}/me/second-factor"),
    ("POST", f"{API}/approvals/{{approval_id:str}}/approve"),
}
PROVEN_PERMISSIONS = {
    Permission.CODES_REVEAL,
    Permission.CREDENTIALS_ISSUE,
    Permission.STAFF_WRITE,
    Permission.VENDORS_SECRETS,
}


def staff_routes(house: House) -> dict[tuple[str, str], list[Requires]]:
    """(method, path) of each route under /admin, with the guards that stand on it."""
    found: dict[tuple[str, str], list[Requires]] = {}
    for route in house.app.routes:
        if not route.path.startswith("/admin"):
            continue
        for handler in getattr(route, "route_handlers", []):
            assert isinstance(handler, HTTPRouteHandler)
            guards = [g for g in handler.resolve_guards() if isinstance(g, Requires)]
            for method in handler.http_methods - {"OPTIONS"}:
                found[str(method), route.path] = guards
    return found


async def call(house: House, method: str, path: str, headers: dict[str, str] | None = None) -> Any:
    """The route with ids that nobody has and a body that says nothing."""
    url = re.sub(r"\{[^}]*\}", "999999", path)
    body = {} if method in ("POST", "PATCH", "PUT") else None
    return await house.http.request(method, url, json=body, headers=headers)


async def test_every_staff_route_names_its_permission(house: House) -> None:
    routes = staff_routes(house)
    assert len(routes) >= 15
    for key, guards in routes.items():
        if key in OPEN_TO_ALL:
            assert guards == []
        else:
            assert len(guards) == 1, key
            [guard] = guards
            assert (guard.permission is None) == (key in ANY_STAFF), key
            assert guard.enrolling == (key in ENROLLING), key
            assert guard.proof == (key in PROVEN or guard.permission in PROVEN_PERMISSIONS), key


async def test_every_permission_opens_some_route(house: House) -> None:
    asked = {guard.permission for guards in staff_routes(house).values() for guard in guards}
    assert asked - {None} == set(Permission)


async def test_nobody_else_gets_in(house: House) -> None:
    admin = await house.member(Role.ADMIN)
    gone = await house.member(Role.ADMIN, active=False, username="gone@example.com")
    good = house.token(admin)["Authorization"]
    strangers: dict[str, dict[str, str]] = {
        "nobody": {},
        "no scheme": {"Authorization": good.removeprefix("Bearer ")},
        "basic": {"Authorization": "Basic YTpi"},
        "garbage": {"Authorization": "Bearer a.b.c"},
        "broken": {"Authorization": good[:-3] + "AAA"},
        "deactivated": house.token(gone),
        "older epoch": house.token(admin, epoch=-1),
        "newer epoch": house.token(admin, epoch=1),
        "nobody of this id": house.token(999_999),
        "no session": house.sessionless(admin),
        "another's session": bearer(
            house.vault, gone, house.clock.now(), session_id=SESSIONS_FROM + admin
        ),
        "a session that never was": bearer(
            house.vault, admin, house.clock.now(), session_id=999_999
        ),
        "a client's token": await house.client_token(),
        "a client's key": await house.client_key(),
    }
    routes = staff_routes(house).keys() - OPEN_TO_ALL
    before = await house.everything()
    for who, headers in strangers.items():
        for method, path in routes:
            answer = await call(house, method, path, headers)
            assert answer.status_code == 401, (who, method, path)
            assert answer.json()["code"] == "UNAUTHORIZED"
    house.clock.advance(hours=2)
    for method, path in routes:
        assert (await call(house, method, path, {"Authorization": good})).status_code == 401
    assert await house.everything() == before


@pytest.mark.parametrize("role", Role)
async def test_each_role_gets_exactly_what_the_table_grants(house: House, role: Role) -> None:
    headers = await house.as_role(role)
    routes = {key: g for key, g in staff_routes(house).items() if key not in OPEN_TO_ALL}
    for (method, path), [guard] in routes.items():
        if (method, path) in ANY_STAFF:
            continue
        before = await house.everything()
        answer = await call(house, method, path, headers)
        if guard.permission in PERMISSIONS[role]:
            assert answer.status_code not in (401, 403, 405, 500), (method, path, answer.text)
        else:
            assert answer.status_code == 403, (method, path)
            told = answer.json()
            assert (told["error"], told["code"]) == ("Forbidden", "FORBIDDEN")
            assert told["details"] == {"permission": guard.permission}
            assert await house.everything() == before, (method, path)


async def test_staff_are_nobody_on_a_clients_route(house: House) -> None:
    for role in Role:
        headers = await house.as_role(role)
        answer = await house.http.post("/auth/logout", headers=headers)
        assert answer.status_code == 401
    assert (await house.http.post("/auth/logout", headers=await house.client_token())).is_success


async def test_two_authorization_headers_are_no_authorization(house: House) -> None:
    token = (await house.as_role(Role.ADMIN))["Authorization"]
    headers = [("Authorization", token), ("Authorization", token)]
    answer = await house.http.get("/admin/api/v1/clients", headers=headers)
    assert answer.status_code == 401


async def test_a_forged_host_or_path_spelling_opens_nothing(house: House) -> None:
    for url in (
        "/admin/api/v1/../../admin/auth/login",
        "/admin/api/v1/clients/",
        "//admin/api/v1/clients",
        "/admin//api/v1/clients",
        "/ADMIN/api/v1/clients",
        "/admin/api/v1/%63lients",
    ):
        answer = await house.http.get(url, headers={"Host": "house/admin/auth/login?"})
        assert answer.status_code in (400, 401, 404, 405), (url, answer.text)


def test_every_permission_is_somebodys_and_admins_have_all() -> None:
    assert PERMISSIONS[Role.ADMIN] == set(Permission)
    for role in Role:
        assert PERMISSIONS[Role.VIEWER] <= PERMISSIONS[role]
    # Who brings stock in does not bring money in.
    for role in set(Role) - {Role.ADMIN}:
        both = {Permission.INVENTORY_IMPORT, Permission.WALLETS_TOP_UP}
        assert not both <= PERMISSIONS[role]
