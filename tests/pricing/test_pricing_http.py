"""`POST /products/{id}/charges` over HTTP."""

import itertools
from datetime import timedelta
from decimal import Decimal

import pytest

from rewards.catalog.model import ShelfKey
from rewards.pricing import service
from rewards.pricing.model import Charge, PricedClient
from rewards.pricing.model_rates import Channel, NewRate
from tests.catalog.shop import AMAZON, AT, JAPANESE, KUWAITI, like_amazon
from tests.catalog.storefront import Front

RATES = [
    NewRate("USD", "INR", Decimal("83.1234"), "bank", AT),
    NewRate("USD", "JPY", Decimal(150), "bank", AT),
    NewRate("KWD", "USD", Decimal("3.25"), "bank", AT),
]


@pytest.fixture
async def shopfront(front: Front) -> Front:
    """Product 6 (USD), 7 (JPY) and 8 (KWD); client 1 has a dollar and a rupee wallet."""
    await front.shop.add(AMAZON, JAPANESE, KUWAITI)
    await front.shop.db.run(lambda tx: service.set_rates(tx, RATES, AT))
    await front.shop.look()
    front.purses.wallets = {10: (1, "USD"), 11: (1, "INR"), 12: (1, "JPY"), 20: (2, "EUR")}
    return front


async def test_product_six_is_quoted_as_the_seed_says(shopfront: Front) -> None:
    shopfront.pool.units[ShelfKey(6, 2500, "USD")] = 5
    reply = await shopfront.post("/products/6/charges", '{"denomination": 25.00, "quantity": 5}')
    assert reply.status == 200
    assert reply.text == (
        '{"non_discounted_total":125.00,"discount_amount":2.50,"discount":2,"total_amount":122.50,'
        '"gst_amount":0.00,"handling_fee_amount":5.00,"net_amount":127.50,"total_payable":127.50,'
        '"max_quantity":1000,"delivery_time":"INSTANT","charges_details":{"source_currency":"USD",'
        '"destination_currency":"USD","forex_rate":null,"conversion_fee":null}}'
    )


async def test_every_spelling_of_a_denomination_costs_the_same(shopfront: Front) -> None:
    for spelled in ("25", "25.0", "25.00", '"25.00"', '"25"', "2.5e1", "25.000000"):
        body = f'{{"denomination": {spelled}, "quantity": 5}}'
        reply = await shopfront.post("/products/6/charges", body)
        assert reply.body["total_payable"] == Decimal("127.50")


async def test_a_wallet_of_another_currency_is_charged_in_it(shopfront: Front) -> None:
    body = '{"denomination": 25, "quantity": 5, "wallet_id": 11}'
    reply = await shopfront.post("/products/6/charges", body)
    assert reply.body == {
        "non_discounted_total": Decimal("10390.43"),
        "discount_amount": Decimal("207.81"),
        "discount": 2,
        "total_amount": Decimal("10182.62"),
        "gst_amount": Decimal("0.00"),
        "handling_fee_amount": Decimal("415.62"),
        "net_amount": Decimal("10750.98"),
        "total_payable": Decimal("10750.98"),
        "max_quantity": 1000,
        "delivery_time": "DELAYED",
        "charges_details": {
            "source_currency": "USD",
            "destination_currency": "INR",
            "forex_rate": Decimal("83.1234"),
            "conversion_fee": Decimal("152.74"),
        },
    }


async def test_amounts_have_the_decimals_of_the_wallet(shopfront: Front) -> None:
    yen = await shopfront.post(
        "/products/8/charges", '{"denomination": 10.5, "quantity": 2, "wallet_id": 12}'
    )
    assert '"non_discounted_total":10238,' in yen.text
    assert '"forex_rate":487.5,' in yen.text
    shopfront.purses.wallets = {10: (1, "KWD")}
    dinars = await shopfront.post("/products/8/charges", '{"denomination": "10.5", "quantity": 2}')
    assert '"total_payable":22.239,' in dinars.text
    assert '"gst_amount":1.159,' in dinars.text


