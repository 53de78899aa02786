"""Staff change what clients prove themselves with: signing secrets and passwords."""

from base64 import b64decode
from typing import Any

import pytest

from rewards.staff.model import Role
from tests.staff.house import House

API = "/admin/api/v1"
OLD, NEW = "a quiet password", "another quiet password"


@pytest.fixture
async def admin(house: House) -> dict[str, str]:
    return await house.as_role(Role.ADMIN)


def key_of(secret: str) -> bytes:
    return b64decode(secret.removeprefix("whsec_"))


async def signing_key(house: House, issued: dict[str, Any]) -> bytes | None:
    """What this process checks the credential's signatures with."""
    house.feed.expire()
    held = await house.directory.credential_by_key(issued["api_key"], issued["api_secret"])
    return held.signing_key


async def test_a_rotated_secret_signs_and_the_old_one_no_more(
    house: House, admin: dict[str, str]
) -> None:
    path = f"{API}/clients/{house.client}/credentials"
    issued = (await house.http.post(path, json={"signing_required": True}, headers=admin)).json()
    assert await signing_key(house, issued) == key_of(issued["signing_secret"])
    answer = await house.http.post(f"{path}/{issued['id']}/rotate-signing-secret", headers=admin)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    secret = answer.json()["signing_secret"]
    assert secret != issued["signing_secret"]
    assert await signing_key(house, issued) == key_of(secret)
    row = (await house.audit())[-1]
    assert (row["action"], row["facts"]) == (
        "credential.secret_rotated",
        {"api_key": issued["api_key"]},
    )
    assert secret not in str(await house.everything())


async def test_only_a_valid_credential_of_that_client_is_rotated(
    house: House, admin: dict[str, str]
) -> None:
    path = f"{API}/clients/{house.client}/credentials"
    issued = (await house.http.post(path, headers=admin)).json()
    other = (await house.http.post(f"{API}/clients", json={"name": "B"}, headers=admin)).json()
    await house.http.post(f"{path}/{issued['id']}/revoke", headers=admin)
    before = await house.everything()
    for owner in (house.client, other["id"], 999_999):
        answer = await house.http.post(
            f"{API}/clients/{owner}/credentials/{issued['id']}/rotate-signing-secret",
            headers=admin,
        )
        assert (answer.status_code, answer.json()["code"]) == (404, "CREDENTIAL_NOT_FOUND")
    assert await house.everything() == before


async def enter(house: House, password: str) -> Any:
    body = {"username": "buyer", "password": password}
    return await house.http.post("/auth/login", json=body)


async def test_a_new_password_ends_what_the_old_one_opened(
    house: House, admin: dict[str, str]
) -> None:
    path = f"{API}/clients/{house.client}/logins"
    login = (
        await house.http.post(path, json={"username": "buyer", "password": OLD}, headers=admin)
    ).json()
    opened = (await enter(house, OLD)).json()
    answer = await house.http.patch(f"{path}/{login['id']}", json={"password": NEW}, headers=admin)
    assert (answer.status_code, answer.json()) == (200, login)
    listed = await house.http.get(path, headers=admin)
    assert listed.json() == [login]
    assert (await enter(house, OLD)).status_code == 401
    assert (await enter(house, NEW)).status_code == 200
    refresh = {"refresh_token": opened["refresh_token"]}
    assert (await house.http.post("/auth/refresh", json=refresh)).status_code == 401
    row = (await house.audit())[-1]
    assert (row["action"], row["facts"]) == ("login.password_changed", {"username": "buyer"})
    assert NEW not in str(await house.everything())


async def test_a_password_that_may_not_be_is_refused(house: House, admin: dict[str, str]) -> None:
    path = f"{API}/clients/{house.client}/logins"
    login = (
        await house.http.post(path, json={"username": "buyer", "password": OLD}, headers=admin)
    ).json()
    other = (await house.http.post(f"{API}/clients", json={"name": "B"}, headers=admin)).json()
    before = await house.everything()
    for where, password, status, code in (
        (f"{path}/{login['id']}", "short", 400, "INVALID_FIELD"),
        (f"{path}/{login['id']}", "password1", 400, "INVALID_FIELD"),
        (f"{path}/999999", NEW, 404, "LOGIN_NOT_FOUND"),
        (f"{API}/clients/{other['id']}/logins/{login['id']}", NEW, 404, "LOGIN_NOT_FOUND"),
    ):
        answer = await house.http.patch(where, json={"password": password}, headers=admin)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert await house.everything() == before
