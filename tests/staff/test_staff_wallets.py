"""Staff and money: exact amounts in, exact amounts out, once for each reference."""

import asyncio
from typing import Any

import pytest

from rewards.staff.model import Role
from tests.staff.house import House

API = "/admin/api/v1"


@pytest.fixture
async def finance(house: House) -> dict[str, str]:
    return await house.as_role(Role.FINANCE)


async def top_up(house: House, headers: dict[str, str], content: str) -> Any:
    return await house.http.post(
        f"{API}/wallets/{house.wallet}/top-up", content=content, headers=headers
    )


async def test_every_spelling_of_an_amount_is_the_same_money(
    house: House, finance: dict[str, str]
) -> None:
    spellings = ("25", "25.0", "25.00", '"25.00"', "2.5e1", "2500e-2")
    for turn, amount in enumerate(spellings, start=1):
        answer = await top_up(house, finance, f'{{"amount": {amount}, "note": "wire"}}')
        assert answer.status_code == 200, answer.text
        assert f'"amount":25.00,"balance":{25 * turn}.00,"currency":"USD"' in answer.text
        row = (await house.audit())[-1]
        assert (row["action"], row["subject_id"], row["reason"]) == (
            "wallet.topped_up",
            house.wallet,
            "wire",
        )
        assert row["facts"] == {
            "amount_minor": 2500,
            "currency": "USD",
            "balance_minor": {"from": 2500 * (turn - 1), "to": 2500 * turn},
            "transaction_id": answer.json()["transaction_id"],
            "reference": None,
        }
    told = await house.everything()
    assert len(told["audit_entries"]) == len(told["events"]) == len(spellings)
    assert all("wallet.credited" in event for event in told["events"])


NO_AMOUNTS = (
    ("{}", "Invalid Amount: required"),
    ('{"amount": null}', "Invalid Amount: required"),
    ('{"amount": 0}', "Invalid Amount: gt"),
    ('{"amount": -1}', "Invalid Amount: gt"),
    ('{"amount": 25.001}', "Invalid Amount: precision"),
    ('{"amount": 1e400}', "Invalid Amount: max"),
    ('{"amount": "NaN"}', "Invalid Amount: format"),
    ('{"amount": NaN}', "Invalid request body format"),
    ('{"amount": true}', "Invalid request body format"),
    ('{"amount": [1]}', "Invalid request body format"),
    ('{"amount": 1, "amount": 2}', "Invalid request body format"),
    ('{"amount": 1, "balance": 2}', "Invalid request body format"),
    ('{"amount": 1, "reference": ""}', "Invalid Reference: min"),
    ('{"amount": 1, "note": "a\\u0000b"}', "Invalid Note: printable"),
)


async def test_what_is_no_amount_changes_nothing(house: House, finance: dict[str, str]) -> None:
    before = await house.everything()
    for content, message in NO_AMOUNTS:
        answer = await top_up(house, finance, content)
        assert (answer.status_code, answer.json()["message"]) == (400, message), content
    assert await house.everything() == before


async def test_a_reference_is_booked_once(house: House, finance: dict[str, str]) -> None:
    body = '{"amount": 10, "reference": "WIRE-1"}'
    first = (await top_up(house, finance, body)).json()
    assert first["repeated"] is False
    before = await house.everything()
    again = await top_up(house, finance, body)
    assert again.json() == first | {"repeated": True}
    assert await house.everything() == before
    other = await top_up(house, finance, '{"amount": 11, "reference": "WIRE-1"}')
    assert (other.status_code, other.json()["code"]) == (409, "REFERENCE_REUSED")
    assert await house.everything() == before


