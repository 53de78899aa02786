"""Exchange rates as staff see, set and decide about them."""

import asyncio
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from rewards.core.actor import SYSTEM
from rewards.infra.settings import Settings
from rewards.pricing.model_rates import Channel, Loaded, NewRate
from rewards.pricing.service_rates import offer_rates
from rewards.staff.model import Role
from tests.staff.house import House

API = "/admin/api/v1/fx-rates"


@pytest.fixture
async def finance(house: House) -> dict[str, str]:
    return await house.as_role(Role.FINANCE)


async def post(house: House, headers: dict[str, str], content: str, path: str = "") -> Any:
    return await house.http.post(API + path, content=content, headers=headers)


async def said(house: House, rate: str, **facts: Any) -> Loaded:
    """A provider says so many rupees for a dollar now."""
    now = house.clock.now()
    usual = {"origin": "ecb", "quoted_at": now, "channel": Channel.PROVIDER}
    new = NewRate("USD", "INR", Decimal(rate), **(usual | facts))
    [loaded] = await house.db.run(lambda tx: offer_rates(tx, [new], SYSTEM, now, Settings()))
    return loaded


async def in_force(house: House, headers: dict[str, str]) -> dict[str, Any]:
    answer = await house.http.get(API, headers=headers)
    assert answer.status_code == 200
    return {f"{each['source']}{each['target']}": each for each in answer.json()}


async def test_a_rate_is_set_seen_and_audited(house: House, finance: dict[str, str]) -> None:
    assert await in_force(house, finance) == {}
    answer = await post(
        house,
        finance,
        '{"source": "usd", "target": "INR", "rate": "83.123400", "spread_percent": 1.5,'
        ' "origin": "desk", "reason": "monday"}',
    )
    assert answer.status_code == 201
    told = answer.json()
    assert '"rate":83.1234,"spread_percent":1.5,"charged_rate":84.370251,' in answer.text
    assert (told["channel"], told["origin"], told["stale"]) == ("STAFF", "desk", False)
    assert told["quoted_at"] == told["set_at"] == "2026-03-01T12:00:00Z"
    assert told["stale_at"] == "2026-03-31T12:00:00Z"
    assert await in_force(house, finance) == {"USDINR": told}
    [row] = await house.audit()
    assert (row["action"], row["subject_kind"], row["subject_id"], row["reason"]) == (
        "fx_rate.set",
        "fx_rate",
        told["id"],
        "monday",
    )
    assert row["facts"] == {
        "charged_before": None,
        "source": "USD",
        "target": "INR",
        "rate": "83.1234",
        "spread_percent": "1.5",
        "channel": "STAFF",
        "origin": "desk",
        "quoted_at": "2026-03-01T12:00:00+00:00",
    }
    house.clock.advance(days=30)
    viewer = await house.as_role(Role.VIEWER)
    assert (await in_force(house, viewer))["USDINR"]["stale"] is False
    house.clock.advance(seconds=1)
    assert (await in_force(house, viewer))["USDINR"]["stale"] is True


GOOD = '{"source": "USD", "target": "INR", "rate": 83, "reason": "r"%s}'
BAD = (
    ("{}", "Invalid request body format"),
    ("[]", "Invalid request body format"),
    (GOOD % ', "id": 1', "Invalid request body format"),
    ('{"source": "USD", "target": "INR", "reason": "r"}', "Invalid Rate: required"),
    (GOOD.replace("83", "null") % "", "Invalid Rate: required"),
    (GOOD.replace("83", "0") % "", "Invalid Rate: gt"),
    (GOOD.replace("83", "-1") % "", "Invalid Rate: gt"),
    (GOOD.replace("83", '"NaN"') % "", "Invalid Rate: format"),
    (GOOD.replace("83", '""') % "", "Invalid Rate: format"),
    (GOOD.replace("83", "true") % "", "Invalid request body format"),
    (GOOD.replace("83", "1e400") % "", "Invalid Rate: max"),
    (GOOD.replace("83", "1000000000000") % "", "Invalid Rate: max"),
    (GOOD.replace("83", "0.0000000000001") % "", "Invalid Rate: precision"),
    (GOOD.replace("USD", "XXX") % "", "Invalid Source: exists"),
    (GOOD.replace("USD", "") % "", "Invalid Source: exists"),
    (GOOD.replace("INR", "€") % "", "Invalid Target: exists"),
    (GOOD.replace("INR", "usd") % "", "Invalid Target: pair"),
    ('{"source": "USD", "target": "INR", "rate": 83}', "Invalid Reason: min"),
    (GOOD.replace('"r"', '""') % "", "Invalid Reason: min"),
    (GOOD.replace('"r"', f'"{"x" * 501}"') % "", "Invalid Reason: max"),
    (GOOD % ', "origin": " "', "Invalid Origin: required"),
    (GOOD % ', "origin": "a\\u0000"', "Invalid Origin: printable"),
    (GOOD % f', "origin": "{"x" * 201}"', "Invalid Origin: max"),
    (GOOD % ', "spread_percent": -1', "Invalid SpreadPercent: format"),
    (GOOD % ', "spread_percent": "x"', "Invalid SpreadPercent: format"),
    (GOOD % ', "spread_percent": [1]', "Invalid SpreadPercent: format"),
    (GOOD % ', "spread_percent": 100', "Invalid SpreadPercent: max"),
    (GOOD % ', "spread_percent": 1.23456', "Invalid SpreadPercent: precision"),
    (GOOD % ', "quoted_at": "yesterday"', "Invalid QuotedAt: timestamp"),
    (GOOD % ', "quoted_at": "2026-03-01"', "Invalid QuotedAt: timestamp"),
    (GOOD % ', "quoted_at": "2026-03-01T12:05:01Z"', "Invalid QuotedAt: future"),
    (GOOD % ', "confirm": "yes"', "Invalid request body format"),
)


