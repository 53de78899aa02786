"""`/products` and availability over HTTP: shape, filters, paging, speed of delivery, refusals."""

import itertools
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from rewards.catalog import service
from rewards.catalog.model import (
    Denomination,
    ProductChange,
    ProductType,
    ShelfKey,
    Visibility,
)
from rewards.pricing import service as pricing
from rewards.pricing.model import ClientDiscount
from tests.catalog.shop import AMAZON, AT, JAPANESE, KUWAITI, Shop, like_amazon
from tests.catalog.storefront import Front

MOBILE = like_amazon(
    id=None,
    name="Airtime India",
    category_id=2,
    subcategory_id=201,
    country="IN",
    currency="INR",
    type=ProductType.MOBILE_TOPUP,
    voucher_fields=(),
    denominations=(Denomination(10_000, 10_000),),
)
INTERNAL = {"classification", "link_type", "pool_target", "inventory", "realtime", "vendor"}


async def stocked(front: Front) -> None:
    """Products 6 (Amazon), 7 (Tokyo Books), 8 (Souq Card) and 9 (Airtime India)."""
    await front.shop.add(AMAZON, JAPANESE, KUWAITI, MOBILE)


def names(reply: Any) -> list[str]:
    assert reply.status == 200, reply.text
    return [product["name"] for product in reply.body]


async def test_a_product_looks_as_published(front: Front) -> None:
    await front.shop.clients([1])
    await stocked(front)
    await front.shop.db.run(
        lambda tx: pricing.set_discounts(tx, [ClientDiscount(1, 6, Decimal("2.5"))])
    )
    await front.shop.look()
    front.pool.units[ShelfKey(6, 2500, "USD")] = 1
    reply = await front.get("/products/6")
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.body == {
        "id": 6,
        "name": "Amazon Gift Card",
        "type": "VOUCHER",
        "category": "Gift Cards",
        "sub_category": "E-commerce",
        "country_id": 1,
        "country_code": "US",
        "currency_id": 1,
        "currency_code": "USD",
        "image_url": "https://images.example/amazon.png",
        "delivery_type": "CODE_WITH_PIN",
        "delivery_time": "INSTANT",
        "validity": "12 months",
        "available_denominations": [
            {"min_value": Decimal(10), "max_value": Decimal(10), "discount": Decimal("2.5")},
            {"min_value": Decimal(25), "max_value": Decimal(25), "discount": Decimal("2.5")},
            {"min_value": Decimal(50), "max_value": Decimal(500), "discount": Decimal("2.5")},
        ],
        "max_quantity": 1000,
        "description": "For everything.",
        "terms": "No cash.",
        "redemption": "Enter the code at checkout.",
    }
    assert '"min_value":10.00' in reply.text
    assert not any(word in reply.text for word in INTERNAL)
    assert reply.body in (await front.get("/products")).body


async def test_amounts_have_exactly_the_decimals_of_their_currency(front: Front) -> None:
    await stocked(front)
    assert '"min_value":500,"max_value":10000' in (await front.get("/products/7")).text
    assert '"min_value":10.500,"max_value":10.500' in (await front.get("/products/8")).text


async def test_a_product_without_sub_category_says_null(front: Front) -> None:
    await front.shop.add(like_amazon(subcategory_id=None, max_quantity=7))
    body = (await front.get("/products/6")).body
    assert body["sub_category"] is None
    assert body["max_quantity"] == 7


