"""What the seed documents promise of `POST /orders`, word for word and digit for digit."""

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import AsyncMock

import pytest

from rewards.clients import service as clients
from rewards.clients.model import Limits, NewClient, NewCredential
from rewards.orders.service import Orders
from rewards.pricing.model_rates import Channel, NewRate
from rewards.pricing.service import set_rates
from tests.http.calling import ORDERS, Api

FINE = {"product_id": 6, "denomination": 25.00, "quantity": 5}
TAKEN = "SEED-REF-TAKEN"
UNAUTHORISED = (401, "UnauthorizedAccess", "User is not authorised to perform this action")


def bad(message: str) -> tuple[int, str, str]:
    return 400, "BadRequest", message


def missing(message: str) -> tuple[int, str, str]:
    return 404, "NotFound", message


# Each breaks a rule and every later one, so that only the order of the rules decides.
HUGE = {"denomination": 7, "quantity": 10**6, "wallet_id": 999_999, "ref": TAKEN}
IN_ORDER: list[tuple[tuple[int, str, str], dict[str, Any]]] = [
    (bad("Invalid request body format"), {"product_id": "6", **HUGE, "quantity": 0}),
    (bad("Invalid Quantity: min"), {"product_id": 999_999, **HUGE, "quantity": 0}),
    (missing("Product not found"), {"product_id": 999_999, **HUGE}),
    (bad("Denomination not available for this product"), {"product_id": 6, **HUGE}),
    (
        bad("Invalid quantity, allowed max quantity: 1000"),
        {"product_id": 6, **HUGE, "denomination": 100},
    ),
    (
        missing("Wallet not found"),
        {"product_id": 6, **HUGE, "denomination": 100, "quantity": 1000},
    ),
    (
        bad("Duplicate reference code"),
        {"product_id": 5, "denomination": 500, "quantity": 1000, "ref": TAKEN},
    ),
    (
        bad("Insufficient funds in your wallet"),
        {"product_id": 5, "denomination": 500, "quantity": 1000},
    ),
]


@pytest.fixture(scope="module")
async def taken(api: Api) -> int:
    """The id of the order that has used the reference TAKEN."""
    answer = await api.order(**FINE, ref=TAKEN)
    assert answer.status == 200, answer.text
    return int(answer.json["id"])


@pytest.mark.parametrize(("expected", "body"), IN_ORDER, ids=[e[2] for e, _ in IN_ORDER])
async def test_each_refusal_comes_in_its_turn_word_for_word_and_changes_nothing(
    api: Api, taken: int, expected: tuple[int, str, str], body: dict[str, Any]
) -> None:
    before = await api.everything()
    answer = await api.order(**body)
    assert answer.refusal == expected
    assert await api.everything() == before


@pytest.mark.parametrize("message", ["ProductId", "Denomination", "Quantity"])
@pytest.mark.parametrize("how", ["left out", "null"])
async def test_a_required_field_that_is_missing_is_named(api: Api, message: str, how: str) -> None:
    name = {"ProductId": "product_id"}.get(message, message.lower())
    body: dict[str, Any] = {key: value for key, value in FINE.items() if key != name}
    if how == "null":
        body[name] = None
    assert (await api.order(**body)).refusal == bad(f"Invalid {message}: required")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"product_id": 0}, "Invalid ProductId: gt"),
        ({"denomination": 0}, "Invalid Denomination: gt"),
        ({"denomination": -25.0}, "Invalid Denomination: gt"),
        ({"quantity": 0}, "Invalid Quantity: min"),
        ({"quantity": -1}, "Invalid Quantity: min"),
        ({"email": "nobody"}, "Invalid Email: email"),
    ],
)
async def test_a_field_that_breaks_its_rule_is_named(
    api: Api, changed: dict[str, Any], message: str
) -> None:
    before = await api.everything()
    assert (await api.order(**{**FINE, **changed})).refusal == bad(message)
    assert await api.everything() == before


async def test_a_duplicate_names_the_order_that_has_the_reference(api: Api, taken: int) -> None:
    answer = await api.order(**FINE, ref=TAKEN)
    assert answer.json["details"] == {"order_id": taken}