async def test_the_quote_is_the_charge_an_order_gets(shopfront: Front) -> None:
    sold = [(6, "25", 2500), (7, "501", 501), (8, "10.5", 10_500)]
    for (product_id, denomination, minor), wallet_id in itertools.product(sold, (10, 11, 12)):
        body = f'{{"denomination": {denomination}, "quantity": 7, "wallet_id": {wallet_id}}}'
        shown = (await shopfront.post(f"/products/{product_id}/charges", body)).body
        currency = shopfront.purses.wallets[wallet_id][1]
        charged = shopfront.shop.prices.quote(
            shopfront.shop.known(product_id),
            minor,
            7,
            currency,
            PricedClient(1, Decimal("1.5")),
            AT,
        )
        assert isinstance(charged, Charge)
        unit = 10 ** shopfront.shop.catalog.currency(currency).exponent
        assert shown["total_payable"] * unit == charged.payable_minor
        assert shown["charges_details"]["destination_currency"] == currency


async def test_without_a_wallet_the_products_currency_is_quoted_where_the_client_holds_it(
    shopfront: Front,
) -> None:
    async def currency() -> str:
        reply = await shopfront.post("/products/6/charges", '{"denomination": 25, "quantity": 1}')
        assert reply.status == 200
        return str(reply.body["charges_details"]["destination_currency"])

    shopfront.purses.wallets = {1: (1, "INR"), 2: (1, "USD")}
    assert await currency() == "USD"
    shopfront.purses.wallets = {1: (1, "CHF"), 2: (1, "INR")}
    assert await currency() == "INR"
    shopfront.purses.wallets = {1: (1, "CHF"), 2: (2, "INR")}
    assert await currency() == "USD"
    shopfront.purses.wallets = {}
    assert await currency() == "USD"


async def test_delivery_time_is_that_of_the_asked_quantity(shopfront: Front) -> None:
    shopfront.pool.units[ShelfKey(6, 2500, "USD")] = 5
    for quantity, time in ((5, "INSTANT"), (6, "DELAYED")):
        body = f'{{"denomination": 25, "quantity": {quantity}}}'
        reply = await shopfront.post("/products/6/charges", body)
        assert reply.body["delivery_time"] == time


REFUSED = [
    ("{}", (400, "Invalid Denomination: required", "INVALID_FIELD")),
    ('{"denomination": null, "quantity": 1}', (400, "Invalid Denomination: required", "")),
    ('{"denomination": 25}', (400, "Invalid Quantity: required", "INVALID_FIELD")),
    ('{"denomination": 25, "quantity": null}', (400, "Invalid Quantity: required", "")),
    ('{"denomination": 25, "quantity": 0}', (400, "Invalid Quantity: min", "")),
    ('{"denomination": 0, "quantity": 1}', (400, "Invalid Denomination: gt", "")),
    ('{"denomination": -0, "quantity": 1}', (400, "Invalid Denomination: gt", "")),
    ('{"denomination": "NaN", "quantity": 1}', (400, "Invalid Denomination: format", "")),
    ('{"denomination": 1e309, "quantity": 1}', (400, "Invalid Denomination: max", "")),
    ('{"denomination": 25.001, "quantity": 1}', (400, "Invalid Denomination: precision", "")),
    ('{"denomination": 25, "quantity": 1, "wallet_id": 0}', (400, "Invalid WalletId: gt", "")),
    (
        '{"denomination": 25, "quantity": 1, "wallet_id": 99999999999999999999}',
        (400, "Invalid WalletId: max", ""),
    ),
    (
        '{"denomination": 26, "quantity": 2000, "wallet_id": 99}',
        (400, "Denomination not available for this product", "DENOMINATION_NOT_AVAILABLE"),
    ),
    (
        '{"denomination": 25, "quantity": 1001, "wallet_id": 99}',
        (400, "Invalid quantity, allowed max quantity: 1000", "QUANTITY_EXCEEDED"),
    ),
    (
        '{"denomination": 25, "quantity": 1, "wallet_id": 99}',
        (404, "Wallet not found", "WALLET_NOT_FOUND"),
    ),
    (
        '{"denomination": 25, "quantity": 1, "wallet_id": 20}',
        (404, "Wallet not found", "WALLET_NOT_FOUND"),
    ),
    (
        '{"denomination": 25, "quantity": 1, "wallet_id": 13}',
        (400, "No exchange rate from USD to CHF", "NO_FX_RATE"),
    ),
]


