"""Prices in memory: rates and discounts, and the one function that turns them into a charge.

Audit rows of a change are the caller's to write, in the same transaction.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

import asyncpg

from rewards.catalog.model import Product, ProductNotFound
from rewards.clients.model import ClientNotFound
from rewards.core.currency import exponent_of
from rewards.core.errors import Refusal
from rewards.core.money import plain
from rewards.core.page import Page, PageAsk
from rewards.infra.changes import ChangeFeed, announce
from rewards.infra.db import Database, Tx
from rewards.infra.settings import Settings
from rewards.pricing import sql, sql_rates
from rewards.pricing.model import (
    CHANGES_TOPIC,
    EVERYTHING,
    AmountTooLarge,
    Charge,
    ClientDiscount,
    FxRateStale,
    NoFxRate,
    PriceTerms,
    charge,
    fits,
)
from rewards.pricing.model import PricedClient as PricedClient
from rewards.pricing.rates import Conversion, Rates
from rewards.pricing.rules import check_discount
from rewards.pricing.service_rates import ages_of
from rewards.pricing.service_rates import set_rates as set_rates


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One state of all prices; never changed, only replaced as a whole."""

    rates: Rates
    # By product, then by client.
    discounts: Mapping[int, Mapping[int, Decimal]]


class Prices:
    """Quotes without an await. The quote of a product's charges and an order are this one call."""

    def __init__(self, db: Database, feed: ChangeFeed, settings: Settings) -> None:
        """No rate and no discount until `load`."""
        self._db = db
        self._feed = feed
        self._default_percent = plain(settings.default_discount_percent)
        self._ages = ages_of(settings)
        self._snapshot = Snapshot(Rates([], self._ages), {})
        # One load at a time, so that an older one never replaces a newer one.
        self._loading = asyncio.Lock()
        feed.subscribe(CHANGES_TOPIC, self.refresh)

    async def load(self) -> None:
        """Read everything; the feed keeps it fresh. Raises Unavailable without a database."""
        # The feed must have looked once before we do, or a change in between would be missed.
        await self._feed.ensure_fresh()
        await self.refresh([EVERYTHING])

    async def refresh(self, product_ids: Sequence[int]) -> None:
        """Read the discounts of these products again; with EVERYTHING among them, all there is."""
        async with self._loading, self._db.connection() as connection:
            if EVERYTHING in product_ids:
                rates = Rates(await sql_rates.read_rates(connection), self._ages)
                self._snapshot = Snapshot(rates, await sql.read_discounts(connection))
            else:
                found = await sql.read_discounts(connection, product_ids)
                fresh = {key: found.get(key, {}) for key in product_ids}
                discounts = {**self._snapshot.discounts, **fresh}
                self._snapshot = replace(self._snapshot, discounts=discounts)

    def discount_percent(self, product: Product, client_id: int) -> Decimal:
        """The client's own, else the vendor's, else the default (D11)."""
        return _discount(self._snapshot, product, client_id, self._default_percent)

    def conversion(self, source: str, target: str, at: datetime) -> Conversion | None:
        """How one currency is paid in another one now; None where nobody has set a rate."""
        return self._snapshot.rates.between(source, target, at)

    def quote(
        self,
        product: Product,
        denomination_minor: int,
        quantity: int,
        wallet_currency: str,
        client: PricedClient,
        at: datetime,
    ) -> Charge | Refusal:
        """What `quantity` vouchers cost this client at this moment from a wallet of this currency
        (D11).

        `denomination_minor` is in the product's currency; that the product sells it, and that the
        client may buy so many, is the caller's to check. Refuses with NoFxRate, AmountTooLarge and
        FxRateStale.
        """
        snapshot = self._snapshot
        fx = None
        if wallet_currency != product.currency:
            fx = snapshot.rates.between(product.currency, wallet_currency, at)
            if fx is None:
                return NoFxRate(product.currency, wallet_currency)
        terms = PriceTerms(
            product.currency,
            product.exponent,
            wallet_currency,
            product.exponent if fx is None else exponent_of(wallet_currency),
            _discount(snapshot, product, client.client_id, self._default_percent),
            product.handling_fee_minor,
            product.tax_percent,
            client.conversion_fee_percent,
            *((None, None, None) if fx is None else (fx.rate, fx.origin, fx.quoted_at)),
        )
        quoted = charge(denomination_minor, quantity, terms)
        if not fits(quoted):
            return AmountTooLarge()
        return FxRateStale(quoted) if fx is not None and fx.stale(at) else quoted


def _discount(
    snapshot: Snapshot, product: Product, client_id: int, default_percent: Decimal
) -> Decimal:
    agreed = snapshot.discounts.get(product.id)
    if agreed is not None and (own := agreed.get(client_id)) is not None:
        return own
    vendors = product.vendor_discount_percent
    return default_percent if vendors is None else vendors


async def list_discounts(tx: Tx, product_id: int, ask: PageAsk) -> Page[ClientDiscount]:
    """What single clients get off this product, by client, a page of them."""
    found, total = await sql.list_discounts(tx, product_id, ask)
    return Page(found, ask, total)


async def discounts_of(tx: Tx, client_id: int, ask: PageAsk) -> Page[ClientDiscount]:
    """What this client of its own gets off products, by product, a page of them."""
    found, total = await sql.list_of_client(tx, client_id, ask)
    return Page(found, ask, total)


async def discount_of(tx: Tx, product_id: int, client_id: int) -> Decimal | None:
    """What this client of its own gets off this product; None where it gets the usual one."""
    return await sql.read_discount(tx, product_id, client_id)


async def set_discounts(tx: Tx, wanted: Sequence[ClientDiscount]) -> None:
    """Agree on a discount for each client and product, or (None) take it away.

    Raises InvalidField for a percentage outside 0 to 100 or finer than 4 decimals, ClientNotFound
    and ProductNotFound.
    """
    pairs = {(each.client_id, each.product_id) for each in wanted}
    assert len(pairs) == len(wanted), "each client and product once"
    for each in wanted:
        check_discount(each)
    try:
        await sql.write_discounts(tx, wanted)
    except asyncpg.ForeignKeyViolationError as missing:
        if missing.constraint_name == "client_discounts_client_fk":
            raise ClientNotFound from missing
        if missing.constraint_name == "client_discounts_product_fk":
            raise ProductNotFound from missing
        raise
    await announce(tx, CHANGES_TOPIC, [each.product_id for each in wanted])