LISTS: list[tuple[dict[str, str], list[str] | None]] = [
    ({}, ["Airtime India", "Souq Card", "Tokyo Books", "Amazon Gift Card"]),
    ({"sort": "name"}, ["Airtime India", "Amazon Gift Card", "Souq Card", "Tokyo Books"]),
    ({"sort": "-name"}, ["Tokyo Books", "Souq Card", "Amazon Gift Card", "Airtime India"]),
    ({"sort": "id"}, ["Amazon Gift Card", "Tokyo Books", "Souq Card", "Airtime India"]),
    (
        {"sort": '{"field":"id","direction":"DESC"}'},
        ["Airtime India", "Souq Card", "Tokyo Books", "Amazon Gift Card"],
    ),
    (
        {"sort": '{"Field":"Name","Direction":"asc"}'},
        ["Airtime India", "Amazon Gift Card", "Souq Card", "Tokyo Books"],
    ),
    (
        {"category": "Gift Cards", "sort": "id"},
        ["Amazon Gift Card", "Tokyo Books", "Souq Card"],
    ),
    ({"category": "mobile top-UP"}, ["Airtime India"]),
    ({"category": "mobile-top-up"}, ["Airtime India"]),
    ({"category": "2"}, ["Airtime India"]),
    ({"category": "Nothing"}, []),
    ({"category": "99"}, []),
    ({"sub_category": "Prepaid Mobile Credit"}, ["Airtime India"]),
    ({"sub_category": "201"}, ["Airtime India"]),
    ({"country": "jp"}, ["Tokyo Books"]),
    ({"country": "ZZ"}, []),
    ({"country_id": "1"}, ["Amazon Gift Card"]),
    ({"country_id": "1", "country": "JP"}, []),
    ({"currency": "kwd"}, ["Souq Card"]),
    ({"currency_id": "1"}, ["Amazon Gift Card"]),
    ({"search": "CARD", "sort": "id"}, ["Amazon Gift Card", "Souq Card"]),
    ({"search": "card gift"}, ["Amazon Gift Card"]),
    ({"search": "%"}, []),
    ({"category": "", "country": "", "search": " ", "sort": "", "delivery_time": ""}, None),
    ({"color": "green", "classification": "OPEN_LOOP"}, None),
]


async def test_a_list_is_narrowed_and_sorted(front: Front) -> None:
    await stocked(front)
    everything = ["Airtime India", "Souq Card", "Tokyo Books", "Amazon Gift Card"]
    for params, found in LISTS:
        expected = everything if found is None else found
        assert names(await front.get("/products", **params)) == expected, params


SENSELESS = [
    ({"page": "0"}, "Invalid Page: min"),
    ({"page": "-1"}, "Invalid Page: number"),
    ({"page": "x"}, "Invalid Page: number"),
    ({"page": "1000001"}, "Invalid Page: max"),
    ({"limit": "0"}, "Invalid Limit: min"),
    ({"limit": "10001"}, "Invalid Limit: max"),
    ({"limit": "1e2"}, "Invalid Limit: number"),
    ({"category": "x" * 101}, "Invalid Category: max"),
    ({"category": "9" * 20}, "Invalid Category: max"),
    ({"sub_category": "9" * 20}, "Invalid SubCategory: max"),
    ({"country": "USA"}, "Invalid Country: format"),
    ({"country": "\u00dc\u00dc"}, "Invalid Country: format"),
    ({"country_id": "x"}, "Invalid CountryId: number"),
    ({"currency": "US"}, "Invalid Currency: format"),
    ({"currency_id": "-1"}, "Invalid CurrencyId: number"),
    ({"search": "x" * 101}, "Invalid Search: max"),
    ({"delivery_time": "soon"}, "Invalid DeliveryTime: oneof"),
    ({"sort": "price"}, "Invalid Sort: oneof"),
    ({"sort": "--name"}, "Invalid Sort: oneof"),
    ({"sort": '{"field":"id","direction":"UP"}'}, "Invalid Sort: oneof"),
    ({"sort": '{"field":'}, "Invalid Sort: format"),
    ({"sort": '{"field":7}'}, "Invalid Sort: format"),
    ({"sort": "{" + "[" * 150}, "Invalid Sort: format"),
    ({"sort": "x" * 201}, "Invalid Sort: max"),
]


async def test_parameters_that_cannot_be_meant_are_refused(front: Front) -> None:
    for params, message in SENSELESS:
        reply = await front.get("/products", **params)
        assert reply.refusal == (400, message, "INVALID_FIELD")
        assert reply.body["error"] == "BadRequest"
        assert reply.body["request_id"] == reply.headers["x-request-id"]


async def test_pages_come_with_their_headers(front: Front) -> None:
    await stocked(front)
    reply = await front.get("/products", page="2", limit="3", sort="id")
    assert names(reply) == ["Airtime India"]
    shown = {key.lower(): value for key, value in reply.headers.items()}
    assert (
        shown.items()
        >= {
            "x-page": "2",
            "x-per-page": "3",
            "x-total-count": "4",
            "x-total-pages": "2",
            "x-page-size": "1",
            "x-has-more": "false",
        }.items()
    )
    first = await front.get("/products", limit="3")
    assert first.headers["x-has-more"] == "true"
    assert 'page=2>; rel="next"' in first.headers["link"]
    assert names(await front.get("/products", page="9")) == []


