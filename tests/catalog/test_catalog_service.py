"""Products and reference data on the real database: written, refused, and seen by caches."""

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from rewards.catalog import service, sql
from rewards.catalog.model import (
    DeliveryType,
    Denomination,
    LinkType,
    NewProduct,
    Product,
    ProductChange,
    ProductFields,
    ProductIdTaken,
    ProductNotFound,
    ProductType,
    Visibility,
)
from rewards.core.currency import CURRENCIES
from rewards.core.errors import InvalidField, Refusal
from rewards.infra.db import Tx
from tests.catalog.shop import AMAZON, AT, JAPANESE, KUWAITI, Shop, like_amazon

TABLES = ("products", "product_revisions", "denominations", "product_visibility", "changes")


async def counts(shop: Shop) -> dict[str, int]:
    return {table: await shop.count(table) for table in TABLES}


async def change(shop: Shop, product_id: int, **fields: Any) -> None:
    async with shop.db.transaction() as tx:
        await service.change_products(tx, [ProductChange(product_id, ProductFields(**fields))], AT)
    await shop.look()


async def test_a_product_is_read_back_as_it_was_given(shop: Shop) -> None:
    [amazon] = await shop.add(
        like_amazon(
            type=ProductType.VOUCHER,
            link_type=LinkType.PROTECTED,
            max_quantity=40,
            request_quantity_max=5,
            filled_quantity_max=20,
            pool_target=7,
            minimum_life_days=30,
            realtime=True,
            allow_auto_vendor_fulfill=True,
            tax_percent=Decimal("18.5"),
            vendor_discount_percent=Decimal("3.25"),
        )
    )
    assert amazon.id == 6
    assert amazon.exponent == 2
    assert amazon.voucher_fields == ("card_number", "pin_code")
    assert amazon.denominations == AMAZON.denominations
    assert (amazon.name, amazon.terms) == (AMAZON.name, AMAZON.terms)
    assert amazon.link_type is LinkType.PROTECTED
    assert amazon.delivery_type is DeliveryType.CODE_WITH_PIN
    assert (amazon.max_quantity, amazon.request_quantity_max, amazon.filled_quantity_max) == (
        40,
        5,
        20,
    )
    assert (str(amazon.tax_percent), str(amazon.vendor_discount_percent)) == ("18.5", "3.25")
    assert amazon.realtime and amazon.allow_auto_vendor_fulfill and amazon.active
    assert amazon.created_at == AT


@pytest.mark.parametrize("a_page", [1, 2, 3, 4, 5, 6])
async def test_a_large_catalogue_is_read_in_pages(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, a_page: int
) -> None:
    added = await shop.add(*(like_amazon(id=None, name=f"Card {n}") for n in range(5)))
    whole = await everything(shop)
    assert {each.id for each in added} <= {each.id for each in whole}
    monkeypatch.setattr(sql, "PRODUCTS_A_PAGE", a_page)
    assert await everything(shop) == whole
    assert [each.id for each in whole] == sorted(each.id for each in whole)


async def everything(shop: Shop) -> list[Product]:
    async with shop.db.connection() as connection:
        return await sql.read_products(connection)


async def test_ids_that_were_chosen_and_ids_that_were_drawn_never_meet(shop: Shop) -> None:
    first, second = await shop.add(JAPANESE, KUWAITI)
    assert (first.id, second.id) == (1, 2)
    seeded = await shop.add(*(like_amazon(id=product_id) for product_id in (6, 15, 7, 8)))
    assert [product.id for product in seeded] == [6, 15, 7, 8]
    mixed = await shop.add(JAPANESE, like_amazon(id=3), KUWAITI)
    assert [product.id for product in mixed] == [16, 3, 17]
    assert [product.exponent for product in mixed] == [0, 2, 3]


async def test_adders_at_once_get_different_ids(shop: Shop) -> None:
    async def add(*new: NewProduct) -> list[int]:
        async with shop.db.transaction() as tx:
            return await service.add_products(tx, new, AT)

    drawn = [add(JAPANESE, KUWAITI) for _ in range(5)]
    found = await asyncio.gather(*drawn, add(like_amazon(id=50)), add(JAPANESE))
    product_ids = [product_id for some in found for product_id in some]
    assert len(set(product_ids)) == len(product_ids) == 12


