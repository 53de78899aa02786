"""`POST /products/{id}/charges`: what an order would cost, to the minor unit (spec.md §2, D11)."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Protocol, TypeAlias

import msgspec
from litestar import Request, Response, Router, post
from litestar.di import NamedDependency
from litestar.params import FromPath, SkipValidation

from rewards.catalog.catalog import Catalog
from rewards.catalog.model import (
    DeliveryTime,
    DenominationNotAvailable,
    PoolDepth,
    ProductNotFound,
    QuantityTooLarge,
    parse_quantity,
)
from rewards.clients.auth import SECURITY, principal_of, requires
from rewards.core.clock import Clock
from rewards.core.currency import exponent_of
from rewards.core.errors import InvalidField, Refusal
from rewards.core.money import amount_minor, read_json_amount, to_decimal
from rewards.infra.http import ID_MAX, decode, encode, path_id
from rewards.infra.openapi import answers, takes
from rewards.pricing.model import Charge, PricedClient
from rewards.pricing.service import Prices


class WalletsOf(Protocol):
    """Whose wallets hold which currency; the ledger answers."""

    async def currency_of(self, client_id: int, wallet_id: int) -> str:
        """Raises the ledger's 404 `Wallet not found`, also for somebody else's wallet (D13)."""
        ...

    async def currencies(self, client_id: int) -> Sequence[str]:
        """Of all wallets the client could pay from, the oldest wallet first."""
        ...


# Given by the composition root.
Pool: TypeAlias = NamedDependency[SkipValidation[PoolDepth]]
Wallets: TypeAlias = NamedDependency[SkipValidation[WalletsOf]]

DENOMINATION = {
    "description": "Face value of one voucher, in the product's currency; a number, or its text",
    "anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string"}],
    "examples": [25.00],
}
QUANTITY = {"description": "How many vouchers", "minimum": 1, "examples": [5]}
WALLET = {"description": "The wallet to pay from; chosen for you if not given"}


class ChargesBody(msgspec.Struct, forbid_unknown_fields=True):
    # Required; they have defaults so that the refusal can name the one that is missing.
    denomination: Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema=DENOMINATION)] = (
        msgspec.field(default_factory=msgspec.Raw)
    )
    quantity: Annotated[int | None, msgspec.Meta(extra_json_schema=QUANTITY)] = None
    wallet_id: Annotated[int | None, msgspec.Meta(extra_json_schema=WALLET)] = None


CHARGES_BODY = msgspec.json.Decoder(ChargesBody)


class ChargesDetails(msgspec.Struct):
    # The product's, and the wallet's.
    source_currency: str
    destination_currency: str
    # Units of destination for one of source; null within one currency.
    forex_rate: Decimal | None
    # In the destination currency; null within one currency.
    conversion_fee: Decimal | None


class ChargesAnswer(msgspec.Struct):
    """All amounts are in charges_details.destination_currency."""

    # Face value of the whole order.
    non_discounted_total: Decimal
    discount_amount: Decimal
    # Percent off.
    discount: Decimal
    # After the discount.
    total_amount: Decimal
    gst_amount: Decimal
    handling_fee_amount: Decimal
    # Discounted total and all fees, before tax.
    net_amount: Decimal
    # What an order would take from the wallet.
    total_payable: Decimal
    # The most one order may ask for.
    max_quantity: int
    # INSTANT: the pool covers the quantity now.
    delivery_time: DeliveryTime
    charges_details: ChargesDetails


@post(
    "/{product_id:str}/charges",
    status_code=200,
    operation_id="quoteCharges",
    summary="Calculate charges",
    operation_class=takes(ChargesBody, needs=("denomination", "quantity")),
    responses=answers(ChargesAnswer, 400, 401, 403, 404, 503, told="What the order would cost"),
)
async def quote_charges(
    request: Request[Any, Any, Any],
    product_id: FromPath[str],
    catalog: NamedDependency[Catalog],
    clock: NamedDependency[SkipValidation[Clock]],
    prices: NamedDependency[Prices],
    pool: Pool,
    wallets_of: Wallets,
) -> Response[bytes]:
    """What an order of this denomination and quantity costs now, step by step.

    Placing the order right after costs exactly this. Without `wallet_id` the price is in the
    product's currency if you have a wallet in it, else in that of a wallet of yours. An exchange
    rate that is out of date quotes nothing (`FX_RATE_STALE`). Nothing is reserved.
    """
    body = decode(CHARGES_BODY, await request.body())
    amount = read_json_amount("Denomination", bytes(body.denomination))
    quantity = parse_quantity(body.quantity)
    wallet_id = _wallet_id(body.wallet_id)
    principal = principal_of(request)
    product = catalog.offered(path_id(product_id, ProductNotFound), principal.client_id)
    if product is None:
        raise ProductNotFound
    minor = amount_minor("Denomination", amount, product.exponent)
    if not product.sells(minor):
        raise DenominationNotAvailable
    quantity_max = product.quantity_max(principal.max_quantity)
    if quantity > quantity_max:
        raise QuantityTooLarge(quantity_max)
    at = clock.now()
    if wallet_id is None:
        held = await wallets_of.currencies(principal.client_id)
        currency = paying_currency(prices, product.currency, held, at)
    else:
        currency = await wallets_of.currency_of(principal.client_id, wallet_id)
    client = PricedClient(principal.client_id, principal.conversion_fee_percent)
    quoted = prices.quote(product, minor, quantity, currency, client, at)
    if isinstance(quoted, Refusal):
        raise quoted
    time = await catalog.delivery_time(pool, product, minor, quantity)
    return encode(charges_answer(quoted, quantity_max, time))


def paying_currency(
    prices: Prices, product_currency: str, held: Sequence[str], at: datetime
) -> str:
    """The currency a quote without a wallet is in: the product's, unless only others are held;
    of those the first with a rate, and rather one whose rate is not out of date."""
    if product_currency in held:
        return product_currency
    found = [(each, fx) for each in held if (fx := prices.conversion(product_currency, each, at))]
    fresh = (each for each, fx in found if not fx.stale(at))
    return next(fresh, found[0][0] if found else product_currency)


def charges_answer(charge: Charge, quantity_max: int, delivery_time: DeliveryTime) -> ChargesAnswer:
    exponent = exponent_of(charge.destination_currency)
    converted = charge.forex_rate is not None
    return ChargesAnswer(
        to_decimal(charge.non_discounted_minor, exponent),
        to_decimal(charge.discount_minor, exponent),
        charge.discount_percent,
        to_decimal(charge.discounted_minor, exponent),
        to_decimal(charge.tax_minor, exponent),
        to_decimal(charge.handling_fee_minor, exponent),
        to_decimal(charge.net_minor, exponent),
        to_decimal(charge.payable_minor, exponent),
        quantity_max,
        delivery_time,
        ChargesDetails(
            charge.source_currency,
            charge.destination_currency,
            charge.forex_rate,
            to_decimal(charge.conversion_fee_minor, exponent) if converted else None,
        ),
    )


def _wallet_id(wallet_id: int | None) -> int | None:
    if wallet_id is not None:
        if wallet_id < 1:
            raise InvalidField("WalletId", "gt")
        if wallet_id > ID_MAX:
            raise InvalidField("WalletId", "max")
    return wallet_id


ROUTER = Router(
    path="/products",
    route_handlers=[quote_charges],
    guards=[requires("products:read")],
    security=SECURITY,
    tags=["Products"],
)