async def test_a_caller_we_do_not_know_hears_401_before_anything_else(api: Api) -> None:
    before = await api.everything()
    key = api.card["client"]["api_key"]
    for shown in (
        {},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Basic nonsense"},
        {"X-API-Key": key},
        {"X-API-Key": key, "X-API-Secret": "wrong"},
        {**api.key, "Authorization": "Bearer nonsense"},
    ):
        answer = await api.call("POST", ORDERS, raw=b"{nonsense", shown=shown)
        assert answer.refusal == UNAUTHORISED
    assert await api.everything() == before


async def test_one_order_too_many_hears_429_before_its_body_is_looked_at(api: Api) -> None:
    parts = api.parts
    async with parts.db.transaction() as tx:
        new = NewClient("Slow client", Limits(per_minute=2, per_10s=2, per_day=2, concurrent=1))
        [client] = await clients.create(tx, [new], parts.clock.now())
        [issued] = await clients.issue_credentials(
            tx, parts.vault, parts.settings, [NewCredential(client.id)], parts.clock.now()
        )
    shown = {"X-API-Key": issued.api_key, "X-API-Secret": issued.api_secret}
    before = await api.everything()
    for remaining in ("1", "0"):
        answer = await api.call("POST", ORDERS, raw=b"{nonsense", shown=shown)
        assert answer.refusal == bad("Invalid request body format")
        assert answer.headers["X-RateLimit-Limit"] == "2"
        assert answer.headers["X-RateLimit-Remaining"] == remaining
    answer = await api.call("POST", ORDERS, raw=b"{nonsense", shown=shown)
    assert answer.refusal == (429, "TooManyRequests", "Rate limit exceeded")
    assert 1 <= int(answer.headers["Retry-After"]) <= 86_400
    assert answer.headers["X-RateLimit-Remaining"] == "0"
    assert int(answer.headers["X-RateLimit-Reset"]) >= parts.clock.now().timestamp()
    assert await api.everything() == before


async def test_a_fault_of_ours_says_that_the_order_failed_and_nothing_else(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Orders, "place", AsyncMock(side_effect=RuntimeError("secret inside")))
    before = await api.everything()
    answer = await api.order(**FINE)
    assert answer.refusal == (500, "InternalServerError", "Failed to create order")
    assert "secret" not in answer.text
    assert await api.everything() == before


async def test_five_of_25_00_cost_127_50_with_a_discount_of_2_50(api: Api) -> None:
    answer = await api.order(**FINE)
    assert answer.status == 200
    for digits in (
        '"amount":127.50',
        '"discount":2.50',
        '"denomination":25.00',
        '"fees":5.00',
        '"tax":0.00',
        '"refunded_amount":0.00',
    ):
        assert digits in answer.text
    order = answer.json
    assert (order["status"], order["sub_status"]) == ("DELIVERED", "COMPLETED")
    assert len(order["vouchers"]) == 5 == order["quantity"]
    assert order["vouchers"][0].keys() == {
        "card_number",
        "pin_code",
        "voucher_reference_number",
        "expires_at",
    }
    assert len({voucher["card_number"] for voucher in order["vouchers"]}) == 5
    assert order["product_id"] == 6
    assert order["placed_at"].endswith("Z")
    assert len(order["ref"]) == 36 and order["ref"][:10].isdigit()
    got = await api.call("GET", f"{ORDERS}/{order['id']}")
    assert got.text == answer.text


async def test_the_wallet_pays_what_the_order_says(api: Api) -> None:
    wallet = f"/api/v1/wallets/{api.card['wallets']['USD']}"
    before = json.loads((await api.call("GET", wallet)).text, parse_float=str)
    order = (await api.order(**FINE)).json
    after = json.loads((await api.call("GET", wallet)).text, parse_float=str)
    cents = [int(each["amount"].replace(".", "")) for each in (before, after)]
    assert cents[0] - cents[1] == 12750
    line = await api.call("GET", f"/api/v1/transactions/{order['transaction_id']}")
    assert line.status == 200
    assert '"amount":127.50' in line.text


@pytest.mark.parametrize("spelt", ["25", "25.0", "25.00", '"25.00"', "2.5e1", "2500e-2"])
async def test_every_spelling_of_an_amount_is_the_same_amount(api: Api, spelt: str) -> None:
    body = f'{{"product_id":6,"denomination":{spelt},"quantity":1}}'
    answer = await api.order(raw=body.encode())
    assert '"denomination":25.00' in answer.text
    assert '"amount":25.50' in answer.text