NO_PRODUCTS: list[tuple[dict[str, Any], str]] = [
    ({"name": "  "}, "Invalid Name: required"),
    ({"name": "x" * 201}, "Invalid Name: max"),
    ({"name": "a\0b"}, "Invalid Name: format"),
    ({"terms": "x" * 20_001}, "Invalid Terms: max"),
    ({"image_url": "javascript:alert(1)"}, "Invalid ImageUrl: url"),
    ({"voucher_fields": ()}, "Invalid VoucherFields: required"),
    ({"voucher_fields": ("password",)}, "Invalid VoucherFields: oneof"),
    ({"voucher_fields": ("code", "code")}, "Invalid VoucherFields: unique"),
    ({"max_quantity": 0}, "Invalid MaxQuantity: min"),
    ({"max_quantity": 2**31}, "Invalid MaxQuantity: max"),
    ({"request_quantity_max": 0}, "Invalid RequestQuantityMax: min"),
    ({"filled_quantity_max": -1}, "Invalid FilledQuantityMax: min"),
    ({"pool_target": -1}, "Invalid PoolTarget: min"),
    ({"minimum_life_days": -1}, "Invalid MinimumLifeDays: min"),
    ({"handling_fee_minor": -1}, "Invalid HandlingFee: min"),
    ({"handling_fee_minor": 10**18}, "Invalid HandlingFee: max"),
    ({"tax_percent": Decimal(-1)}, "Invalid TaxPercent: min"),
    ({"tax_percent": Decimal(100)}, "Invalid TaxPercent: max"),
    ({"tax_percent": Decimal("NaN")}, "Invalid TaxPercent: format"),
    ({"tax_percent": Decimal("1.00001")}, "Invalid TaxPercent: precision"),
    ({"vendor_discount_percent": Decimal("100.1")}, "Invalid VendorDiscountPercent: max"),
    ({"category_id": 99}, "Invalid Category: exists"),
    ({"subcategory_id": 99}, "Invalid Subcategory: exists"),
    ({"subcategory_id": 201}, "Invalid Subcategory: exists"),
    ({"country": "ZZ"}, "Invalid Country: exists"),
    ({"id": 0}, "Invalid Id: min"),
    ({"denominations": ()}, "Invalid Denominations: required"),
    ({"denominations": (Denomination(0, 5),)}, "Invalid Denominations: gt"),
    ({"denominations": (Denomination(5, 4),)}, "Invalid Denominations: range"),
    ({"denominations": (Denomination(5, 10**18),)}, "Invalid Denominations: max"),
    ({"denominations": tuple(Denomination(n, n) for n in range(1, 502))}, "max"),
    (
        {"denominations": (Denomination(5, 9), Denomination(9, 20))},
        "Invalid Denominations: overlap",
    ),
]


async def test_what_no_product_may_be_is_refused_and_nothing_changes(shop: Shop) -> None:
    before = await counts(shop)
    for changed, message in NO_PRODUCTS:
        with pytest.raises(InvalidField, match=message):
            await shop.add(like_amazon(id=5), like_amazon(**changed))
        assert await counts(shop) == before


async def test_an_id_in_use_is_refused_and_nothing_changes(shop: Shop) -> None:
    await shop.add(AMAZON)
    before = await counts(shop)
    for asks in ([JAPANESE, AMAZON], [like_amazon(id=9), like_amazon(id=9)]):
        with pytest.raises(ProductIdTaken):
            await shop.add(*asks)
    with pytest.raises(InvalidField, match="Invalid Currency: exists"):
        await shop.add(like_amazon(id=None, currency="XXX"))
    assert await counts(shop) == before


async def test_the_database_refuses_unknown_voucher_fields_too(shop: Shop) -> None:
    await shop.add(AMAZON)
    async with shop.db.connection() as connection:
        with pytest.raises(asyncpg.CheckViolationError, match="products_voucher_fields_check"):
            await connection.execute("UPDATE products SET voucher_fields = '{password}'")