async def test_delivery_time_follows_the_pool_at_once(front: Front) -> None:
    minted = like_amazon(id=8, realtime=True, allow_auto_vendor_fulfill=True)
    await front.shop.add(AMAZON, replace(JAPANESE, id=7), minted)

    async def times() -> dict[int, str]:
        body = (await front.get("/products", sort="id")).body
        assert [each["delivery_time"] for each in body] == [
            (await front.get(f"/products/{each['id']}")).body["delivery_time"] for each in body
        ]
        return {each["id"]: each["delivery_time"] for each in body}

    assert await times() == {6: "DELAYED", 7: "DELAYED", 8: "DELAYED"}
    # Any loaded unit of a ranged product will do.
    front.pool.units[ShelfKey(7, 777, "JPY")] = 1
    assert await times() == {6: "DELAYED", 7: "INSTANT", 8: "DELAYED"}
    front.pool.units[ShelfKey(7, 777, "JPY")] = 0
    assert await times() == {6: "DELAYED", 7: "DELAYED", 8: "DELAYED"}


async def test_a_list_can_be_narrowed_by_delivery_time(front: Front) -> None:
    await stocked(front)
    front.pool.units[ShelfKey(7, 500, "JPY")] = 3
    for word in ("instant", "REALTIME"):
        reply = await front.get("/products", delivery_time=word)
        assert names(reply) == ["Tokyo Books"]
        assert reply.headers["x-total-count"] == "1"
    delayed = await front.get("/products", delivery_time="Delayed", limit="2", sort="id")
    assert names(delayed) == ["Amazon Gift Card", "Souq Card"]
    assert delayed.headers["x-total-count"] == "3"


async def test_a_list_asks_the_pool_once(front: Front) -> None:
    await stocked(front)
    await front.get("/products")
    assert front.pool.asked == 1


@pytest.mark.parametrize("path", ["", "/availability", "/charges"])
async def test_hidden_inactive_and_unknown_products_look_alike(front: Front, path: str) -> None:
    await front.shop.add(AMAZON, like_amazon(id=7), like_amazon(id=8, visible_by_default=False))

    async def hide(tx: Any) -> None:
        await service.change_products(tx, [ProductChange(6, {"active": False})], AT)
        await service.set_visibility(tx, [Visibility(1, 7, False)])

    await front.shop.db.run(hide)
    await front.shop.look()
    assert names(await front.get("/products")) == []
    answers = set()
    for product_id in ("6", "7", "8", "99", "0", "-1", "x", "9" * 30, "6.0"):
        if path:
            body = '{"denomination": 25, "quantity": 1}'
            reply = await front.post(f"/products/{product_id}{path}", body)
        else:
            reply = await front.get(f"/products/{product_id}")
        answers.add(reply.refusal)
    assert answers == {(404, "Product not found", "PRODUCT_NOT_FOUND")}
    seen = await front.ask("GET", "/products/7", headers={"X-Client": "2"})
    assert seen.status == 200


async def test_strangers_and_the_unscoped_are_kept_out(front: Front) -> None:
    paths = ["/products", "/products/6", "/products/6/availability"]
    paths += ["/categories", "/categories/1", "/subcategories", "/countries", "/currencies"]
    for path in paths:
        assert (await front.ask("GET", path, headers={})).status == 401
        scopes = {"X-Client": "1", "X-Scopes": "orders:write"}
        assert (await front.ask("GET", path, headers=scopes)).status == 403
    for path in ("/products/6/charges", "/products/6/availability"):
        assert (await front.ask("POST", path, headers={}, body="{")).status == 401


async def available(front: Front, denomination: str, quantity: int) -> Any:
    body = f'{{"denomination": {denomination}, "quantity": {quantity}}}'
    posted = await front.post("/products/6/availability", body)
    assert posted.status == 200, posted.text
    shown = await front.get(
        "/products/6/availability",
        denomination=denomination,
        quantity=str(quantity),
    )
    assert shown.body == posted.body
    return posted.body