async def test_what_is_no_rate_changes_nothing(house: House, finance: dict[str, str]) -> None:
    before = await house.everything()
    for content, message in BAD:
        answer = await post(house, finance, content)
        assert (answer.status_code, answer.json()["message"]) == (400, message), content
    assert await house.everything() == before
    ahead = await post(house, finance, GOOD % ', "quoted_at": "2026-03-01T12:05:00Z"')
    assert ahead.status_code == 201


async def test_a_jump_must_be_meant(house: House, finance: dict[str, str]) -> None:
    assert (await post(house, finance, GOOD % "")).status_code == 201
    before = await house.everything()
    slip = GOOD.replace("83", "8.3")
    answer = await post(house, finance, slip % "")
    assert (answer.status_code, answer.json()["code"]) == (409, "FX_RATE_JUMP")
    assert answer.json()["details"] == {"charged_rate": 83, "percent_max": 10}
    assert await house.everything() == before
    answer = await post(house, finance, slip % ', "confirm": true')
    assert (answer.status_code, answer.json()["rate"]) == (201, 8.3)
    assert (await house.audit())[-1]["facts"]["charged_before"] == "83"


async def test_a_pair_has_a_history(house: House, finance: dict[str, str]) -> None:
    for rate in ("83", "84", "85"):
        await post(house, finance, GOOD.replace("83", rate) % "")
    await post(house, finance, GOOD.replace("83", "0.012").replace("USD", "EUR") % "")

    async def read(query: str) -> Any:
        return (await house.http.get(f"{API}/history?{query}", headers=finance)).json()

    found = await read("source=usd&target=inr")
    assert [each["rate"] for each in found] == [85, 84, 83]
    first = await read("source=USD&target=INR&limit=1")
    assert first == found[:1]
    assert await read(f"source=USD&target=INR&before={first[0]['id']}") == found[1:]
    assert await read("source=INR&target=USD") == []
    for query, message in (
        ("", "Invalid Source: exists"),
        ("source=USD", "Invalid Target: exists"),
        ("source=USD&target=USD", "Invalid Target: pair"),
        ("source=USD&target=INR&limit=501", "Invalid Limit: max"),
        ("source=USD&target=INR&before=0", "Invalid Before: min"),
    ):
        assert (await read(query))["message"] == message


async def test_a_providers_jump_waits_and_is_confirmed(
    house: House, finance: dict[str, str]
) -> None:
    assert (await said(house, "83")).outcome == "APPLIED"
    house.clock.advance(minutes=9)
    held = await said(house, "100")
    assert held.outcome == "HELD"
    listed = (await house.http.get(f"{API}/held?state=open", headers=finance)).json()
    assert [(each["id"], each["rate"], each["charged_before"]) for each in listed] == [
        (held.id, 100, 83)
    ]
    assert (await in_force(house, finance))["USDINR"]["rate"] == 83
    # Said again it is the same question, not a second one.
    rows = await house.everything()
    assert (await said(house, "100")).id == held.id
    assert await house.everything() == rows
    answer = await post(house, finance, '{"reason": "war"}', f"/held/{held.id}/confirm")
    assert (answer.status_code, answer.json()["state"]) == (200, "CONFIRMED")
    now = (await in_force(house, finance))["USDINR"]
    assert (now["rate"], now["channel"], now["origin"]) == (100, "PROVIDER", "ecb")
    row = (await house.audit())[-1]
    assert (row["action"], row["actor_kind"], row["reason"]) == (
        "fx_rate.confirmed",
        "STAFF",
        "war",
    )
    assert row["facts"]["rate_id"] == now["id"]
    before = await house.everything()
    for path in ("confirm", "dismiss"):
        late = await post(house, finance, '{"reason": "again"}', f"/held/{held.id}/{path}")
        assert (late.status_code, late.json()["code"]) == (409, "FX_RATE_DECIDED")
    assert await house.everything() == before


