"""A client's people over HTTP: who they are, what their roles may, and how they change."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from rewards.clients.model import ALL_SCOPES, KEY_SCOPES
from rewards.clients.model_members import ROLE_SCOPES, MemberRole
from rewards.entry.wiring import open_parts
from tests.members.company import NOBODY, PASSWORD, Company

OWNER, DEVELOPER = MemberRole.OWNER, MemberRole.DEVELOPER
FINANCE, VIEWER = MemberRole.FINANCE, MemberRole.VIEWER
NEW = "another quiet password"
NEW_MEMBER = {"username": "Ada", "password": NEW, "role": "developer"}
# Every route that only a person may use, and who of them.
PERSONAL: list[tuple[str, str, Any, set[MemberRole]]] = [
    ("GET", "/members", None, set(MemberRole)),
    ("POST", "/members", NEW_MEMBER, {OWNER}),
    ("PATCH", "/members/999999", {"role": "viewer"}, {OWNER}),
    ("GET", "/credentials", None, {OWNER, DEVELOPER}),
    ("POST", "/credentials", {"name": "shop"}, {OWNER, DEVELOPER}),
    ("POST", "/credentials/999999/revoke", {}, {OWNER, DEVELOPER}),
    ("POST", "/credentials/999999/rotate-signing-secret", {}, {OWNER, DEVELOPER}),
    ("GET", "/notice-settings", None, set(MemberRole)),
    ("PUT", "/notice-settings", {"contacts": [], "muted": []}, {OWNER, FINANCE}),
]


async def test_everybody_is_told_who_they_are(company: Company) -> None:
    for role in MemberRole:
        me = (await company.call("GET", "/me", by=role)).json
        assert me["client"] == {"id": company.client_id, "name": "Test client", "status": "ACTIVE"}
        told = me["member"]
        assert (told["id"], told["role"]) == (company.members[role], role)
        assert (told["username"], told["active"]) == (company.name(role), True)
        assert set(me["scopes"]) == ROLE_SCOPES[role]
        assert me["credential"] is None
    key = await company.key(name="shop")
    me = (await company.call("GET", "/me", by=key)).json
    assert (me["member"], me["credential"]["api_key"]) == (None, key["X-API-Key"])
    assert me["credential"]["name"] == "shop"
    assert set(me["scopes"]) == KEY_SCOPES
    assert (await company.call("GET", "/me", by=NOBODY)).status == 401


async def test_who_had_a_login_before_may_do_everything(company: Company) -> None:
    """A row as an older process writes it has no role."""
    parts = company.shop.parts
    digest = await parts.passwords.digest(PASSWORD)
    async with parts.db.transaction() as tx:
        await tx.execute(
            "INSERT INTO client_logins (client_id, username, password_hash, created_at)"
            " VALUES ($1, 'early', $2, now())",
            *(company.client_id, digest),
        )
    await company.login("early")
    token = {"Authorization": f"Bearer {company.tokens['early']['access_token']}"}
    me = (await company.call("GET", "/me", by=token)).json
    assert me["member"]["role"] == "owner"
    assert set(me["scopes"]) == ALL_SCOPES


async def test_each_role_may_what_it_may_and_no_key_may_what_is_for_people(
    company: Company,
) -> None:
    key = await company.key()
    for method, path, body, allowed in PERSONAL:
        before = await company.everything()
        refused = await company.call(method, path, body, by=key)
        assert refused.refusal[0] == 403, (method, path)
        for role in set(MemberRole) - allowed:
            answer = await company.call(method, path, body, by=role)
            assert answer.refusal[0] == 403, (method, path, role)
        assert (await company.call(method, path, body, by=NOBODY)).refusal[0] == 401
        # Nobody of them logged in meanwhile, so that even sessions are the same.
        assert await company.everything() == before or method == "GET" or path == "/members"
        for role in allowed:
            answer = await company.call(method, path, body, by=role)
            # Let in: what it misses is the password, or what the path names.
            assert answer.status in (200, 400, 404), (method, path, role, answer.text)
    for role in MemberRole:
        seen = await company.call("GET", "/orders", by=role)
        assert seen.status == 200
        placed = await company.call("POST", "/orders", {}, by=role)
        assert placed.status == (400 if role in {OWNER, DEVELOPER} else 403)


async def test_a_member_is_let_in_by_an_owner_who_proves_it(company: Company) -> None:
    before = await company.everything()
    await company.bearer(OWNER)
    before = await company.everything()
    for body, status, code in (
        (NEW_MEMBER, 400, "INVALID_FIELD"),
        (NEW_MEMBER | {"current_password": NEW}, 403, "WRONG_PASSWORD"),
        (NEW_MEMBER | {"current_password": PASSWORD, "role": "king"}, 400, "INVALID_FIELD"),
        (NEW_MEMBER | {"current_password": PASSWORD, "password": "short"}, 400, "INVALID_FIELD"),
        (
            NEW_MEMBER | {"current_password": PASSWORD, "username": company.name(VIEWER)},
            409,
            "USERNAME_TAKEN",
        ),
    ):
        answer = await company.call("POST", "/members", body)
        assert (answer.status, answer.json["code"]) == (status, code)
        assert NEW not in answer.text
    assert await company.everything() == before
    added = await company.prove("POST", "/members", NEW_MEMBER)
    assert added.status == 201
    told = added.json
    assert (told["username"], told["role"], told["active"]) == ("ada", "developer", True)
    [row] = await company.audit("login.created")
    assert (row["actor_kind"], row["actor_id"]) == ("CLIENT", company.client_id)
    assert row["facts"]["login_id"] == company.members[OWNER]
    assert (await company.login("ada", NEW)).status == 200
    listed = (await company.call("GET", "/members", by=VIEWER)).json
    assert [each["username"] for each in listed][-1] == "ada"
    assert "password" not in str(listed)


async def test_a_changed_role_counts_at_once_and_everywhere(
    company: Company, dsn: str, tmp_path: Path
) -> None:
    token = (await company.bearer(DEVELOPER))["Authorization"].removeprefix("Bearer ")
    home = company.shop.parts.settings.home
    path = f"/members/{company.members[DEVELOPER]}"
    async with open_parts(dsn, company.shop.parts.settings.model_copy(update={"home": home})) as it:
        assert (await it.directory.principal_by_token(token)).scopes == ROLE_SCOPES[DEVELOPER]
        changed = await company.prove("PATCH", path, {"role": "VIEWER"})
        assert (changed.status, changed.json["role"]) == (200, "viewer")
        refused = await company.call("GET", "/credentials", by=DEVELOPER)
        assert refused.status == 403
        it.directory.expire()
        assert (await it.directory.principal_by_token(token)).scopes == ROLE_SCOPES[VIEWER]
    [row] = await company.audit("login.changed")
    assert row["facts"]["role"] == {"from": "developer", "to": "viewer"}
    # The same once more changes nothing, and is nothing to tell.
    assert (await company.prove("PATCH", path, {"role": "viewer"})).status == 200
    assert len(await company.audit("login.changed")) == 1


async def test_somebody_deactivated_is_out_and_stays_out_when_let_in_again(
    company: Company,
) -> None:
    name, path = company.name(FINANCE), f"/members/{company.members[FINANCE]}"
    await company.login(name)
    first = company.tokens[name]
    shown = {"Authorization": f"Bearer {first['access_token']}"}
    refresh = {"refresh_token": first["refresh_token"]}
    assert (await company.prove("PATCH", path, {"active": False})).json["active"] is False
    assert (await company.call("GET", "/me", by=shown)).status == 401
    assert (await company.call("POST", "/auth/refresh", refresh, by=NOBODY)).status == 401
    assert (await company.login(name)).status == 401
    assert (await company.prove("PATCH", path, {"active": True})).json["active"] is True
    assert (await company.call("GET", "/me", by=shown)).status == 401
    assert (await company.call("POST", "/auth/refresh", refresh, by=NOBODY)).status == 401
    assert (await company.login(name)).status == 200


async def test_an_owner_sets_another_password_for_somebody_who_forgot(company: Company) -> None:
    name, path = company.name(VIEWER), f"/members/{company.members[VIEWER]}"
    shown = await company.bearer(VIEWER)
    refresh = {"refresh_token": company.tokens[name]["refresh_token"]}
    await company.bearer(OWNER)
    before = await company.everything()
    for body, status in (
        ({"password": NEW, "current_password": NEW}, 403),
        ({"password": "short", "current_password": PASSWORD}, 400),
        ({"password": name, "current_password": PASSWORD}, 400),
    ):
        answer = await company.call("PATCH", path, body)
        assert answer.status == status
        assert NEW not in answer.text
    missing = await company.prove("PATCH", "/members/999999999", {"password": NEW})
    assert missing.status == 404
    assert await company.everything() == before
    assert (await company.prove("PATCH", path, {"password": NEW})).status == 200
    assert (await company.call("GET", "/me", by=shown)).status == 401
    assert (await company.call("POST", "/auth/refresh", refresh, by=NOBODY)).status == 401
    assert (await company.login(name)).status == 401
    assert (await company.login(name, NEW)).status == 200
    [row] = await company.audit("login.changed")
    assert row["facts"]["password_changed"] is True
    assert NEW not in str(row)
    assert (await company.call("GET", "/me", by=OWNER)).status == 200


async def test_who_cannot_change_the_team_logs_nobody_else_out(company: Company) -> None:
    name = company.name(VIEWER)
    await company.login(name)
    elsewhere = {"Authorization": f"Bearer {company.tokens[name]['access_token']}"}
    await company.login(name)
    owner = await company.bearer(OWNER)
    assert (await company.call("POST", "/auth/logout", by=VIEWER)).status == 200
    assert (await company.call("GET", "/me", by=VIEWER)).status == 401
    assert (await company.call("GET", "/me", by=elsewhere)).status == 401
    assert (await company.call("GET", "/me", by=owner)).status == 200
    await company.login(name)
    assert (await company.call("POST", "/auth/logout", by=OWNER)).status == 200
    assert (await company.call("GET", "/me", by=VIEWER)).status == 401


async def test_the_last_owner_stays_one(company: Company) -> None:
    path = f"/members/{company.members[OWNER]}"
    await company.bearer(OWNER)
    before = await company.everything()
    for body in ({"role": "viewer"}, {"active": False}, {"role": "finance", "active": False}):
        answer = await company.prove("PATCH", path, body)
        assert (answer.status, answer.json["code"]) == (409, "LAST_OWNER")
    assert await company.everything() == before


async def test_of_two_owners_who_demote_each_other_one_stays(company: Company) -> None:
    second = company.members[DEVELOPER]
    assert (await company.prove("PATCH", f"/members/{second}", {"role": "owner"})).status == 200
    for _ in range(4):
        first = company.members[OWNER]
        answers = await asyncio.gather(
            company.prove("PATCH", f"/members/{second}", {"role": "viewer"}, by=OWNER),
            company.prove("PATCH", f"/members/{first}", {"role": "viewer"}, by=DEVELOPER),
        )
        assert sorted(each.status for each in answers) == [200, 403], [a.text for a in answers]
        people = (await company.call("GET", "/members", by=OWNER)).json
        owners = [each["id"] for each in people if each["role"] == "owner"]
        assert len(owners) == 1
        # Who is left makes the other an owner again.
        by, gone = (OWNER, second) if owners == [first] else (DEVELOPER, first)
        again = await company.prove("PATCH", f"/members/{gone}", {"role": "owner"}, by=by)
        assert again.status == 200


async def test_another_companys_member_is_as_unknown(company: Company, other: Company) -> None:
    await company.bearer(OWNER)
    before = await company.everything()
    texts = set()
    for number in (other.members[VIEWER], 999_999_999):
        answer = await company.prove("PATCH", f"/members/{number}", {"active": False})
        assert answer.status == 404
        texts.add(answer.text.replace(answer.json["request_id"], ""))
    assert len(texts) == 1
    assert await company.everything() == before
    listed = (await company.call("GET", "/members")).json
    assert {each["id"] for each in listed} == set(company.members.values())


async def test_a_new_password_of_ones_own_ends_ones_other_sessions_alone(
    company: Company,
) -> None:
    name = company.name(VIEWER)
    await company.login(name)
    old = company.tokens[name]
    await company.login(name)
    colleague = await company.bearer(FINANCE)
    before = await company.everything()
    for current, new, status, code in (
        ("wrong password", NEW, 403, "WRONG_PASSWORD"),
        ("", NEW, 400, "INVALID_FIELD"),
        (PASSWORD, "password1", 400, "INVALID_FIELD"),
        (PASSWORD, name, 400, "INVALID_FIELD"),
    ):
        body = {"current_password": current, "new_password": new}
        answer = await company.call("POST", "/me/password", body, by=VIEWER)
        assert (answer.status, answer.json["code"]) == (status, code)
    assert await company.everything() == before
    body = {"current_password": PASSWORD, "new_password": NEW}
    assert (await company.call("POST", "/me/password", body, by=VIEWER)).status == 200
    assert (await company.call("GET", "/me", by=VIEWER)).status == 200
    shown = {"Authorization": f"Bearer {old['access_token']}"}
    assert (await company.call("GET", "/me", by=shown)).status == 401
    refresh = {"refresh_token": old["refresh_token"]}
    assert (await company.call("POST", "/auth/refresh", refresh, by=NOBODY)).status == 401
    mine = {"refresh_token": company.tokens[name]["refresh_token"]}
    assert (await company.call("POST", "/auth/refresh", mine, by=NOBODY)).status == 200
    assert (await company.call("GET", "/me", by=colleague)).status == 200
    assert (await company.login(name)).status == 401
    assert (await company.login(name, NEW)).status == 200
    [row] = await company.audit("login.password_changed")
    assert row["facts"] == {"username": name, "login_id": company.members[VIEWER]}


async def test_a_login_under_way_with_the_old_password_does_not_outlive_it(
    company: Company,
) -> None:
    """The digest is checked, the password changes, and only then the session would open."""
    name, sessions = company.name(VIEWER), company.shop.parts.sessions
    await company.login(name)
    reached, go_on = asyncio.Event(), asyncio.Event()
    matches = sessions._passwords.matches

    class Slow:
        async def matches(self, digest: str | None, password: str) -> bool:
            right = await matches(digest, password)
            reached.set()
            await go_on.wait()
            return right

    kept, sessions._passwords = sessions._passwords, Slow()  # type: ignore[assignment]
    entering = asyncio.create_task(
        company.call("POST", "/auth/login", {"username": name, "password": PASSWORD}, by=NOBODY)
    )
    await reached.wait()
    sessions._passwords = kept
    body = {"current_password": PASSWORD, "new_password": NEW}
    assert (await company.call("POST", "/me/password", body, by=VIEWER)).status == 200
    go_on.set()
    assert (await entering).status == 401


async def test_who_leaves_ends_their_own_session(company: Company) -> None:
    name = company.name(VIEWER)
    await company.login(name)
    first = company.tokens[name]
    await company.login(name)
    assert (await company.call("POST", "/me/logout", by=VIEWER)).status == 200
    assert (await company.call("GET", "/me", by=VIEWER)).status == 401
    refresh = {"refresh_token": company.tokens[name]["refresh_token"]}
    assert (await company.call("POST", "/auth/refresh", refresh, by=NOBODY)).status == 401
    shown = {"Authorization": f"Bearer {first['access_token']}"}
    assert (await company.call("GET", "/me", by=shown)).status == 200


async def test_a_password_is_not_guessed_here_either(company: Company) -> None:
    body = {"current_password": "wrong password", "new_password": NEW}
    statuses = [
        (await company.call("POST", "/me/password", body, by=VIEWER)).status for _ in range(11)
    ]
    assert statuses == [403] * 10 + [429]


@pytest.mark.parametrize("wrong", ["null", "[]", '{"current_password": 1}', "{", '{"x": "y"}'])
async def test_a_body_that_is_none_changes_nothing(company: Company, wrong: str) -> None:
    shown = {**(await company.bearer(OWNER)), "Content-Type": "application/json"}
    before = await company.everything()
    for path in ("members", "credentials", "me/password", "credentials/1/revoke"):
        url = f"{company.url}/api/v1/{path}"
        async with company.session.post(url, data=wrong.encode(), headers=shown) as answer:
            assert answer.status == 400
    assert await company.everything() == before
