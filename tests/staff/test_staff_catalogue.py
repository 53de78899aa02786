"""Products that staff add, what they are sorted by, and what finance has them cost."""

from typing import Any

import pytest

from rewards.staff.model import Role
from tests.staff.house import House

API = "/admin/api/v1"
NEW: dict[str, Any] = {
    "name": "Tea House Card",
    "category_id": 1,
    "country": "us",
    "currency": "usd",
    "delivery_type": "code_with_pin",
    "voucher_fields": ["card_number", "pin_code"],
    "denominations": [{"min_value": 25}, {"min_value": "30.00", "max_value": 100}],
}
PRICING = {"handling_fee": "0.50", "tax_percent": 5.5, "vendor_discount_percent": "3.25"}
WHY = {"reason": "agreed with the brand for 2027"}


@pytest.fixture
async def operations(house: House) -> dict[str, str]:
    return await house.as_role(Role.OPERATIONS)


@pytest.fixture
async def finance(house: House) -> dict[str, str]:
    return await house.as_role(Role.FINANCE)


async def refused(
    house: House, headers: dict[str, str], method: str, path: str, body: Any, status: int = 400
) -> str:
    """The refusal's message, after seeing that it changed nothing."""
    before = await house.everything()
    answer = await house.http.request(method, API + path, json=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert await house.everything() == before
    return str(answer.json()["message"])


async def add(house: House, headers: dict[str, str], **facts: Any) -> Any:
    answer = await house.http.post(f"{API}/products", json=NEW | facts, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_product_is_added_off_sale_and_sold_once_somebody_says_so(
    house: House, operations: dict[str, str]
) -> None:
    made = await add(house, operations)
    assert (made["country"], made["currency"], made["active"]) == ("US", "USD", False)
    assert (made["type"], made["delivery_type"]) == ("VOUCHER", "CODE_WITH_PIN")
    assert made["denominations"] == [
        {"min_value": 25, "max_value": 25},
        {"min_value": 30, "max_value": 100},
    ]
    # Nobody has said what it costs: face value, less the usual discount.
    assert (made["handling_fee"], made["tax_percent"]) == (0, 0)
    assert made["vendor_discount_percent"] is None
    path = f"{API}/products/{made['id']}"
    assert (await house.http.get(path, headers=operations)).json() == made
    assert house.catalog.offered(made["id"], house.client) is None
    [row] = await house.audit()
    assert (row["action"], row["subject_id"]) == ("product.created", made["id"])
    assert row["facts"]["voucher_fields"] == NEW["voucher_fields"]
    await house.http.patch(path, json={"active": True}, headers=operations)
    assert house.catalog.offered(made["id"], house.client) is not None


async def test_a_product_of_another_kind_says_all_it_is(
    house: House, operations: dict[str, str]
) -> None:
    facts = {
        "type": "mobile_topup",
        "voucher_fields": [],
        "currency": "JPY",
        "country": "JP",
        "denominations": [{"min_value": 500, "max_value": 1000}],
        "classification": "open_loop",
        "link_type": "protected",
        "terms": "None.",
        "active": True,
        "max_quantity": 9,
        "visible_by_default": False,
    }
    made = await add(house, operations, **facts)
    upper = {"type": "MOBILE_TOPUP", "classification": "OPEN_LOOP", "link_type": "PROTECTED"}
    assert {name: made[name] for name in facts} == facts | upper


WRONG: tuple[tuple[dict[str, Any], str], ...] = (
    *(
        ({name: None}, f"Invalid {label}: required")
        for name, label in (
            ("name", "Name"),
            ("category_id", "Category"),
            ("country", "Country"),
            ("currency", "Currency"),
            ("delivery_type", "DeliveryType"),
            ("denominations", "Denominations"),
            ("voucher_fields", "VoucherFields"),
        )
    ),
    ({"name": " "}, "Invalid Name: required"),
    ({"category_id": 999}, "Invalid Category: exists"),
    ({"subcategory_id": 201}, "Invalid Subcategory: exists"),
    ({"country": "XX"}, "Invalid Country: exists"),
    ({"currency": "XXY"}, "Invalid Currency: exists"),
    ({"delivery_type": "paper"}, "Invalid DeliveryType: oneof"),
    ({"voucher_fields": ["cvv"]}, "Invalid VoucherFields: oneof"),
    ({"denominations": []}, "Invalid Denominations: required"),
    ({"denominations": [{"min_value": "0.001"}]}, "Invalid Denominations: precision"),
    ({"denominations": [{"min_value": 1, "max_value": 9}, {"min_value": 5}]}, "overlap"),
    ({"pool_target": -1}, "Invalid PoolTarget: min"),
    ({"handling_fee": 1}, "Invalid request body format"),
    ({"id": 5}, "Invalid request body format"),
)


async def test_a_product_that_may_not_be_is_refused(
    house: House, operations: dict[str, str]
) -> None:
    for facts, message in WRONG:
        body = {name: value for name, value in (NEW | facts).items() if value is not None}
        told = await refused(house, operations, "POST", "/products", body)
        assert told.endswith(message), (facts, told)
    assert await refused(house, operations, "POST", "/products", [1]) == (
        "Invalid request body format"
    )


async def test_only_some_may_add_and_others_may_price(
    house: House, operations: dict[str, str], finance: dict[str, str]
) -> None:
    made = await add(house, operations)
    path = f"/products/{made['id']}/pricing"
    for who, method, where, body in (
        (finance, "POST", "/products", NEW),
        (finance, "POST", "/categories", {"name": "Tea"}),
        (finance, "PATCH", f"/products/{made['id']}", {"active": True}),
        (operations, "PATCH", path, PRICING | WHY),
    ):
        told = await refused(house, who, method, where, body, 403)
        assert told == "Insufficient permissions"


async def test_pricing_leaves_before_and_after_and_why(
    house: House, operations: dict[str, str], finance: dict[str, str]
) -> None:
    made = await add(house, operations)
    path = f"{API}/products/{made['id']}/pricing"
    answer = await house.http.patch(path, json=PRICING | WHY, headers=finance)
    assert answer.status_code == 200, answer.text
    assert '"handling_fee":0.50' in answer.text
    told = {"handling_fee": 0.5, "tax_percent": 5.5, "vendor_discount_percent": 3.25}
    assert answer.json() == made | told
    row = (await house.audit())[-1]
    assert (row["action"], row["reason"]) == ("product.priced", WHY["reason"])
    assert row["facts"] == {
        "handling_fee": {"from": "0.00", "to": "0.50"},
        "tax_percent": {"from": "0", "to": "5.5"},
        "vendor_discount_percent": {"from": None, "to": "3.25"},
    }
    # What is left out stays; null goes back to the usual discount.
    body = {"vendor_discount_percent": None, **WHY}
    answer = await house.http.patch(path, json=body, headers=finance)
    assert answer.json() == made | told | {"vendor_discount_percent": None}
    product = house.catalog.product(made["id"])
    assert product is not None
    assert product.handling_fee_minor == 50


NO_PRICES: tuple[tuple[dict[str, Any], str], ...] = (
    ({"tax_percent": 1}, "Invalid Reason: required"),
    ({"handling_fee": None, **WHY}, "Invalid HandlingFee: required"),
    ({"handling_fee": 0.001, **WHY}, "Invalid HandlingFee: precision"),
    ({"handling_fee": -1, **WHY}, "Invalid HandlingFee: min"),
    ({"tax_percent": None, **WHY}, "Invalid TaxPercent: required"),
    ({"tax_percent": 100, **WHY}, "Invalid TaxPercent: max"),
    ({"vendor_discount_percent": 101, **WHY}, "Invalid VendorDiscountPercent: max"),
    ({"name": "x", **WHY}, "Invalid request body format"),
)


async def test_prices_that_may_not_be_are_refused(
    house: House, operations: dict[str, str], finance: dict[str, str]
) -> None:
    path = f"/products/{(await add(house, operations))['id']}/pricing"
    for body, message in NO_PRICES:
        assert await refused(house, finance, "PATCH", path, body) == message, body
    missing = "/products/999999/pricing"
    assert await refused(house, finance, "PATCH", missing, WHY, 404) == "Product not found"


async def test_a_category_is_added_and_products_are_put_into_it(
    house: House, operations: dict[str, str]
) -> None:
    answer = await house.http.post(
        f"{API}/categories", json={"name": "Food & Tea"}, headers=operations
    )
    assert answer.status_code == 201, answer.text
    category = answer.json()
    assert (category["slug"], category["category_id"], category["active"]) == (
        *("food-tea", None),
        True,
    )
    path = f"/categories/{category['id']}/subcategories"
    answer = await house.http.post(API + path, json={"name": "Green"}, headers=operations)
    within = answer.json()
    assert within["category_id"] == category["id"]
    acts = [row["action"] for row in await house.audit()]
    assert acts == ["category.created", "subcategory.created"]
    made = await add(house, operations, category_id=category["id"], subcategory_id=within["id"])
    assert made["subcategory_id"] == within["id"]
    told = (await house.http.get(f"{API}/reference-data", headers=operations)).json()
    assert told["categories"][-2:] == [category, within]
    assert {"code": "KWD", "name": "Kuwaiti Dinar", "exponent": 3} in told["currencies"]
    assert {"code": "JP", "name": "Japan", "currency": "JPY"} in told["countries"]
    for where, name in (("/categories", "food   tea"), (path, "GREEN!")):
        told = await refused(house, operations, "POST", where, {"name": name}, 409)
        assert told == "A category of this name is there already"
    for name, rule in (("", "required"), ("!!", "format"), ("x" * 201, "max")):
        told = await refused(house, operations, "POST", "/categories", {"name": name})
        assert told == f"Invalid Name: {rule}"
    missing = "/categories/999999/subcategories"
    told = await refused(house, operations, "POST", missing, {"name": "x"}, 404)
    assert told == "Category not found"
