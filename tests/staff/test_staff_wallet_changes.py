"""Staff correct balances, freeze and close wallets and set their limits; each has its audit row."""

from typing import Any

import pytest

from rewards.staff.model import Role
from tests.staff.house import House

API = "/admin/api/v1"


@pytest.fixture
async def finance(house: House) -> dict[str, str]:
    return await house.as_role(Role.FINANCE)


async def send(house: House, headers: dict[str, str], method: str, rest: str, body: Any) -> Any:
    url = f"{API}/wallets/{house.wallet}{rest}"
    return await house.http.request(method, url, json=body, headers=headers)


async def refused(
    house: House, headers: dict[str, str], method: str, rest: str, body: Any
) -> tuple[int, str]:
    """Status and message, after seeing that nothing changed."""
    before = await house.everything()
    answer = await send(house, headers, method, rest, body)
    assert await house.everything() == before
    return answer.status_code, answer.json()["message"]


async def test_an_adjustment_gives_and_takes(house: House, finance: dict[str, str]) -> None:
    for direction, amount, balance in (("credit", "25.50", "25.50"), ("DEBIT", 0.5, "25.00")):
        body = {"direction": direction, "amount": amount, "note": "typing slip"}
        answer = await send(house, finance, "POST", "/adjust", body)
        assert answer.status_code == 200, answer.text
        assert f'"balance":{balance},' in answer.text
    assert '"amount":-0.50,' in answer.text
    row = (await house.audit())[-1]
    assert (row["action"], row["reason"]) == ("wallet.adjusted", "typing slip")
    assert row["facts"]["amount_minor"] == -50
    assert row["facts"]["balance_minor"] == {"from": 2550, "to": 2500}


async def test_an_adjustment_is_booked_once_for_each_reference(
    house: House, finance: dict[str, str]
) -> None:
    body = {"direction": "CREDIT", "amount": 5, "note": "gift", "reference": "ADJ-1"}
    first = (await send(house, finance, "POST", "/adjust", body)).json()
    before = await house.everything()
    again = (await send(house, finance, "POST", "/adjust", body)).json()
    assert again == first | {"repeated": True}
    assert await house.everything() == before
    other = await refused(house, finance, "POST", "/adjust", body | {"direction": "DEBIT"})
    assert other[0] == 409


NO_ADJUSTMENTS: tuple[tuple[dict[str, Any], int, str], ...] = (
    ({"direction": "DEBIT", "amount": 1, "note": "x"}, 400, "Insufficient funds in your wallet"),
    ({"direction": "UP", "amount": 1, "note": "x"}, 400, "Invalid Direction: oneof"),
    ({"direction": "CREDIT", "amount": -1, "note": "x"}, 400, "Invalid Amount: gt"),
    ({"direction": "CREDIT", "amount": 0, "note": "x"}, 400, "Invalid Amount: gt"),
    ({"direction": "CREDIT", "note": "x"}, 400, "Invalid Amount: required"),
    ({"direction": "CREDIT", "amount": 1.005, "note": "x"}, 400, "Invalid Amount: precision"),
    ({"direction": "CREDIT", "amount": 1, "note": ""}, 400, "Invalid Note: min"),
    ({"direction": "CREDIT", "amount": 1}, 400, "Invalid request body format"),
)


async def test_what_is_no_adjustment_changes_nothing(house: House, finance: dict[str, str]) -> None:
    for body, status, message in NO_ADJUSTMENTS:
        assert await refused(house, finance, "POST", "/adjust", body) == (status, message)


async def test_a_wallet_is_frozen_opened_and_closed(house: House, finance: dict[str, str]) -> None:
    top_up = {"amount": 1}
    for status in ("frozen", "ACTIVE", "closed", "ACTIVE"):
        body = {"status": status, "reason": "asked by the client"}
        answer = await send(house, finance, "PATCH", "", body)
        assert (answer.status_code, answer.json()["status"]) == (200, status.upper())
        row = (await house.audit())[-1]
        assert (row["action"], row["reason"]) == ("wallet.changed", "asked by the client")
        assert row["facts"]["status"]["to"] == status.upper()
        if status != "ACTIVE":
            expected = (409, f"Wallet is {status}")
            assert await refused(house, finance, "POST", "/top-up", top_up) == expected
    await send(house, finance, "POST", "/top-up", top_up)
    closing = {"status": "CLOSED", "reason": "x"}
    assert (await refused(house, finance, "PATCH", "", closing))[0] == 409


async def test_a_low_balance_is_set_and_taken_away(house: House, finance: dict[str, str]) -> None:
    for given, kept in ((100, 100.0), (None, None)):
        body = {"low_balance": given, "reason": "threshold"}
        answer = await send(house, finance, "PATCH", "", body)
        assert (answer.status_code, answer.json()["low_balance"]) == (200, kept)
    told = await house.everything()
    # The balance stood below the threshold when it was set.
    assert [event for event in told["events"] if "wallet.low_balance" in event]


async def test_a_postpaid_wallet_may_owe_as_much_as_its_limit(
    house: House, finance: dict[str, str]
) -> None:
    opened = await house.http.post(
        f"{API}/clients/{house.client}/wallets",
        json={"currency": "USD", "type": "POSTPAID", "credit_limit": 10},
        headers=finance,
    )
    path = f"{API}/wallets/{opened.json()['id']}"
    debit = {"direction": "DEBIT", "amount": 15, "note": "fee"}
    short = await house.http.post(f"{path}/adjust", json=debit, headers=finance)
    assert short.status_code == 400
    change = {"credit_limit": "20", "reason": "agreed"}
    raised = await house.http.patch(path, json=change, headers=finance)
    assert raised.json()["credit_limit"] == 20
    taken = await house.http.post(f"{path}/adjust", json=debit, headers=finance)
    assert taken.json()["balance"] == -15
    lowered = await house.http.patch(
        path, json={"credit_limit": None, "reason": "too late"}, headers=finance
    )
    assert (lowered.status_code, lowered.json()["code"]) == (409, "CREDIT_IN_USE")


NO_CHANGES: tuple[tuple[dict[str, Any], int, str], ...] = (
    ({"status": "GONE", "reason": "x"}, 400, "Invalid Status: oneof"),
    ({"status": "FROZEN"}, 400, "Invalid request body format"),
    ({"status": "FROZEN", "reason": ""}, 400, "Invalid Reason: min"),
    ({"credit_limit": 5, "reason": "x"}, 400, "Invalid CreditLimit: prepaid"),
    ({"credit_limit": 5, "status": "FROZEN", "reason": "x"}, 400, "Invalid CreditLimit: prepaid"),
    ({"low_balance": -1, "reason": "x"}, 400, "Invalid LowBalance: gt"),
    ({"balance": 5, "reason": "x"}, 400, "Invalid request body format"),
)


async def test_a_change_that_may_not_be_is_refused(house: House, finance: dict[str, str]) -> None:
    for body, status, message in NO_CHANGES:
        assert await refused(house, finance, "PATCH", "", body) == (status, message)
