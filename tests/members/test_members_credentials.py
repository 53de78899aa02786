"""A client's own people make, rotate and end its keys."""

import pytest

from rewards.clients import service as clients
from rewards.clients.model import KEY_SCOPES
from rewards.clients.model_members import MemberRole
from tests.members.company import PASSWORD, Company

DEVELOPER = MemberRole.DEVELOPER


async def test_a_key_is_shown_once_and_works(company: Company) -> None:
    answer = await company.prove("POST", "/credentials", {"name": "shop"}, by=DEVELOPER)
    assert (answer.status, answer.headers["Cache-Control"]) == (201, "no-store")
    issued = answer.json
    assert set(issued["scopes"]) == KEY_SCOPES
    key = {"X-API-Key": issued["api_key"], "X-API-Secret": issued["api_secret"]}
    listed = await company.call("GET", "/credentials")
    [told] = listed.json
    assert (told["name"], told["last_used_at"], told["revoked_at"]) == ("shop", None, None)
    for secret in (issued["api_secret"], issued["signing_secret"]):
        assert secret not in listed.text
    [row] = await company.audit("credential.issued")
    assert (row["actor_kind"], row["actor_id"]) == ("CLIENT", company.client_id)
    assert row["facts"]["login_id"] == company.members[DEVELOPER]
    assert issued["api_secret"] not in str(row)
    assert (await company.call("GET", "/wallets", by=key)).status == 200
    await company.shop.parts.requests.flush()
    [told] = (await company.call("GET", "/credentials")).json
    assert told["last_used_at"].endswith(":00:00Z")


async def test_nobody_makes_a_key_for_more_than_they_may(company: Company) -> None:
    await company.bearer(DEVELOPER)
    before = await company.everything()
    for body, status, code in (
        ({"name": "shop", "scopes": ["members:write"]}, 400, "INVALID_FIELD"),
        ({"name": "shop", "scopes": ["vouchers:read"]}, 400, "INVALID_FIELD"),
        ({"name": "shop", "scopes": []}, 400, "INVALID_FIELD"),
        ({"name": " ", "scopes": ["orders:read"]}, 400, "INVALID_FIELD"),
        ({"name": "x" * 101}, 400, "INVALID_FIELD"),
        ({"name": "shop", "current_password": "wrong password"}, 403, "WRONG_PASSWORD"),
    ):
        sent = {"current_password": PASSWORD, **body}
        answer = await company.call("POST", "/credentials", sent, by=DEVELOPER)
        assert (answer.status, answer.json["code"]) == (status, code), body
    assert await company.everything() == before
    narrow = {"name": "till", "scopes": ["orders:read"], "signing_required": True}
    issued = (await company.prove("POST", "/credentials", narrow, by=DEVELOPER)).json
    assert (issued["scopes"], issued["signing_required"]) == (["orders:read"], True)


async def test_a_key_is_rotated_and_ended_by_its_own_people_alone(
    company: Company, other: Company
) -> None:
    issued = (await company.prove("POST", "/credentials", {"name": "shop"})).json
    path = f"/credentials/{issued['id']}"
    foreign = (await other.prove("POST", "/credentials", {"name": "theirs"})).json["id"]
    before = await company.everything()
    for act in ("revoke", "rotate-signing-secret"):
        texts: set[str] = set()
        for number in (foreign, 999_999_999):
            answer = await company.prove("POST", f"/credentials/{number}/{act}")
            assert answer.status == 404
            texts.add(answer.text.replace(answer.json["request_id"], ""))
        assert len(texts) == 1
        wrong = await company.call("POST", f"{path}/{act}", {"current_password": "no such one"})
        assert (wrong.status, wrong.json["code"]) == (403, "WRONG_PASSWORD")
    assert await company.everything() == before
    rotated = await company.prove("POST", f"{path}/rotate-signing-secret")
    assert rotated.headers["Cache-Control"] == "no-store"
    assert rotated.json["signing_secret"] != issued["signing_secret"]
    ended = (await company.prove("POST", f"{path}/revoke")).json
    assert ended["revoked_at"] is not None
    key = {"X-API-Key": issued["api_key"], "X-API-Secret": issued["api_secret"]}
    assert (await company.call("GET", "/wallets", by=key)).status == 401
    before = await company.everything()
    assert (await company.prove("POST", f"{path}/revoke")).json == ended
    # Told of again, and nothing else.
    assert (await company.everything()) | {"changes": 0} == before | {"changes": 0}
    [row] = await company.audit("credential.revoked")
    assert row["facts"]["api_key"] == issued["api_key"]


async def test_of_revoked_keys_the_latest_are_listed(
    company: Company, other: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rewards.members.http_credentials.REVOKED_SHOWN_MAX", 2)
    for _ in range(5):
        await company.key()
    await other.key()
    numbers = [key["id"] for key in (await company.call("GET", "/credentials")).json]
    assert len(numbers) == 5
    # The one that was made first is revoked last.
    first, second, third, *rest = numbers
    async with company.shop.parts.db.transaction() as tx:
        for credential_id in (third, second, first):
            await clients.revoke_credential(tx, credential_id, company.shop.now)
    listed = (await company.call("GET", "/credentials")).json
    assert [key["id"] for key in listed] == [first, second, *rest]
    assert len((await other.call("GET", "/credentials")).json) == 1


async def test_codes_are_shown_to_who_may_spend(company: Company) -> None:
    shop = company.shop
    await shop.stock(await shop.product(), 3)
    order = {"product_id": 6, "denomination": 25, "quantity": 2}
    placed = (await company.call("POST", "/orders", order)).json
    assert len(placed["vouchers"]) == 2
    path = f"/orders/{placed['id']}"
    for role in MemberRole:
        seen = (await company.call("GET", path, by=role)).json
        shows = role in {MemberRole.OWNER, DEVELOPER}
        assert len(seen["vouchers"]) == (2 if shows else 0), role
        assert len(seen["items"]) == 2
        assert ("voucher" in seen["items"][0]) is shows
    opened = len(await company.audit("order.vouchers_opened"))
    assert (await company.call("GET", f"{path}?vouchers=false")).json["vouchers"] == []
    assert len(await company.audit("order.vouchers_opened")) == opened
    assert (await company.call("GET", f"{path}?vouchers=no")).status == 400
    key = await company.key(scopes=frozenset({"orders:read"}))
    assert len((await company.call("GET", path, by=key)).json["vouchers"]) == 2
