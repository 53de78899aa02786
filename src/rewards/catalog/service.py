"""What staff and the sandbox do to the catalogue; every process sees it within a second.

Audit rows are the caller's to write, in the same transaction.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

import asyncpg

from rewards.catalog import reference, sql, sql_reference
from rewards.catalog.catalog import Catalog as Catalog
from rewards.catalog.model import (
    CHANGES_TOPIC,
    EVERYTHING,
    Category,
    CategoryNotFound,
    CategoryTaken,
    Denomination,
    NewCategory,
    NewProduct,
    Product,
    ProductChange,
    ProductFields,
    ProductIdTaken,
    ProductNotFound,
    Subcategory,
    Visibility,
    Wording,
)
from rewards.catalog.rules import check_denominations, check_product, slug_of
from rewards.core.errors import InvalidField, Refusal
from rewards.infra.changes import announce
from rewards.infra.db import Tx

# What the database says does not exist, by the constraint that says so.
_MISSING = {
    "products_category_fk": "Category",
    "products_subcategory_fk": "Subcategory",
    "products_country_fk": "Country",
    "products_currency_fk": "Currency",
}
_CHANGEABLE = frozenset(ProductFields.__annotations__)


async def add_products(tx: Tx, new: Sequence[NewProduct], at: datetime) -> list[int]:
    """Add products with their first wording and denominations; their ids, in order.

    Raises InvalidField for a value no product may have (`Invalid Category: exists` where reference
    data is missing) and ProductIdTaken for an explicit id in use.
    """
    ranges = []
    for each in new:
        check_product(each)
        ranges.append(check_denominations(each.denominations))
    await sql.lock_product_ids(tx)
    product_ids = await _ids(tx, new)
    facts = dict(zip(product_ids, new, strict=True))
    revisions = await sql.insert_wordings(tx, facts, at)
    rows = [sql.ProductRow(key, revisions[key], each) for key, each in facts.items()]
    with _reference_exists():
        await sql.insert_products(tx, rows, at)
    await sql.replace_denominations(tx, dict(zip(product_ids, ranges, strict=True)))
    await announce(tx, CHANGES_TOPIC, product_ids)
    return product_ids


async def _ids(tx: Tx, new: Sequence[NewProduct]) -> list[int]:
    chosen = [each.id for each in new if each.id is not None]
    if any(product_id < 1 for product_id in chosen):
        raise InvalidField("Id", "min")
    taken = await sql.find_products(tx, chosen)
    if taken or len(set(chosen)) != len(chosen):
        raise ProductIdTaken
    if chosen:
        await sql.move_product_ids(tx, max(chosen))
    drawn = iter(await sql.next_product_ids(tx, len(new) - len(chosen)))
    return [next(drawn) if each.id is None else each.id for each in new]


async def existing(tx: Tx, product_ids: Sequence[int]) -> set[int]:
    """Those of these ids that are products, whatever their state."""
    return await sql.find_products(tx, product_ids)


async def change_products(tx: Tx, changes: Sequence[ProductChange], at: datetime) -> list[Product]:
    """Set the named fields of each product; the products as they are then, in order.

    Other words (name, description, terms, redemption) make a new revision: orders keep those they
    were sold under. Raises ProductNotFound, and InvalidField as `add_products` does.
    """
    found = await sql.lock_products(tx, _distinct([each.product_id for each in changes]))
    changed = {}
    for each in changes:
        before = found.get(each.product_id)
        if before is None:
            raise ProductNotFound
        assert each.fields.keys() <= _CHANGEABLE, "no other field may change"
        after = replace(before, **each.fields)
        check_product(after)
        changed[after.id] = after
    reworded = {key: after for key, after in changed.items() if after.wording != found[key].wording}
    revisions = await sql.insert_wordings(tx, reworded, at)
    rows = [
        sql.ProductRow(key, revisions.get(key, after.revision_id), after)
        for key, after in changed.items()
    ]
    with _reference_exists():
        await sql.update_products(tx, rows)
    await announce(tx, CHANGES_TOPIC, list(changed))
    written = {each.id: each for each in await sql.read_products(tx, list(changed))}
    return [written[each.product_id] for each in changes]


async def set_denominations(tx: Tx, wanted: Mapping[int, Sequence[Denomination]]) -> None:
    """Give each product (by id) these denominations and no others.

    Raises ProductNotFound, and InvalidField for values `check_denominations` refuses. Stock of a
    value that is sold no more stays on the shelf.
    """
    ordered = {key: check_denominations(ranges) for key, ranges in wanted.items()}
    found = await sql.lock_products(tx, _distinct(list(wanted)))
    if len(found) != len(wanted):
        raise ProductNotFound
    await sql.replace_denominations(tx, ordered)
    await announce(tx, CHANGES_TOPIC, list(wanted))


async def set_visibility(tx: Tx, wanted: Sequence[Visibility]) -> None:
    """Show products to single clients, hide them, or (None) go back to the product's default.

    Raises ProductNotFound.
    """
    product_ids = _distinct(sorted({each.product_id for each in wanted}))
    pairs = {(each.client_id, each.product_id) for each in wanted}
    assert len(pairs) == len(wanted), "each client and product once"
    if len(await sql.lock_products(tx, product_ids)) != len(product_ids):
        raise ProductNotFound
    await sql.write_visibility(tx, wanted)
    await announce(tx, CHANGES_TOPIC, product_ids)


async def add_categories(
    tx: Tx, new: Sequence[NewCategory]
) -> list[Category | Subcategory | Refusal]:
    """Add categories and sub-categories; what was made of each, in order.

    Refused: an unknown category to be in, and a name that one has already. Raises InvalidField for
    a name that none may have.
    """
    slugs = [slug_of(each.name) for each in new]
    await sql.lock_product_ids(tx)
    known = {each.id for each in await sql_reference.read_categories(tx)}
    answers: list[Category | Subcategory | Refusal] = []
    for each, slug in zip(new, slugs, strict=True):
        made: Category | Subcategory | None
        if each.category_id is None:
            made = await sql_reference.add_category(tx, each.name.strip(), slug)
        elif each.category_id not in known:
            answers.append(CategoryNotFound())
            continue
        else:
            name = each.name.strip()
            made = await sql_reference.add_subcategory(tx, each.category_id, name, slug)
        answers.append(made or CategoryTaken())
    await announce(tx, CHANGES_TOPIC, [EVERYTHING])
    return answers


async def seed_reference(tx: Tx) -> None:
    """Currencies, countries and categories as every installation begins; adds only what is missing.

    Run it as often as you like: what is there stays as it is.
    """
    await sql.lock_product_ids(tx)
    added = await sql_reference.add_currencies(tx, reference.SEED_CURRENCIES)
    added += await sql_reference.add_countries(tx, reference.SEED_COUNTRIES)
    added += await sql_reference.add_categories(
        tx, reference.SEED_CATEGORIES, reference.SEED_SUBCATEGORIES
    )
    if added:
        await announce(tx, CHANGES_TOPIC, [EVERYTHING])


async def wordings(tx: Tx, revision_ids: Sequence[int]) -> list[Wording | None]:
    """The words of each revision, in order; None where there is none."""
    found = {each.revision_id: each for each in await sql.read_wordings(tx, revision_ids)}
    return [found.get(revision_id) for revision_id in revision_ids]


def _distinct(product_ids: Sequence[int]) -> list[int]:
    assert len(set(product_ids)) == len(product_ids), "each product once"
    return list(product_ids)


@contextmanager
def _reference_exists() -> Iterator[None]:
    try:
        yield
    except asyncpg.ForeignKeyViolationError as missing:
        label = _MISSING.get(missing.constraint_name or "")
        if label is None:
            raise
        raise InvalidField(label, "exists") from missing
