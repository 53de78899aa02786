"""Staff and what is sold: products, who sees them, what they cost; every change is audited."""

from typing import Any

import pytest

from rewards.staff import model
from rewards.staff.model import Permission, Role
from tests.staff.house import House

API = "/admin/api/v1"


@pytest.fixture
async def operations(house: House) -> dict[str, str]:
    return await house.as_role(Role.OPERATIONS)


@pytest.fixture
async def finance(house: House) -> dict[str, str]:
    return await house.as_role(Role.FINANCE)


async def only_audit_row(house: House) -> dict[str, Any]:
    [row] = await house.audit()
    assert (row["actor_kind"], row["address"]) == ("STAFF", "192.0.2.7")
    return row


async def refused(
    house: House, headers: dict[str, str], method: str, path: str, body: Any, status: int
) -> str:
    """The refusal's message, after seeing that it changed nothing."""
    before = await house.everything()
    answer = await house.http.request(method, API + path, json=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert await house.everything() == before
    return str(answer.json()["message"])


async def test_a_product_changes_where_it_was_asked_to(
    house: House, operations: dict[str, str]
) -> None:
    product_id = await house.add_product()
    path = f"{API}/products/{product_id}"
    shown = (await house.http.get(path, headers=operations)).json()
    change = {
        "name": "Amazon.com",
        "pool_target": 7,
        "max_quantity": 40,
        "link_type": "protected",
        "denominations": [{"min_value": 50, "max_value": "100.00"}, {"min_value": 10}],
    }
    answer = await house.http.patch(path, json=change, headers=operations)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told == shown | {
        **change,
        "link_type": "PROTECTED",
        "denominations": [
            {"min_value": 10, "max_value": 10},
            {"min_value": 50, "max_value": 100},
        ],
    }
    assert (await house.http.get(path, headers=operations)).json() == told
    row = await only_audit_row(house)
    assert (row["action"], row["subject_id"]) == ("product.changed", product_id)
    assert row["facts"]["pool_target"] == {"from": 1000, "to": 7}
    assert set(row["facts"]) == {*change, "revision_id"}


FLAG = {"allow_auto_vendor_fulfill": True}
FRESH = {
    "name": "Tea House",
    "category_id": 1,
    "country": "US",
    "currency": "USD",
    "delivery_type": "CODE_WITH_PIN",
    "voucher_fields": ["code"],
    "denominations": [{"min_value": 25}],
}


async def test_who_has_a_product_bought_by_itself_says_why(
    house: House, operations: dict[str, str]
) -> None:
    product_id = await house.add_product()
    path = f"/products/{product_id}"
    for method, where, body in (
        ("PATCH", path, FLAG),
        ("PATCH", path, FLAG | {"reason": "  ", "pool_target": 7}),
        ("POST", "/products", FRESH | FLAG),
    ):
        told = await refused(house, operations, method, where, body, 400)
        assert told == "Invalid Reason: required"
    why = FLAG | {"reason": "agreed with finance"}
    made = await house.http.post(f"{API}/products", json=FRESH | why, headers=operations)
    changed = await house.http.patch(API + path, json=why, headers=operations)
    for answer in (made, changed):
        assert answer.json()["allow_auto_vendor_fulfill"] is True, answer.text
    assert [row["reason"] for row in await house.audit()] == [why["reason"]] * 2
    # On already, and off again: neither is held up for a word.
    for flag in (True, False):
        body = {"allow_auto_vendor_fulfill": flag}
        answer = await house.http.patch(API + path, json=body, headers=operations)
        assert answer.json()["allow_auto_vendor_fulfill"] is flag


async def test_who_may_not_buy_does_not_have_it_bought_by_itself(
    house: House, operations: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    less = model.PERMISSIONS[Role.OPERATIONS] - {Permission.VENDORS_APPROVE}
    monkeypatch.setattr(
        model, "PERMISSIONS", dict(model.PERMISSIONS) | {Role.OPERATIONS: frozenset(less)}
    )
    product_id = await house.add_product()
    path, why = f"/products/{product_id}", {"reason": "because"}
    for method, where, body in (
        ("PATCH", path, FLAG | why),
        ("PATCH", path, FLAG),
        ("POST", "/products", FRESH | FLAG | why),
    ):
        told = await refused(house, operations, method, where, body, 403)
        assert told == "Insufficient permissions"
    async with house.db.transaction() as tx:
        await tx.execute("UPDATE products SET allow_auto_vendor_fulfill = true")
    off = await house.http.patch(
        API + path, json={"allow_auto_vendor_fulfill": False}, headers=operations
    )
    assert off.json()["allow_auto_vendor_fulfill"] is False, off.text


async def test_null_takes_away_what_may_be_without(
    house: House, operations: dict[str, str]
) -> None:
    product_id = await house.add_product()
    path = f"{API}/products/{product_id}"
    for given, kept in ((40, 40), (None, None)):
        changed = await house.http.patch(path, json={"max_quantity": given}, headers=operations)
        assert changed.json()["max_quantity"] == kept
    changed = await house.http.patch(path, json={"active": False}, headers=operations)
    assert changed.json()["max_quantity"] is None
    assert house.catalog.offered(product_id, house.client) is None


NO_CHANGES: tuple[tuple[Any, str], ...] = (
    ({"name": ""}, "Invalid Name: required"),
    ({"currency": "EUR"}, "Invalid request body format"),
    ({"active": None}, "Invalid request body format"),
    ({"country": "XX"}, "Invalid Country: exists"),
    ({"category_id": 999}, "Invalid Category: exists"),
    ({"type": "gift"}, "Invalid Type: oneof"),
    ({"delivery_type": "paper"}, "Invalid DeliveryType: oneof"),
    ({"voucher_fields": ["cvv"]}, "Invalid VoucherFields: oneof"),
    ({"pool_target": -1}, "Invalid PoolTarget: min"),
    # What it costs is not operations' to say.
    ({"handling_fee": 1}, "Invalid request body format"),
    ({"tax_percent": 1}, "Invalid request body format"),
    ({"vendor_discount_percent": 1}, "Invalid request body format"),
    ({"denominations": []}, "Invalid Denominations: required"),
    ({"denominations": [{"min_value": 0}]}, "Invalid Denominations: gt"),
    ({"denominations": [{"min_value": 2, "max_value": 1}]}, "Invalid Denominations: range"),
    # One good change does not carry a bad one through.
    ({"denominations": [{"min_value": 9}], "pool_target": -1}, "Invalid PoolTarget: min"),
)


async def test_a_change_that_may_not_be_is_refused(
    house: House, operations: dict[str, str]
) -> None:
    path = f"/products/{await house.add_product()}"
    for body, message in NO_CHANGES:
        assert await refused(house, operations, "PATCH", path, body, 400) == message, body


async def test_a_product_is_hidden_from_one_client_and_shown_again(
    house: House, operations: dict[str, str]
) -> None:
    product_id = await house.add_product()
    path = f"{API}/products/{product_id}/visibility/{house.client}"
    for visible, seen in ((False, False), (True, True), (False, False), (None, True)):
        answer = await house.http.put(path, json={"visible": visible}, headers=operations)
        assert answer.json() == {
            "product_id": product_id,
            "client_id": house.client,
            "visible": seen,
        }
        offered = house.catalog.offered(product_id, house.client)
        assert (offered is not None) == seen
        row = (await house.audit())[-1]
        assert (row["action"], row["client_id"]) == ("product.visibility_set", house.client)
        assert row["facts"]["visible"]["to"] == seen


async def test_a_discount_is_agreed_and_taken_away(house: House, finance: dict[str, str]) -> None:
    product_id = await house.add_product()
    path = f"{API}/products/{product_id}/discounts"
    agreed = await house.http.put(
        f"{path}/{house.client}", json={"percent": "7.25"}, headers=finance
    )
    assert agreed.status_code == 200, agreed.text
    row = await only_audit_row(house)
    assert (row["action"], row["client_id"]) == ("product.discount_set", house.client)
    assert row["facts"] == {"percent": {"from": None, "to": "7.25"}}
    listed = await house.http.get(path, headers=finance)
    assert listed.json() == [{"product_id": product_id, "client_id": house.client, "percent": 7.25}]
    theirs = f"{API}/clients/{house.client}/discounts"
    name = (await house.http.get(f"{API}/products/{product_id}", headers=finance)).json()["name"]
    of_client = {"product_id": product_id, "client_id": house.client, "percent": 7.25}
    assert (await house.http.get(theirs, headers=finance)).json() == [
        of_client | {"product_name": name}
    ]
    gone = await house.http.put(f"{path}/{house.client}", json={"percent": None}, headers=finance)
    assert gone.json()["percent"] is None
    assert (await house.http.get(path, headers=finance)).json() == []
    assert (await house.http.get(theirs, headers=finance)).json() == []


NO_DISCOUNTS: tuple[tuple[str, str, Any, int, str], ...] = (
    ("PUT", "/products/{product}/discounts/{client}", {"percent": 101}, 400, "Percent: max"),
    ("PUT", "/products/{product}/discounts/{client}", {"percent": "x"}, 400, "Percent: format"),
    ("PUT", "/products/{product}/discounts/{client}", {"percent": -1}, 400, "Percent: min"),
    ("PUT", "/products/{product}/discounts/{client}", {}, 400, "request body format"),
    ("PUT", "/products/{product}/discounts/999999", {"percent": 1}, 404, "Client not found"),
    ("PUT", "/products/999999/discounts/{client}", {"percent": 1}, 404, "Product not found"),
    ("GET", "/products/999999/discounts", None, 404, "Product not found"),
    ("GET", "/clients/999999/discounts", None, 404, "Client not found"),
)


async def test_a_discount_that_may_not_be_is_refused(house: House, finance: dict[str, str]) -> None:
    product_id = await house.add_product()
    for method, path, body, status, message in NO_DISCOUNTS:
        where = path.format(product=product_id, client=house.client)
        told = await refused(house, finance, method, where, body, status)
        assert told.removeprefix("Invalid ") == message


async def test_what_nobody_has_is_not_found(house: House, operations: dict[str, str]) -> None:
    product_id = await house.add_product()
    for method, path, body in (
        ("GET", "/products/999999", None),
        ("PATCH", "/products/999999", {"name": "x"}),
        ("PUT", f"/products/999999/visibility/{house.client}", {"visible": True}),
    ):
        assert await refused(house, operations, method, path, body, 404) == "Product not found"
    path = f"/products/{product_id}/visibility/999999"
    told = await refused(house, operations, "PUT", path, {"visible": True}, 404)
    assert told == "Client not found"


async def test_products_are_listed_by_part_of_the_name(
    house: House, operations: dict[str, str]
) -> None:
    product_id = await house.add_product()
    await house.http.patch(
        f"{API}/products/{product_id}", json={"active": False}, headers=operations
    )
    for part, found in (("AMA", [product_id]), ("tea", [])):
        answer = await house.http.get(f"{API}/products?name={part}", headers=operations)
        assert [each["id"] for each in answer.json()] == found
        assert answer.headers["x-total-count"] == str(len(found))
