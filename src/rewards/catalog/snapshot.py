"""The whole catalogue at one moment, as one immutable value."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rewards.catalog.model import Category, Country, Currency, Product, Subcategory


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One state of the catalogue; never changed, only replaced as a whole."""

    products: Mapping[int, Product]
    # Ascending by id.
    listed: tuple[Product, ...]
    currencies: Mapping[str, Currency]
    countries: Mapping[str, Country]
    categories: Mapping[int, Category]
    subcategories: Mapping[int, Subcategory]

    @classmethod
    def of(
        cls,
        products: Iterable[Product],
        currencies: Mapping[str, Currency],
        countries: Mapping[str, Country],
        categories: Mapping[int, Category],
        subcategories: Mapping[int, Subcategory],
    ) -> "Snapshot":
        listed = tuple(sorted(products, key=lambda each: each.id))
        by_id = {each.id: each for each in listed}
        return cls(by_id, listed, currencies, countries, categories, subcategories)

    def with_products(self, changed: Iterable[Product]) -> "Snapshot":
        """The same, but for these products."""
        by_id = {**self.products, **{each.id: each for each in changed}}
        return Snapshot.of(
            by_id.values(), self.currencies, self.countries, self.categories, self.subcategories
        )