async def test_availability_tells_whether_an_order_would_be_taken_and_how_fast(
    front: Front,
) -> None:
    await front.shop.add(like_amazon(max_quantity=20))
    front.pool.units[ShelfKey(6, 2500, "USD")] = 5
    instant = {"is_available": True, "delivery_time": "INSTANT", "max_quantity": 20}
    delayed = {**instant, "delivery_time": "DELAYED"}
    assert await available(front, "25", 5) == instant
    assert await available(front, "25.00", 6) == delayed
    assert await available(front, "10", 1) == delayed
    assert await available(front, "123.45", 20) == delayed
    assert await available(front, "25", 21) == {**delayed, "is_available": False}
    assert await available(front, "26", 1) == {**delayed, "is_available": False}
    front.door.max_quantity = 3
    assert await available(front, "25", 4) == {
        "is_available": False,
        "delivery_time": "INSTANT",
        "max_quantity": 3,
    }


async def test_one_voucher_is_meant_where_no_quantity_is_given(front: Front) -> None:
    await front.shop.add(AMAZON)
    front.pool.units[ShelfKey(6, 2500, "USD")] = 1
    for reply in (
        await front.get("/products/6/availability", denomination="25"),
        await front.post("/products/6/availability", '{"denomination": "25.00"}'),
    ):
        assert reply.body["delivery_time"] == "INSTANT"


async def told(front: Front) -> set[str]:
    """Every delivery time that is said of 900 vouchers of product 6, or of one."""
    quote = await front.post("/products/6/charges", '{"denomination": 25, "quantity": 900}')
    return {
        (await available(front, "25", 900))["delivery_time"],
        quote.body["delivery_time"],
        (await front.get("/products/6")).body["delivery_time"],
        *(each["delivery_time"] for each in (await front.get("/products")).body),
    }


async def test_a_realtime_product_is_at_hand_where_its_codes_are_minted(
    front: Front, minting: Front
) -> None:
    await front.shop.add(like_amazon(realtime=True, allow_auto_vendor_fulfill=True))
    await minting.shop.look()
    assert (await told(minting), await told(front)) == ({"INSTANT"}, {"DELAYED"})


async def test_without_the_flag_a_realtime_product_is_as_fast_as_the_pool(
    front: Front, minting: Front
) -> None:
    await front.shop.add(like_amazon(realtime=True))
    await minting.shop.look()
    assert await told(minting) == await told(front) == {"DELAYED"}
    for shown in (front, minting):
        shown.pool.units[ShelfKey(6, 2500, "USD")] = 900
        assert await told(shown) == {"INSTANT"}


UNORDERABLE: list[tuple[dict[str, str], str]] = [
    ({}, "Invalid Denomination: required"),
    ({"denomination": "NaN"}, "Invalid Denomination: format"),
    ({"denomination": "0"}, "Invalid Denomination: gt"),
    ({"denomination": "1e309"}, "Invalid Denomination: max"),
    ({"denomination": "25.001"}, "Invalid Denomination: precision"),
    ({"denomination": "25", "quantity": "0"}, "Invalid Quantity: min"),
    ({"denomination": "25", "quantity": "-5"}, "Invalid Quantity: min"),
    ({"denomination": "25", "quantity": "two"}, "Invalid Quantity: number"),
    ({"denomination": "25", "quantity": "\u0662"}, "Invalid Quantity: number"),
    ({"denomination": "25", "quantity": "9" * 19}, "Invalid Quantity: max"),
]


async def test_availability_refuses_what_cannot_be_ordered_by_anybody(front: Front) -> None:
    await front.shop.add(AMAZON)
    for params, message in UNORDERABLE:
        reply = await front.get("/products/6/availability", **params)
        assert reply.refusal == (400, message, "INVALID_FIELD")


MALFORMED = [
    "",
    "{",
    "[]",
    '{"denomination": 25, "quantity": 2.5}',
    '{"denomination": 25, "quantity": "2"}',
    '{"denomination": true}',
    '{"denomination": NaN}',
    '{"denomination": 25, "denomination": 30}',
    '{"denomination": 25, "colour": "green"}',
]


async def test_a_body_of_another_form_is_refused(front: Front) -> None:
    await front.shop.add(AMAZON)
    for path, body in itertools.product(("availability", "charges"), MALFORMED):
        reply = await front.post(f"/products/6/{path}", body)
        assert reply.refusal == (400, "Invalid request body format", "INVALID_BODY")


async def test_a_thousand_products_fit_on_one_page(front: Front, shop: Shop) -> None:
    for _ in range(2):
        await shop.add(*(like_amazon(id=None, name=f"Card {n}") for n in range(500)))
    reply = await front.get("/products", limit="10000")
    assert reply.headers["x-page-size"] == "1000"
    assert reply.headers["x-total-pages"] == "1"
