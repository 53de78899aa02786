"""The trail as staff read it: who is named, what narrows it, what is refused."""

import pytest

from rewards.audit import service as audit
from rewards.audit.checking import Check
from rewards.audit.csv_export import CsvRows
from rewards.audit.model_chain import public_key_of
from rewards.audit.model_export import JsonLines
from rewards.audit.sealing import AuditSealer, key_of
from rewards.staff.model import Role
from tests.audit.trailing import EVER
from tests.staff.house import House

API = "/admin/api/v1"


@pytest.fixture
async def admin(house: House) -> dict[str, str]:
    return await house.as_role(Role.ADMIN)


async def test_the_trail_can_be_read_and_narrowed(house: House, admin: dict[str, str]) -> None:
    for name in ("A", "B"):
        await house.http.post(f"{API}/clients", json={"name": name}, headers=admin)
        house.clock.advance(minutes=1)
    await house.http.patch(
        f"{API}/clients/{house.client}",
        json={"name": "C"},
        headers=admin | {"X-Request-Id": "req-of-mine"},
    )
    whole = await house.http.get(f"{API}/audit", headers=admin)
    assert [entry["action"] for entry in whole.json()] == [
        "client.changed",
        "client.created",
        "client.created",
    ]
    newest, oldest = whole.json()[0], whole.json()[2]
    assert newest["facts"] == {"name": {"from": "Acme", "to": "C"}}
    assert (newest["actor"], newest["address"]) == ("STAFF", "192.0.2.7")
    assert (newest["actor_name"], newest["client_name"]) == ("admin@example.com", "C")
    one = await house.http.get(f"{API}/audit?limit=1", headers=admin)
    cursor = one.headers["x-next-cursor"]
    assert f"cursor={cursor}" in one.headers["link"]
    for query, ids in (
        ("limit=1", [0]),
        (f"cursor={cursor}", [1, 2]),
        ("action=client.created", [1, 2]),
        ("action=client.", [0, 1, 2]),
        ("action=client", []),
        (f"subject_kind=client&subject_id={house.client}", [0]),
        (f"client_id={house.client}", [0]),
        (f"staff_id={newest['actor_id']}", [0, 1, 2]),
        ("staff_id=999", []),
        ("staff=Admin@example.com", [0, 1, 2]),
        ("staff=nobody", []),
        (f"staff=admin@example.com&staff_id={newest['actor_id'] + 1}", []),
        ("actor=staff", [0, 1, 2]),
        ("actor=client", []),
        ("request_id=req-of-mine", [0]),
        ("address=192.0.2.7", [0, 1, 2]),
        ("address=192.0.2.8", []),
        ("reason=nothing", []),
        (f"from={newest['at']}", [0]),
        (f"to={newest['at']}&from={oldest['at']}", [1, 2]),
        ("from=2026-03-01&to=2026-03-01", [0, 1, 2]),
        ("from=2026-03-02", []),
        ("from=&action=&staff=&cursor=&reason=+", [0, 1, 2]),
    ):
        found = await house.http.get(f"{API}/audit?{query}", headers=admin)
        assert found.json() == [whole.json()[turn] for turn in ids], query


async def test_what_nobody_can_mean_is_refused(house: House, admin: dict[str, str]) -> None:
    for query, message in (
        ("client_id=x", "Invalid ClientId: number"),
        ("cursor=5", "Invalid Cursor: format"),
        ("from=yesterday", "Invalid From: timestamp"),
        ("actor=robot", "Invalid Actor: oneof"),
        ("staff=a%00", "Invalid Staff: printable"),
        ("reason=" + "+".join("abcdefghijk"), "Invalid Reason: max"),
        ("address=" + "1" * 101, "Invalid Address: max"),
        ("limit=501", "Invalid Limit: max"),
    ):
        answer = await house.http.get(f"{API}/audit?{query}", headers=admin)
        assert (answer.status_code, answer.json()["message"]) == (400, message)
    support = await house.as_role(Role.SUPPORT)
    assert (await house.http.get(f"{API}/audit", headers=support)).status_code == 403


@pytest.mark.parametrize(("accept", "form"), [("*/*", JsonLines), ("text/csv", CsvRows)])
async def test_the_trail_can_be_taken_away(
    house: House, admin: dict[str, str], accept: str, form: type[JsonLines] | type[CsvRows]
) -> None:
    await house.http.post(f"{API}/clients", json={"name": "=A"}, headers=admin)
    key = key_of(house.vault)
    await AuditSealer(house.db, house.clock, key, ahead_max=EVER).drain()
    asked = f"{API}/audit/export?from=2026-03-01&to=2026-03-01"
    answer = await house.http.get(asked, headers=admin | {"Accept": accept})
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert answer.headers["content-type"].startswith(form.media_type)
    assert f'filename="audit-1-1.{form.suffix}"' in answer.headers["content-disposition"]
    check = Check(public_key_of(key))
    assert check.run(form.read(answer.content.splitlines(keepends=True))) == []
    assert (check.entries, check.seals) == (1, 1)
    [newest, *_] = (await house.http.get(f"{API}/audit", headers=admin)).json()
    assert (newest["action"], newest["actor_name"]) == ("audit.exported", "admin@example.com")
    assert newest["facts"] == {
        "format": form.suffix,
        "from": "2026-03-01T00:00:00+00:00",
        "to": "2026-03-02T00:00:00+00:00",
        "first_sequence": 1,
        "last_sequence": 1,
    }


async def test_where_the_chain_ends_is_told(house: House, admin: dict[str, str]) -> None:
    key = key_of(house.vault)
    [none] = [(await house.http.get(f"{API}/audit/chain", headers=admin)).json()]
    assert (none["sequence"], none["position"], none["sealed_at"]) == (0, 0, None)
    await house.http.post(f"{API}/clients", json={"name": "A"}, headers=admin)
    waits = (await house.http.get(f"{API}/audit/chain", headers=admin)).json()
    assert waits["unsealed_since"] is not None
    await AuditSealer(house.db, house.clock, key).drain()
    told = (await house.http.get(f"{API}/audit/chain", headers=admin)).json()
    async with house.db.connection() as connection:
        end = await audit.head(connection)
    assert (told["sequence"], told["position"]) == (end.sequence, end.position)
    assert (told["sequence"], told["digest"]) == (1, end.digest.hex())
    assert told["unsealed_since"] is None
    assert told["public_key"] == public_key_of(key)
    support = await house.as_role(Role.SUPPORT)
    assert (await house.http.get(f"{API}/audit/chain", headers=support)).status_code == 403


async def test_an_export_that_nobody_may_have_is_refused(
    house: House, admin: dict[str, str]
) -> None:
    before = await house.everything()
    bad = await house.http.get(f"{API}/audit/export?from=x", headers=admin)
    assert (bad.status_code, bad.json()["message"]) == (400, "Invalid From: timestamp")
    viewer = await house.as_role(Role.VIEWER)
    assert (await house.http.get(f"{API}/audit/export", headers=viewer)).status_code == 403
    after = await house.everything()
    assert after["audit_entries"] == before["audit_entries"]
