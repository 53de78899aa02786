"""Staff follow mail, send it again, and set how a client's mail looks."""

import base64
from typing import Any

import pytest

from rewards.staff.model import Role
from tests.notices.picture import logo
from tests.staff.house import House

API = "/admin/api/v1"
ADDRESS = "jane.doe@customer.example"
NOTICE = """
INSERT INTO notices (client_id, kind, audience, address, cause, order_id, facts, message_id, state,
    attempts, next_at, reason, created_at, finished_at)
VALUES ($1, 'LOW_BALANCE', 'CLIENT', $2, $3, NULL, '{}', $3, $4, 1, now(), $5, now(), $6)
RETURNING id
"""
ATTEMPT = """
INSERT INTO notice_attempts (notice_id, number, outcome, stage, reply_code, reply, started_at,
    took_ms)
VALUES ($1, 1, 'NO_MAILBOX', 'RCPT', 550, '5.1.1 [address] unknown', now(), 12)
"""


async def failed(house: House, cause: str = "one", state: str = "FAILED") -> int:
    """A mail that was given up, its address suppressed."""
    ended = None if state == "QUEUED" else house.clock.now()
    async with house.db.transaction() as tx:
        number = await tx.fetchval(NOTICE, house.client, ADDRESS, cause, state, "NO_MAILBOX", ended)
        await tx.execute(ATTEMPT, number)
        await tx.execute(
            "INSERT INTO suppressed_addresses VALUES ($1, $2, 550, now()) ON CONFLICT DO NOTHING",
            *(ADDRESS, number),
        )
    return int(number)


async def test_mail_is_listed_with_its_address_masked(house: House) -> None:
    viewer = await house.as_role(Role.VIEWER)
    first, second = await failed(house), await failed(house, "two", "QUEUED")
    answer = await house.http.get(f"{API}/notices", headers=viewer)
    assert [told["id"] for told in answer.json()] == [second, first]
    assert answer.json()[1]["address"] == "j***@customer.example"
    assert ADDRESS not in answer.text
    narrowed = {
        f"client_id={house.client}&state=failed": [first],
        "state=QUEUED": [second],
        "kind=low_balance&limit=1": [second],
        f"before={second}": [first],
        "order_id=7": [],
        "client_id=999": [],
    }
    for query, ids in narrowed.items():
        told = (await house.http.get(f"{API}/notices?{query}", headers=viewer)).json()
        assert [each["id"] for each in told] == ids, query
    one = (await house.http.get(f"{API}/notices/{first}", headers=viewer)).json()
    [attempt] = one["attempts_made"]
    assert (attempt["outcome"], attempt["reply_code"]) == ("NO_MAILBOX", 550)
    assert one["next_at"] is None
    gone = await house.http.get(f"{API}/notices/99", headers=viewer)
    assert (gone.status_code, gone.json()["code"]) == (404, "NOTICE_NOT_FOUND")


async def test_mail_is_sent_again_once_for_a_reason(house: House) -> None:
    support = await house.as_role(Role.SUPPORT)
    number = await failed(house)
    path = f"{API}/notices/{number}/resend"
    before = await house.everything()
    refused = await house.http.post(path, json={"reason": " "}, headers=support)
    assert (refused.status_code, refused.json()["message"]) == (400, "Invalid Reason: required")
    assert await house.everything() == before
    answer = await house.http.post(path, json={"reason": "they made one"}, headers=support)
    assert answer.status_code == 202
    told = answer.json()
    assert (told["resend_of"], told["state"], told["attempts"]) == (number, "QUEUED", 0)
    [audited] = await house.audit()
    assert (audited["action"], audited["subject_id"]) == ("notice.resent", number)
    assert audited["reason"] == "they made one"
    assert ADDRESS not in str(dict(audited))
    async with house.db.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM suppressed_addresses") == 0
    before = await house.everything()
    again = await house.http.post(path, json={"reason": "again"}, headers=support)
    assert (again.status_code, again.json()["code"]) == (409, "NOTICE_STILL_QUEUED")
    assert await house.everything() == before


WHOLE: dict[str, Any] = {
    "brand_name": "Solara",
    "accent": "#E85D04",
    "logo": base64.b64encode(logo().data).decode(),
    "sender_name": "Solara Rewards",
    "sender_address": "vouchers@solara.example",
    "reply_to": "help@solara.example",
    "footer": "Solara Ltd",
    "language": "ar-EG",
    "contacts": ["ops@solara.example", "ops@solara.example"],
    "muted": ["order_cancelled"],
}


async def test_a_clients_mail_is_set_whole(house: House) -> None:
    admin = await house.as_role(Role.ADMIN)
    path = f"{API}/clients/{house.client}/notice-settings"
    usual = (await house.http.get(path, headers=admin)).json()
    assert (usual["language"], usual["contacts"], usual["changed_at"]) == ("en", [], None)
    told = (await house.http.put(path, json=WHOLE, headers=admin)).json()
    assert told["accent"] == "#e85d04"
    assert (told["logo"], told["logo_type"]) == (WHOLE["logo"], "image/png")
    assert (told["contacts"], told["muted"]) == (["ops@solara.example"], ["ORDER_CANCELLED"])
    assert (await house.http.get(path, headers=admin)).json() == told
    [audited] = await house.audit()
    assert audited["action"] == "client.notice_settings_set"
    assert WHOLE["logo"] not in str(dict(audited))
    again = (await house.http.put(path, json={}, headers=admin)).json()
    assert again | {"changed_at": None} == usual


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"accent": "red"}, "Invalid Accent: format"),
        ({"logo": "!!"}, "Invalid Logo: base64"),
        ({"logo": base64.b64encode(b"<svg/>").decode()}, "Invalid Logo: image"),
        ({"logo": base64.b64encode(b"\xff\xd8\xff" * 30_000).decode()}, "Invalid Logo: max"),
        ({"logo_url": "http://x.example/l.png"}, "Invalid LogoUrl: url"),
        ({"logo_url": "https://x.example/l.png"}, "Invalid LogoUrl: excluded"),
        ({"sender_address": "x@y"}, "Invalid SenderAddress: email"),
        ({"sender_name": "a\nBcc: b@c.example"}, "Invalid SenderName: printable"),
        ({"reply_to": "a@b.example\r\nX: y"}, "Invalid ReplyTo: email"),
        ({"language": "xx'"}, "Invalid Language: format"),
        ({"contacts": ["nobody"]}, "Invalid Contacts: email"),
        ({"contacts": [f"a{n}@b.example" for n in range(11)]}, "Invalid Contacts: max"),
        ({"muted": ["SPAM"]}, "Invalid Muted: oneof"),
        ({"brand_name": "x" * 101}, "Invalid BrandName: max"),
    ],
)
async def test_what_cannot_be_set_changes_nothing(
    house: House, change: dict[str, Any], message: str
) -> None:
    admin = await house.as_role(Role.ADMIN)
    path = f"{API}/clients/{house.client}/notice-settings"
    before = await house.everything()
    refused = await house.http.put(path, json=WHOLE | change, headers=admin)
    assert (refused.status_code, refused.json()["message"]) == (400, message)
    assert await house.everything() == before


async def test_a_client_that_is_none_has_no_settings(house: House) -> None:
    admin = await house.as_role(Role.ADMIN)
    path = f"{API}/clients/999/notice-settings"
    for answer in (
        await house.http.get(path, headers=admin),
        await house.http.put(path, json={}, headers=admin),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "CLIENT_NOT_FOUND")
