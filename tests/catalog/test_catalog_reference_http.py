"""Reference data over HTTP."""

from tests.catalog.storefront import Front


async def test_categories_are_listed_with_their_sub_categories_on_request(front: Front) -> None:
    reply = await front.get("/categories")
    assert reply.body == [
        {"id": 1, "name": "Gift Cards", "slug": "gift-cards", "is_active": True},
        {"id": 2, "name": "Mobile Top-up", "slug": "mobile-top-up", "is_active": True},
        {"id": 3, "name": "Digital Services", "slug": "digital-services", "is_active": True},
    ]
    assert reply.headers["x-total-count"] == "3"
    [_, mobile, _] = (await front.get("/categories", include_subcategories="true")).body
    assert [each["id"] for each in mobile["subcategories"]] == [201, 202]
    assert (await front.get("/categories/2")).body == mobile


async def test_sub_categories_are_listed_and_narrowed(front: Front) -> None:
    everything = (await front.get("/subcategories")).body
    assert len(everything) == 13
    for category in ("2", "Mobile Top-Up"):
        found = (await front.get("/subcategories", category=category)).body
        assert [each["name"] for each in found] == ["Prepaid Mobile Credit", "Mobile Data"]
    assert (await front.get("/subcategories/201")).body == {
        "id": 201,
        "category_id": 2,
        "name": "Prepaid Mobile Credit",
        "slug": "prepaid-mobile-credit",
        "is_active": True,
    }


async def test_unknown_ones_are_not_found(front: Front) -> None:
    for number in ("99", "0", "x", "-1", "9" * 40):
        reply = await front.get(f"/categories/{number}")
        assert reply.refusal == (404, "Category not found", "CATEGORY_NOT_FOUND")
        reply = await front.get(f"/subcategories/{number}")
        assert reply.refusal == (404, "Subcategory not found", "SUBCATEGORY_NOT_FOUND")


async def test_currencies_say_how_many_decimals_they_have(front: Front) -> None:
    reply = await front.get("/currencies")
    assert reply.headers["x-per-page"] == "50"
    assert reply.headers["x-total-count"] == "164"
    assert reply.body[0] == {
        "id": 1,
        "code": "USD",
        "name": "US Dollar",
        "symbol": "$",
        "decimal_places": 2,
        "is_active": True,
    }
    everything = (await front.get("/currencies", limit="1000")).body
    decimals = {each["code"]: each["decimal_places"] for each in everything}
    assert (decimals["JPY"], decimals["KWD"], decimals["CLF"]) == (0, 3, 4)


async def test_countries_are_found_by_name_or_code(front: Front) -> None:
    for search in ("germ", "DE", "de"):
        found = (await front.get("/countries", search=search)).body
        assert {"code": "DE", "name": "Germany", "currency_code": "EUR"}.items() <= next(
            each for each in found if each["code"] == "DE"
        ).items()
    [yen] = (await front.get("/currencies", search="japanese yen")).body
    assert yen["code"] == "JPY"
    assert (await front.get("/countries", limit="1000")).headers["x-page-size"] == "248"


async def test_what_is_out_of_use_shows_on_request_only(front: Front) -> None:
    await front.shop.db.run(
        lambda tx: tx.execute("UPDATE currencies SET active = false WHERE code = 'USD'")
    )
    await front.shop.catalog.load()
    [first, *_] = (await front.get("/currencies")).body
    assert first["code"] == "EUR"
    [first, *_] = (await front.get("/currencies", active_only="FALSE")).body
    assert (first["code"], first["is_active"]) == ("USD", False)


SENSELESS = [
    (
        "/categories",
        {"include_subcategories": "maybe"},
        "Invalid IncludeSubcategories: boolean",
    ),
    ("/countries", {"active_only": "1"}, "Invalid ActiveOnly: boolean"),
    ("/currencies", {"limit": "10001"}, "Invalid Limit: max"),
    ("/countries", {"search": "x" * 101}, "Invalid Search: max"),
    ("/subcategories", {"category": "9" * 10}, "Invalid Category: max"),
]


async def test_parameters_are_validated(front: Front) -> None:
    for path, params, message in SENSELESS:
        assert (await front.get(path, **params)).refusal == (400, message, "INVALID_FIELD")