async def test_a_dismissed_rate_is_not_asked_about_again(
    house: House, finance: dict[str, str]
) -> None:
    await said(house, "83")
    house.clock.advance(minutes=9)
    held = await said(house, "8.3")
    answer = await post(house, finance, '{"reason": "slip"}', f"/held/{held.id}/dismiss")
    assert (answer.status_code, answer.json()["state"]) == (200, "DISMISSED")
    assert (await house.audit())[-1]["action"] == "fx_rate.dismissed"
    rows = await house.everything()
    again = await said(house, "8.3")
    assert (again.outcome, again.id) == ("HELD", held.id)
    assert await house.everything() == rows
    assert (await in_force(house, finance))["USDINR"]["rate"] == 83


async def test_something_newer_ends_the_waiting(house: House, finance: dict[str, str]) -> None:
    await said(house, "83")
    house.clock.advance(minutes=9)
    first = await said(house, "100")
    house.clock.advance(minutes=9)
    second = await said(house, "101")
    house.clock.advance(minutes=9)
    assert (await said(house, "84")).outcome == "APPLIED"
    listed = (await house.http.get(f"{API}/held", headers=finance)).json()
    assert [(each["id"], each["state"]) for each in listed] == [
        (second.id, "SUPERSEDED"),
        (first.id, "SUPERSEDED"),
    ]
    late = await post(house, finance, '{"reason": "r"}', f"/held/{second.id}/confirm")
    assert late.json()["details"] == {"state": "SUPERSEDED"}
    assert (await in_force(house, finance))["USDINR"]["rate"] == 84
    narrow = (await house.http.get(f"{API}/held?state=open", headers=finance)).json()
    assert narrow == []
    page = await house.http.get(f"{API}/held?limit=1&before={second.id}", headers=finance)
    assert [each["id"] for each in page.json()] == [first.id]


async def test_what_is_no_decision_changes_nothing(house: House, finance: dict[str, str]) -> None:
    await said(house, "83")
    house.clock.advance(minutes=9)
    held = await said(house, "100")
    before = await house.everything()
    for path, content, status, message in (
        (f"/held/{held.id}/confirm", "{}", 400, "Invalid Reason: min"),
        (f"/held/{held.id}/confirm", '{"reason": 1}', 400, "Invalid request body format"),
        (f"/held/{held.id}/dismiss", '{"reason": ""}', 400, "Invalid Reason: min"),
        ("/held/0/dismiss", '{"reason": "r"}', 404, "Held exchange rate not found"),
        ("/held/x/confirm", '{"reason": "r"}', 404, "Held exchange rate not found"),
        ("/held/999999/confirm", '{"reason": "r"}', 404, "Held exchange rate not found"),
    ):
        answer = await post(house, finance, content, path)
        assert (answer.status_code, answer.json()["message"]) == (status, message), path
    odd = await house.http.get(f"{API}/held?state=maybe", headers=finance)
    assert (odd.status_code, odd.json()["message"]) == (400, "Invalid State: oneof")
    assert await house.everything() == before


async def test_of_two_who_decide_one_wins(
    house: House, second_house: House, finance: dict[str, str]
) -> None:
    await said(house, "83")
    house.clock.advance(minutes=9)
    held = await said(house, "100")
    answers = await asyncio.gather(
        post(house, finance, '{"reason": "r"}', f"/held/{held.id}/confirm"),
        post(second_house, finance, '{"reason": "r"}', f"/held/{held.id}/dismiss"),
        post(second_house, finance, '{"reason": "r"}', f"/held/{held.id}/confirm"),
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    [decided] = (await house.http.get(f"{API}/held", headers=finance)).json()
    rate = (await in_force(house, finance))["USDINR"]["rate"]
    assert rate == (100 if decided["state"] == "CONFIRMED" else 83)
    assert len(await house.audit()) == 3


async def test_two_loads_at_once_leave_the_newer_rate(
    house: House, finance: dict[str, str]
) -> None:
    await said(house, "83")
    start = house.clock.now()
    house.clock.advance(minutes=9)
    later = house.clock.now()
    # Each alone is a small step; the two a second apart must not both count from 83.
    loads = [said(house, "84", quoted_at=start), said(house, "90", quoted_at=later)]
    loads += [said(house, "90", quoted_at=later), said(house, "83.5", quoted_at=start)]
    outcomes = [each.outcome for each in await asyncio.gather(*loads)]
    assert outcomes.count("UNCHANGED") == 1
    assert (await in_force(house, finance))["USDINR"]["rate"] == 90
    found = await house.http.get(f"{API}/history?source=USD&target=INR", headers=finance)
    kept = msgspec.json.decode(found.content)
    assert len(kept) == 1 + outcomes.count("APPLIED")
    assert len(await house.audit()) == len(kept)
    assert [each["quoted_at"] for each in kept] == sorted(
        (each["quoted_at"] for each in kept), reverse=True
    )
