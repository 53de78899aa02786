"""Products as values: what they sell, who sees them, and how words become enums."""

from datetime import UTC, datetime

import pytest

from rewards.catalog.model import (
    Classification,
    DeliveryTime,
    DeliveryType,
    Denomination,
    Product,
    QuantityTooLarge,
    parse_quantity,
    speed,
)
from rewards.core.errors import InvalidField


def a_product(**changed: object) -> Product:
    facts: dict[str, object] = {
        "id": 6,
        "revision_id": 1,
        "name": "Amazon",
        "category_id": 1,
        "country": "US",
        "currency": "USD",
        "exponent": 2,
        "delivery_type": DeliveryType.CODE_WITH_PIN,
        "voucher_fields": ("card_number", "pin_code"),
        "denominations": (Denomination(1000, 1000), Denomination(2500, 50000)),
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
    }
    return Product(**(facts | changed))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("minor", "sold"),
    [
        (999, False),
        (1000, True),
        (1001, False),
        (2499, False),
        (2500, True),
        (2501, True),
        (50000, True),
        (50001, False),
        (0, False),
        (-1000, False),
    ],
)
def test_a_product_sells_its_values_and_all_between_the_ends_of_a_range(
    minor: int, sold: bool
) -> None:
    assert a_product().sells(minor) is sold


def test_exceptions_turn_visibility_round() -> None:
    shown = a_product(visible_by_default=True, visibility_exceptions=frozenset({7}))
    hidden = a_product(visible_by_default=False, visibility_exceptions=frozenset({7}))
    assert (shown.visible_to(1), shown.visible_to(7)) == (True, False)
    assert (hidden.visible_to(1), hidden.visible_to(7)) == (False, True)


def test_the_smaller_maximum_counts() -> None:
    assert a_product().quantity_max(1000) == 1000
    assert a_product(max_quantity=50).quantity_max(1000) == 50
    assert a_product(max_quantity=5000).quantity_max(1000) == 1000
    assert QuantityTooLarge(1000).message == "Invalid quantity, allowed max quantity: 1000"


@pytest.mark.parametrize("word", ["instant", "Instant", "INSTANT", "realtime", "REALTIME"])
def test_words_parse_in_any_case_and_realtime_is_instant(word: str) -> None:
    assert DeliveryTime(word) is DeliveryTime.INSTANT


def test_other_words_are_refused() -> None:
    for word in ("", "soon", "realtime ", None):
        with pytest.raises(ValueError):
            DeliveryTime(word)
    with pytest.raises(ValueError):
        Classification("REALTIME")
    assert DeliveryType("code_with_pin") is DeliveryType.CODE_WITH_PIN


@pytest.mark.parametrize(("value", "rule"), [(None, "required"), (0, "min"), (-3, "min")])
def test_a_quantity_is_at_least_one(value: int | None, rule: str) -> None:
    with pytest.raises(InvalidField, match=f"Invalid Quantity: {rule}"):
        parse_quantity(value)
    assert parse_quantity(1) == 1


def test_the_pool_decides_the_speed() -> None:
    assert speed(5, 5) is DeliveryTime.INSTANT
    assert speed(5, 4) is DeliveryTime.DELAYED


def test_only_a_realtime_product_with_the_flag_is_minted() -> None:
    assert a_product(realtime=True, allow_auto_vendor_fulfill=True).minted
    assert not a_product(realtime=True).minted
    assert not a_product(allow_auto_vendor_fulfill=True).minted
