"""What clients are shown of products and reference data; nothing internal is in here."""

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache

import msgspec

from rewards.catalog.model import (
    Category,
    Country,
    Currency,
    DeliveryTime,
    DeliveryType,
    Denomination,
    Product,
    ProductType,
    Subcategory,
)
from rewards.catalog.snapshot import Snapshot
from rewards.core.money import to_decimal

# A long list takes its time from everybody; most products share few sets of denominations.
DENOMINATIONS_KEPT_MAX = 20_000


class DenominationShape(msgspec.Struct, frozen=True):
    """Face values from min_value to max_value, both included; a fixed one has both the same."""

    min_value: Decimal
    max_value: Decimal
    # Percent off, as it is for this client now.
    discount: Decimal


class ProductShape(msgspec.Struct):
    id: int
    name: str
    type: ProductType
    category: str
    sub_category: str | None
    country_id: int
    country_code: str
    currency_id: int
    currency_code: str
    image_url: str
    delivery_type: DeliveryType
    # Computed now, from what is in the pool; it can change from one request to the next.
    delivery_time: DeliveryTime
    validity: str
    available_denominations: tuple[DenominationShape, ...]
    # The most one order may ask for.
    max_quantity: int
    description: str
    terms: str
    redemption: str


@lru_cache(maxsize=DENOMINATIONS_KEPT_MAX)
def denomination_shapes(
    denominations: tuple[Denomination, ...], exponent: int, discount_percent: Decimal
) -> tuple[DenominationShape, ...]:
    return tuple(
        DenominationShape(to_decimal(least, exponent), to_decimal(most, exponent), discount_percent)
        for least, most in denominations
    )


def product_shape(
    snapshot: Snapshot,
    product: Product,
    *,
    delivery_time: DeliveryTime,
    discount_percent: Decimal,
    quantity_max: int,
) -> ProductShape:
    within = snapshot.subcategories.get(product.subcategory_id or 0)
    return ProductShape(
        product.id,
        product.name,
        product.type,
        snapshot.categories[product.category_id].name,
        within.name if within else None,
        snapshot.countries[product.country].id,
        product.country,
        snapshot.currencies[product.currency].id,
        product.currency,
        product.image_url,
        product.delivery_type,
        delivery_time,
        product.validity,
        denomination_shapes(product.denominations, product.exponent, discount_percent),
        quantity_max,
        product.description,
        product.terms,
        product.redemption,
    )


class AvailabilityShape(msgspec.Struct):
    # Whether an order of this denomination and quantity would be taken now.
    is_available: bool
    # INSTANT: the pool covers it, the vouchers come with the order's answer.
    delivery_time: DeliveryTime
    max_quantity: int


class SubcategoryShape(msgspec.Struct):
    id: int
    category_id: int
    name: str
    slug: str
    is_active: bool


class CategoryShape(msgspec.Struct, omit_defaults=True):
    id: int
    name: str
    slug: str
    is_active: bool
    # Only when asked for with include_subcategories=true.
    subcategories: list[SubcategoryShape] | None = None


class CountryShape(msgspec.Struct):
    id: int
    code: str
    name: str
    currency_code: str
    is_active: bool


class CurrencyShape(msgspec.Struct):
    id: int
    code: str
    name: str
    symbol: str
    decimal_places: int
    is_active: bool


def subcategory_shape(each: Subcategory) -> SubcategoryShape:
    return SubcategoryShape(each.id, each.category_id, each.name, each.slug, each.active)


def category_shape(
    each: Category, within: Mapping[int, list[SubcategoryShape]] | None = None
) -> CategoryShape:
    """`within`: sub-categories by category, where they are to be shown."""
    inner = None if within is None else within.get(each.id, [])
    return CategoryShape(each.id, each.name, each.slug, each.active, inner)


def country_shape(each: Country) -> CountryShape:
    return CountryShape(each.id, each.code, each.name, each.currency, each.active)


def currency_shape(each: Currency) -> CurrencyShape:
    return CurrencyShape(each.id, each.code, each.name, each.symbol, each.exponent, each.active)