async def test_other_words_make_a_new_revision_and_the_old_one_stays(shop: Shop) -> None:
    [before] = await shop.add(AMAZON)
    await change(shop, 6, terms="Cash at last.", active=False)
    after = shop.known(6)
    assert (after.terms, after.name, after.active) == ("Cash at last.", AMAZON.name, False)
    assert after.revision_id != before.revision_id
    old, new, none = await shop.catalog.wordings([before.revision_id, after.revision_id, 0])
    assert old == before.wording and new == after.wording and none is None
    assert await shop.catalog.wordings([after.revision_id]) == [after.wording]
    async with shop.db.transaction() as tx:
        assert await service.wordings(tx, [0, before.revision_id]) == [None, before.wording]


async def test_facts_without_words_keep_the_revision(shop: Shop) -> None:
    [before] = await shop.add(AMAZON)
    await change(shop, 6, handling_fee_minor=5, max_quantity=9, name=AMAZON.name)
    after = shop.known(6)
    assert after == replace(before, handling_fee_minor=5, max_quantity=9)
    assert await shop.count("product_revisions") == 1


async def test_a_change_answers_with_the_products_as_they_are_in_order(shop: Shop) -> None:
    await shop.add(AMAZON, like_amazon(id=7))
    async with shop.db.transaction() as tx:
        await service.set_visibility(tx, [Visibility(1, 7, False)])
        changed = await service.change_products(
            tx,
            [
                ProductChange(7, {"visible_by_default": False}),
                ProductChange(6, {"name": "Amazon Plus"}),
            ],
            AT,
        )
    await shop.look()
    assert [product.id for product in changed] == [7, 6]
    assert changed == [shop.known(7), shop.known(6)]
    assert changed[0].visibility_exceptions == frozenset()
    assert not changed[0].visible_to(1)


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"name": ""}, InvalidField),
        ({"category_id": 2}, InvalidField),
        ({"tax_percent": Decimal(100)}, InvalidField),
    ],
)
async def test_a_refused_change_changes_nothing(
    shop: Shop, fields: ProductFields, refusal: type[Refusal]
) -> None:
    await shop.add(AMAZON, like_amazon(id=7))
    before, known = await counts(shop), shop.known(7)
    asks = [ProductChange(7, {"name": "Other"}), ProductChange(6, fields)]
    with pytest.raises(refusal):
        await shop.db.run(lambda tx: service.change_products(tx, asks, AT))
    await shop.look()
    assert await counts(shop) == before
    assert shop.known(7) == known


async def test_unknown_products_cannot_be_changed(shop: Shop) -> None:
    await shop.add(AMAZON)
    before = await counts(shop)
    async with shop.db.transaction() as tx:
        with pytest.raises(ProductNotFound):
            await service.change_products(tx, [ProductChange(99, {"active": False})], AT)
        with pytest.raises(ProductNotFound):
            await service.set_denominations(tx, {6: [Denomination(1, 1)], 99: [Denomination(1, 1)]})
        with pytest.raises(ProductNotFound):
            await service.set_visibility(tx, [Visibility(1, 6, False), Visibility(1, 99, False)])
    assert await counts(shop) == before


async def test_two_changes_at_once_both_hold(shop: Shop) -> None:
    await shop.add(AMAZON)
    await asyncio.gather(
        change(shop, 6, name="Amazon Plus"),
        change(shop, 6, pool_target=5),
        change(shop, 6, terms="Others"),
        change(shop, 6, max_quantity=3),
    )
    await shop.look()
    amazon = shop.known(6)
    assert (amazon.name, amazon.terms) == ("Amazon Plus", "Others")
    assert (amazon.pool_target, amazon.max_quantity) == (5, 3)


async def test_denominations_are_replaced_as_a_whole_and_sorted(shop: Shop) -> None:
    await shop.add(AMAZON)
    async with shop.db.transaction() as tx:
        await service.set_denominations(tx, {6: [Denomination(500, 900), Denomination(100, 100)]})
    await shop.look()
    assert shop.known(6).denominations == (Denomination(100, 100), Denomination(500, 900))
    assert shop.known(6).sells(700) and not shop.known(6).sells(2500)
    async with shop.db.transaction() as tx:
        with pytest.raises(InvalidField, match="overlap"):
            await service.set_denominations(tx, {6: [Denomination(1, 5), Denomination(5, 5)]})


