"""Every statement on currencies, countries, categories and sub-categories."""

from collections.abc import Sequence

from rewards.catalog.countries import IsoCountry
from rewards.catalog.model import Category, Country, Currency, Subcategory
from rewards.core.currency import IsoCurrency
from rewards.infra.db import Tx, rows_affected

READ_CURRENCIES = "SELECT id, code, name, symbol, exponent, active FROM currencies ORDER BY id"
READ_COUNTRIES = "SELECT id, code, name, currency, active FROM countries ORDER BY id"
READ_CATEGORIES = "SELECT id, name, slug, active FROM categories ORDER BY id"
READ_SUBCATEGORIES = "SELECT id, category_id, name, slug, active FROM subcategories ORDER BY id"


async def read_currencies(tx: Tx) -> list[Currency]:
    return [Currency(*row) for row in await tx.fetch(READ_CURRENCIES)]


async def read_countries(tx: Tx) -> list[Country]:
    return [Country(*row) for row in await tx.fetch(READ_COUNTRIES)]


async def read_categories(tx: Tx) -> list[Category]:
    return [Category(*row) for row in await tx.fetch(READ_CATEGORIES)]


async def read_subcategories(tx: Tx) -> list[Subcategory]:
    return [Subcategory(*row) for row in await tx.fetch(READ_SUBCATEGORIES)]


# What is there already stays as staff left it. Rows are numbered in the order given.
ADD_CURRENCIES = """
INSERT INTO currencies (code, name, symbol, exponent)
SELECT code, name, symbol, exponent
FROM unnest($1::text[], $2::text[], $3::text[], $4::smallint[])
    WITH ORDINALITY AS ask (code, name, symbol, exponent, turn)
WHERE NOT EXISTS (SELECT FROM currencies AS c WHERE c.code = ask.code)
ORDER BY turn
ON CONFLICT (code) DO NOTHING
"""
ADD_COUNTRIES = """
INSERT INTO countries (code, name, currency)
SELECT code, name, currency
FROM unnest($1::text[], $2::text[], $3::text[])
    WITH ORDINALITY AS ask (code, name, currency, turn)
WHERE NOT EXISTS (SELECT FROM countries AS c WHERE c.code = ask.code)
ORDER BY turn
ON CONFLICT (code) DO NOTHING
"""
ADD_CATEGORIES = """
INSERT INTO categories (id, name, slug)
SELECT * FROM unnest($1::int[], $2::text[], $3::text[])
ON CONFLICT DO NOTHING
"""
ADD_SUBCATEGORIES = """
INSERT INTO subcategories (id, category_id, name, slug)
SELECT * FROM unnest($1::int[], $2::int[], $3::text[], $4::text[]) AS ask (id, category_id)
WHERE EXISTS (SELECT FROM categories AS c WHERE c.id = ask.category_id)
ON CONFLICT DO NOTHING
"""
# The ids above were chosen; whoever adds a row later gets one behind them.
MOVE_IDS = """
SELECT setval('categories_id_seq', (SELECT max(id) FROM categories)),
       setval('subcategories_id_seq', (SELECT max(id) FROM subcategories))
"""


async def add_currencies(tx: Tx, currencies: Sequence[IsoCurrency]) -> int:
    """Add those that are missing; how many."""
    return rows_affected(
        await tx.execute(
            ADD_CURRENCIES,
            [each.code for each in currencies],
            [each.name for each in currencies],
            [each.symbol for each in currencies],
            [each.exponent for each in currencies],
        )
    )


async def add_countries(tx: Tx, countries: Sequence[IsoCountry]) -> int:
    """Add those that are missing; how many."""
    return rows_affected(
        await tx.execute(
            ADD_COUNTRIES,
            [each.code for each in countries],
            [each.name for each in countries],
            [each.currency for each in countries],
        )
    )


async def add_categories(
    tx: Tx, categories: Sequence[Category], subcategories: Sequence[Subcategory]
) -> int:
    """Add those whose id, name and slug are all free; how many."""
    added = await tx.execute(
        ADD_CATEGORIES,
        [each.id for each in categories],
        [each.name for each in categories],
        [each.slug for each in categories],
    )
    added_within = await tx.execute(
        ADD_SUBCATEGORIES,
        [each.id for each in subcategories],
        [each.category_id for each in subcategories],
        [each.name for each in subcategories],
        [each.slug for each in subcategories],
    )
    count = rows_affected(added) + rows_affected(added_within)
    if count:
        await tx.execute(MOVE_IDS)
    return count


# The adder's lock (sql.lock_product_ids) lets one of two who add the same see the other.
ADD_CATEGORY = """
INSERT INTO categories (name, slug) VALUES ($1, $2)
ON CONFLICT DO NOTHING RETURNING id, name, slug, active
"""
ADD_SUBCATEGORY = """
INSERT INTO subcategories (category_id, name, slug) VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING RETURNING id, category_id, name, slug, active
"""


async def add_category(tx: Tx, name: str, slug: str) -> Category | None:
    """None where its name or slug is taken."""
    row = await tx.fetchrow(ADD_CATEGORY, name, slug)
    return Category(*row) if row else None


async def add_subcategory(tx: Tx, category_id: int, name: str, slug: str) -> Subcategory | None:
    """None where its slug is taken, in whichever category."""
    row = await tx.fetchrow(ADD_SUBCATEGORY, category_id, name, slug)
    return Subcategory(*row) if row else None
