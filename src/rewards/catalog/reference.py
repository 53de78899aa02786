"""The reference data every installation begins with."""

from rewards.catalog.countries import COUNTRIES, IsoCountry
from rewards.catalog.model import Category, Subcategory
from rewards.core.currency import CURRENCIES, IsoCurrency

# Numbered first, so that the ids of published examples hold: 1 is USD, 2 is EUR; 1 is the US.
_CURRENCIES_FIRST = ("USD", "EUR", "GBP", "INR", "CAD", "AUD", "SGD", "NZD", "PHP", "AED", "JPY")
_COUNTRIES_FIRST = ("US", "GB", "IN", "CA", "AU", "SG", "NZ", "PH", "AE", "JP")


def _place(code: str, first: tuple[str, ...]) -> int:
    return first.index(code) if code in first else len(first)


SEED_CURRENCIES: list[IsoCurrency] = sorted(
    CURRENCIES.values(), key=lambda each: (_place(each.code, _CURRENCIES_FIRST), each.code)
)
SEED_COUNTRIES: list[IsoCountry] = sorted(
    COUNTRIES, key=lambda each: (_place(each.code, _COUNTRIES_FIRST), each.code)
)
SEED_CATEGORIES = (
    Category(1, "Gift Cards", "gift-cards"),
    Category(2, "Mobile Top-up", "mobile-top-up"),
    Category(3, "Digital Services", "digital-services"),
)
SEED_SUBCATEGORIES = (
    Subcategory(101, 1, "Retail Gift Cards", "retail-gift-cards"),
    Subcategory(102, 1, "Entertainment Gift Cards", "entertainment-gift-cards"),
    Subcategory(103, 1, "E-commerce", "e-commerce"),
    Subcategory(104, 1, "Food & Dining", "food-and-dining"),
    Subcategory(105, 1, "Travel", "travel"),
    Subcategory(106, 1, "Fashion", "fashion"),
    Subcategory(107, 1, "Gaming", "gaming"),
    Subcategory(108, 1, "Prepaid Cards", "prepaid-cards"),
    Subcategory(201, 2, "Prepaid Mobile Credit", "prepaid-mobile-credit"),
    Subcategory(202, 2, "Mobile Data", "mobile-data"),
    Subcategory(301, 3, "Streaming", "streaming"),
    Subcategory(302, 3, "Software", "software"),
    Subcategory(303, 3, "Utility Recharges", "utility-recharges"),
)