async def test_every_refusal_comes_by_its_name(shopfront: Front) -> None:
    shopfront.purses.wallets[13] = (1, "CHF")
    for body, (status, message, code) in REFUSED:
        reply = await shopfront.post("/products/6/charges", body)
        assert reply.refusal == (status, message, code or "INVALID_FIELD")


async def test_a_stale_rate_quotes_nothing(shopfront: Front) -> None:
    old = NewRate("USD", "CHF", Decimal("0.9"), "ecb", AT, Channel.PROVIDER)
    await shopfront.shop.db.run(lambda tx: service.set_rates(tx, [old], AT))
    await shopfront.shop.look()
    body = '{"denomination": 25, "quantity": 1, "wallet_id": 13}'
    shopfront.purses.wallets = {13: (1, "CHF")}
    shopfront.clock.at = AT + timedelta(hours=120)
    assert (await shopfront.post("/products/6/charges", body)).status == 200
    shopfront.clock.at += timedelta(microseconds=1)
    free = '{"denomination": 25, "quantity": 1}'
    for asked in (body, free):
        reply = await shopfront.post("/products/6/charges", asked)
        assert reply.refusal == (
            400,
            "The exchange rate from USD to CHF is out of date",
            "FX_RATE_STALE",
        )
        assert reply.body["details"] == {
            "source_currency": "USD",
            "destination_currency": "CHF",
            "forex_rate_at": "2026-11-21T12:00:00Z",
        }
    # Another wallet whose rate is good is quoted instead, unless one was named.
    shopfront.purses.wallets = {13: (1, "CHF"), 14: (1, "INR")}
    reply = await shopfront.post("/products/6/charges", free)
    assert reply.body["charges_details"]["destination_currency"] == "INR"
    assert (await shopfront.post("/products/6/charges", body)).status == 400


async def test_decimals_are_judged_by_the_products_currency(shopfront: Front) -> None:
    reply = await shopfront.post("/products/7/charges", '{"denomination": 500.5, "quantity": 1}')
    assert reply.refusal == (400, "Invalid Denomination: precision", "INVALID_FIELD")
    unknown = await shopfront.post("/products/99/charges", '{"denomination": 1.23, "quantity": 1}')
    assert unknown.refusal == (404, "Product not found", "PRODUCT_NOT_FOUND")


async def test_a_products_own_maximum_is_named(shopfront: Front) -> None:
    await shopfront.shop.add(like_amazon(id=50, max_quantity=3))
    reply = await shopfront.post("/products/50/charges", '{"denomination": 25, "quantity": 4}')
    assert reply.body["message"] == "Invalid quantity, allowed max quantity: 3"
    assert reply.body["details"] == {"max_quantity": 3}


async def test_the_document_shows_bodies_answers_and_refusals(shopfront: Front) -> None:
    paths = shopfront.app.openapi_schema.to_schema()["paths"]
    quote = paths["/api/v1/products/{product_id}/charges"]["post"]
    [body] = quote["requestBody"]["content"].values()
    assert set(body["schema"]["properties"]) == {"denomination", "quantity", "wallet_id"}
    assert {"type": "string"} in body["schema"]["properties"]["denomination"]["anyOf"]
    assert set(quote["responses"]) == {"200", "400", "401", "403", "404", "503"}
    listed = paths["/api/v1/products"]["get"]
    assert {each["name"] for each in listed["parameters"]} >= {"page", "limit", "sort", "search"}
    assert not {each["name"] for each in listed["parameters"]} & {"catalog", "pool", "prices"}
    assert listed["security"]