async def test_visibility_can_be_given_taken_and_forgotten(shop: Shop) -> None:
    await shop.add(AMAZON, like_amazon(id=7, visible_by_default=False))
    async with shop.db.transaction() as tx:
        await service.set_visibility(tx, [Visibility(1, 6, False), Visibility(1, 7, True)])
    await shop.look()
    assert shop.catalog.offered(6, 1) is None
    assert shop.catalog.offered(6, 2) == shop.known(6)
    assert shop.catalog.offered(7, 1) == shop.known(7)
    assert shop.catalog.offered(7, 2) is None
    async with shop.db.transaction() as tx:
        await service.set_visibility(tx, [Visibility(1, 6, None), Visibility(1, 7, None)])
    await shop.look()
    assert shop.catalog.offered(6, 1) is not None
    assert shop.catalog.offered(7, 1) is None
    assert await shop.count("product_visibility") == 0


async def test_a_product_out_of_use_is_offered_to_nobody(shop: Shop) -> None:
    await shop.add(AMAZON)
    await change(shop, 6, active=False)
    assert shop.catalog.offered(6, 1) is None
    assert shop.catalog.product(6) is not None
    assert shop.catalog.offered(99, 1) is None


async def test_seeding_twice_changes_nothing(shop: Shop) -> None:
    snapshot = shop.catalog.snapshot
    before = await shop.count("changes")
    async with shop.db.transaction() as tx:
        await service.seed_reference(tx)
    assert await shop.count("changes") == before
    await shop.catalog.load()
    assert shop.catalog.snapshot == snapshot


async def test_seeding_keeps_what_staff_changed_and_adds_what_is_missing(shop: Shop) -> None:
    async with shop.db.transaction() as tx:
        await tx.execute("UPDATE currencies SET active = false WHERE code = 'KPW'")
        await tx.execute("DELETE FROM countries WHERE code = 'FJ'")
        await tx.execute("DELETE FROM subcategories WHERE id = 303")
        await service.seed_reference(tx)
    await shop.look()
    assert not shop.catalog.currency("KPW").active
    assert "FJ" in shop.catalog.snapshot.countries
    assert 303 in shop.catalog.snapshot.subcategories


async def test_reference_data_is_whole_and_numbered_as_published(shop: Shop) -> None:
    catalog = shop.catalog
    assert len(catalog.currencies()) == len(CURRENCIES) == 164
    assert len(catalog.countries()) == 248
    assert (catalog.currency("USD").id, catalog.currency("EUR").id) == (1, 2)
    assert catalog.snapshot.countries["US"].id == 1
    assert [each.name for each in catalog.categories()] == [
        "Gift Cards",
        "Mobile Top-up",
        "Digital Services",
    ]
    assert {101, 102, 201} <= {each.id for each in catalog.subcategories()}
    for currency in catalog.currencies():
        assert currency.exponent == CURRENCIES[currency.code].exponent
    with pytest.raises(KeyError):
        catalog.currency("XXX")


async def test_a_snapshot_in_hand_never_changes(shop: Shop) -> None:
    [amazon] = await shop.add(AMAZON)
    held = shop.catalog.snapshot
    await change(shop, 6, name="Amazon Plus")
    await shop.add(JAPANESE)
    assert held.products[6] is amazon
    assert [product.id for product in held.listed] == [6]
    assert shop.catalog.snapshot is not held
    assert [product.id for product in shop.catalog.products()] == [6, 7]


async def test_what_is_rolled_back_is_never_seen(shop: Shop) -> None:
    await shop.add(AMAZON)

    async def fail_late(tx: Tx) -> None:
        await service.change_products(tx, [ProductChange(6, {"active": False})], AT)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await shop.db.run(fail_late)
    await shop.look()
    assert shop.known(6).active


async def test_another_process_sees_a_change_within_a_second(shop: Shop, settings: Any) -> None:
    await shop.add(AMAZON)
    other = Shop(shop.db, settings)
    await other.feed.start()
    await other.catalog.load()
    try:
        async with shop.db.transaction() as tx:
            await service.change_products(tx, [ProductChange(6, {"name": "Other"})], AT)
        async with asyncio.timeout(1):
            while other.known(6).name != "Other":
                await asyncio.sleep(0.01)
    finally:
        await other.feed.stop()