async def test_twenty_twins_book_one_top_up(house: House, finance: dict[str, str]) -> None:
    body = '{"amount": 10, "reference": "WIRE-2"}'
    answers = await asyncio.gather(*(top_up(house, finance, body) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert [answer.json()["repeated"] for answer in answers].count(False) == 1
    assert len(await house.audit()) == 1
    async with house.db.connection() as connection:
        assert await connection.fetchval("SELECT balance_minor FROM wallets") == 1000


async def test_no_wallet_and_a_frozen_one_take_nothing(
    house: House, finance: dict[str, str]
) -> None:
    missing = await house.http.post(
        f"{API}/wallets/999999/top-up", content='{"amount": 1}', headers=finance
    )
    assert (missing.status_code, missing.json()["code"]) == (404, "WALLET_NOT_FOUND")
    async with house.db.transaction() as tx:
        await tx.execute("UPDATE wallets SET status = 'FROZEN'")
    before = await house.everything()
    frozen = await top_up(house, finance, '{"amount": 1}')
    assert (frozen.status_code, frozen.json()["code"]) == (409, "WALLET_FROZEN")
    assert await house.everything() == before


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ({"currency": "jpy"}, '"balance":0,"credit_limit":0,"low_balance":null'),
        (
            {"currency": "KWD", "low_balance": "5.5"},
            '"balance":0.000,"credit_limit":0.000,"low_balance":5.500',
        ),
        (
            {"currency": "USD", "type": "postpaid", "credit_limit": 1000},
            '"balance":0.00,"credit_limit":1000.00,"low_balance":null',
        ),
    ],
)
async def test_a_wallet_is_opened(
    house: House, finance: dict[str, str], body: dict[str, Any], shown: str
) -> None:
    answer = await house.http.post(
        f"{API}/clients/{house.client}/wallets", json=body, headers=finance
    )
    assert answer.status_code == 201, answer.text
    assert shown in answer.text
    [row] = await house.audit()
    assert (row["action"], row["subject_id"]) == ("wallet.opened", answer.json()["id"])
    assert row["client_id"] == house.client


NO_WALLETS: tuple[tuple[dict[str, Any], str], ...] = (
    ({}, "Invalid request body format"),
    ({"currency": "XXX"}, "Invalid Currency: oneof"),
    ({"currency": "USD", "type": "GOLD"}, "Invalid Type: oneof"),
    ({"currency": "USD", "credit_limit": 5}, "Invalid CreditLimit: postpaid"),
    ({"currency": "USD", "type": "POSTPAID"}, "Invalid CreditLimit: postpaid"),
    ({"currency": "JPY", "low_balance": 0.5}, "Invalid LowBalance: precision"),
    ({"currency": "USD", "balance": 5}, "Invalid request body format"),
)


async def test_a_wallet_that_may_not_be_is_refused(house: House, finance: dict[str, str]) -> None:
    before = await house.everything()
    for body, message in NO_WALLETS:
        answer = await house.http.post(
            f"{API}/clients/{house.client}/wallets", json=body, headers=finance
        )
        assert (answer.status_code, answer.json()["message"]) == (400, message), body
    assert await house.everything() == before


async def test_a_wallet_is_opened_once_under_a_reference(
    house: House, finance: dict[str, str]
) -> None:
    """A double click, a lost reply: twenty askings at once, one wallet, one row of the trail."""
    path = f"{API}/clients/{house.client}/wallets"
    body = {"currency": "EUR", "reference": "the-one", "reason": "the contract of November"}
    answers = await asyncio.gather(
        *(house.http.post(path, json=body, headers=finance) for _ in range(20))
    )
    assert sorted(each.status_code for each in answers) == [200] * 19 + [201]
    assert len({each.json()["id"] for each in answers}) == 1
    before = await house.everything()
    for other in ({"currency": "USD"}, {"type": "POSTPAID", "credit_limit": "5"}):
        answer = await house.http.post(path, json=body | other, headers=finance)
        assert (answer.status_code, answer.json()["code"]) == (409, "REFERENCE_REUSED")
    assert await house.everything() == before
    opened = [row for row in await house.audit() if row["action"] == "wallet.opened"]
    assert [(row["reason"], row["facts"]["reference"]) for row in opened] == [
        ("the contract of November", "the-one")
    ]
    # Another word is another wallet.
    again = await house.http.post(path, json=body | {"reference": "two"}, headers=finance)
    assert again.status_code == 201