@pytest.mark.parametrize(
    ("product_id", "denomination", "quantity"), [(7, 10.00, 5), (8, 25.00, 20), (7, 5, 60)]
)
async def test_realtime_products_are_served_in_the_request_whatever_the_quantity(
    api: Api, product_id: int, denomination: float, quantity: int
) -> None:
    body = {"product_id": product_id, "denomination": denomination, "quantity": quantity}
    order = (await api.order(**body)).json
    assert (order["status"], order["sub_status"]) == ("DELIVERED", "COMPLETED")
    assert len(order["vouchers"]) == quantity == len(order["items"])


@pytest.mark.parametrize(
    ("quantity", "sub_status", "items"), [(15, "PROCESSING", 15), (100, "INITIAL", 0)]
)
async def test_large_orders_wait_without_vouchers(
    api: Api, quantity: int, sub_status: str, items: int
) -> None:
    body = {"product_id": 6, "denomination": 50.00, "quantity": quantity, "ref": f"SEED-{quantity}"}
    answer = await api.order(**body)
    order = answer.json
    assert (order["status"], order["sub_status"]) == ("PENDING", sub_status)
    assert order["vouchers"] == []
    assert len(order["items"]) == items
    assert order["pendingItems"] == items
    assert order["fulfilledFromCache"] == 0
    assert order["ref"] == f"SEED-{quantity}"


async def test_the_advanced_order_of_the_seed_is_placed(api: Api) -> None:
    body = {
        "product_id": 15,
        "denomination": 50.00,
        "quantity": 10,
        "wallet_id": api.card["wallets"]["USD"],
        "ref": "PROMO_BATCH_2024_001",
        "email": "customer@example.com",
    }
    order = (await api.order(**body)).json
    assert order["status"] == "DELIVERED"
    assert order["email"] == "customer@example.com"
    assert {"code", "pin"} <= order["vouchers"][0].keys()


async def test_what_nobody_has_in_stock_waits_for_staff(api: Api) -> None:
    answer = await api.order(product_id=1, denomination=25, quantity=1)
    order = answer.json
    assert (order["status"], order["sub_status"]) == ("PENDING", "VENDOR_ORDER_PENDING")
    assert order["vouchers"] == []
    assert '"amount":25.00' in answer.text


@pytest.mark.parametrize(
    ("product_id", "denomination", "digits"),
    [(3, 1000, '"denomination":1000,'), (4, 12.5, '"denomination":12.500,')],
)
async def test_an_amount_has_as_many_decimals_as_its_currency(
    api: Api, product_id: int, denomination: float, digits: str
) -> None:
    answer = await api.order(product_id=product_id, denomination=denomination, quantity=1)
    assert answer.status == 200, answer.text
    assert digits in answer.text
    assert '"forex_rate":null' not in answer.text


async def look(api: Api) -> None:
    api.parts.feed.expire()
    await api.parts.feed.ensure_fresh()


async def test_a_rate_that_is_out_of_date_sells_nothing(api: Api) -> None:
    """Beyond the seeds: the wallet that was named needs a rate that nobody refreshed."""
    clock, db = api.parts.clock, api.parts.db
    quoted_at = clock.now() - timedelta(days=6)
    old = NewRate("INR", "USD", Decimal("0.01193"), "ecb", quoted_at, Channel.PROVIDER)
    await db.run(lambda tx: set_rates(tx, [old], clock.now()))
    await look(api)
    body = {"product_id": 6, "denomination": 25, "quantity": 1}
    before = await db.run(lambda tx: tx.fetchval("SELECT count(*) FROM orders"))
    answer = await api.order(**body, wallet_id=api.card["wallets"]["INR"])
    assert answer.refusal == bad("The exchange rate from USD to INR is out of date")
    assert answer.json["code"] == "FX_RATE_STALE"
    assert await db.run(lambda tx: tx.fetchval("SELECT count(*) FROM orders")) == before
    assert (await api.order(**body)).status == 200, "another wallet pays"
    await db.run(lambda tx: set_rates(tx, [replace(old, channel=Channel.SETUP)], clock.now()))
    await look(api)
