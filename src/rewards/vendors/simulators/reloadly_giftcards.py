"""The server of Reloadly's gift cards."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from aiohttp import web

from rewards.core.currency import exponent_of
from rewards.core.money import to_minor
from rewards.vendors.simulators.book import Sale, SaleState, SimProduct, SoldCard, Vexed
from rewards.vendors.simulators.faults import Fault
from rewards.vendors.simulators.reloadly import (
    ReloadlySimulator,
    exact,
    major,
    number_of,
    page,
    problem,
    reserved,
    shown,
    stamp,
)
from rewards.vendors.simulators.serving import Handler

GONE = "The product was either not found or is no longer available, Please contact support"
REFUSALS: Mapping[Fault, tuple[str | None, str]] = {
    Fault.OUT_OF_STOCK: ("TEMPORARY_OUT_OF_STOCK", "Temporarily out of stock"),
    Fault.NO_BALANCE: ("INSUFFICIENT_BALANCE", "Insufficient funds in the wallet"),
    Fault.INACTIVE: (None, GONE),
    Fault.WRONG_VALUE: (None, "Invalid price. Please ensure you selected the right price."),
    Fault.PRICE_DRIFT: ("WRONG_PRODUCT_PRICE", "The price of the product changed"),
}
PRODUCTS = (
    SimProduct("25", "Amazon US", "USD", 2_500, 5_000, (2_500, 5_000)),
    SimProduct("31", "Visa any value", "USD", 100, 50_000),
    SimProduct("4", "Amazon Spain", "EUR", 500, 10_000, discount_percent=Decimal("7.5")),
    SimProduct("81", "Claimed by a link", "USD", 1_000, 1_000, (1_000,)),
    SimProduct("392", "Steam Japan", "JPY", 500, 5_000),
    *reserved(),
)
LINKS = frozenset({"81"})


class ReloadlyGiftcardsSimulator(ReloadlySimulator):
    """Skus are numbers. `links`: products whose card number is a link."""

    product = "giftcards"
    event = "giftcard_transaction.status"
    links = LINKS

    def own_routes(self) -> Mapping[tuple[str, str], tuple[str, Handler]]:
        return {
            ("GET", "/products"): ("catalogue", self.catalogue),
            ("GET", "/products/{sku}"): ("product", self.product_by_id),
            ("POST", "/orders"): ("place", self.place),
            ("GET", "/orders/transactions/{number}/cards"): ("cards", self.cards),
            ("GET", "/reports/transactions"): ("report", self.report),
            ("GET", "/reports/transactions/{number}"): ("read", self.read),
        }

    async def catalogue(self, request: web.Request) -> web.Response:
        """What is out of stock is not there at all."""
        listed = [self._product(p) for p in self.book.products.values() if p.stock != 0]
        return page(listed, request)

    async def product_by_id(self, request: web.Request) -> web.Response:
        product = self.book.products.get(request.match_info["sku"])
        if product is None or product.stock == 0:
            return problem(request, 400, None, GONE)
        return shown(self._product(product))

    async def place(self, request: web.Request) -> web.Response:
        asked = exact(await request.read())
        key, sku = asked["customIdentifier"], str(asked["productId"])
        if key in self.book.sales:
            message = "The customIdentifier has already been used"
            return problem(request, 400, "CUSTOM_IDENTIFIER_ALREADY_USED", message)
        fault = self.fault(request, sku)
        product = self.book.products.get(sku)
        face_minor = -1
        if product is not None:
            minor = to_minor(Decimal(asked["unitPrice"]), exponent_of(product.currency))
            face_minor = -1 if minor is None else minor
        try:
            sale = self.book.sell(key, sku, face_minor, asked["quantity"], fault=fault)
        except Vexed as refused:
            return problem(request, 400, *REFUSALS[refused.fault])
        self.tell(request, sale)
        return shown(self.record(sale))

    async def cards(self, request: web.Request) -> web.Response:
        sale = self.book.by_number(request.match_info["number"])
        if sale is None or sale.state(self.book.clock.now()) not in (
            SaleState.DONE,
            SaleState.PARTIAL,
        ):
            return problem(request, 404, None, "Invalid transaction id")
        return shown([self._card(sale, card) for card in sale.cards])

    async def read(self, request: web.Request) -> web.Response:
        sale = self.book.by_number(request.match_info["number"])
        if sale is None:
            return problem(request, 404, "TRANSACTION_NOT_FOUND", "Transaction not found")
        return shown(self.record(sale))

    def _card(self, sale: Sale, card: SoldCard) -> dict[str, str]:
        if sale.sku in self.links:
            return {"cardNumber": f"https://cards.example/{card.code}", "pinCode": card.pin}
        return {"cardNumber": card.code, "pinCode": card.pin}

    def record(self, sale: Sale) -> dict[str, Any]:
        product = self.book.products[sale.sku]
        face_minor = sale.cards[0].face_minor if sale.cards else sale.face_minor
        unit = major(face_minor, sale.currency)
        return {
            "transactionId": number_of(sale),
            "amount": self.book.charged(product, sale.face_minor, sale.quantity),
            "discount": Decimal(0),
            "currencyCode": self.book.sender,
            "fee": Decimal(0),
            "smsFee": Decimal(0),
            "recipientEmail": None,
            "recipientPhone": None,
            "customIdentifier": sale.key,
            "status": self.status(sale),
            "transactionCreatedTime": stamp(sale.placed_at),
            "product": {
                "productId": int(sale.sku),
                "productName": product.name,
                "countryCode": "US",
                "quantity": sale.quantity,
                "unitPrice": unit,
                "totalPrice": unit * sale.quantity,
                "currencyCode": sale.currency,
                "brand": {"brandId": 1, "brandName": product.name},
            },
        }

    def _product(self, product: SimProduct) -> dict[str, Any]:
        fixed = [major(value, product.currency) for value in product.fixed_minor]
        prices = [self.book.price(product, value) for value in product.fixed_minor]
        bounds = (product.min_minor, product.max_minor)
        low, high = (None if fixed else major(value, product.currency) for value in bounds)
        paid = (None if fixed else self.book.price(product, value) for value in bounds)
        return {
            "productId": int(product.sku),
            "productName": product.name,
            "global": False,
            "senderFee": Decimal(0),
            "discountPercentage": product.discount_percent,
            "denominationType": "FIXED" if fixed else "RANGE",
            "recipientCurrencyCode": product.currency,
            "minRecipientDenomination": low,
            "maxRecipientDenomination": high,
            "senderCurrencyCode": self.book.sender,
            **dict(zip(("minSenderDenomination", "maxSenderDenomination"), paid, strict=True)),
            "fixedRecipientDenominations": fixed,
            "fixedSenderDenominations": prices,
            "fixedRecipientToSenderDenominationsMap": (
                {str(value): price for value, price in zip(fixed, prices, strict=True)} or None
            ),
            "logoUrls": [],
            "brand": {"brandId": 1, "brandName": product.name},
            "country": {"isoName": "US", "name": "United States"},
            "redeemInstruction": {"concise": "", "verbose": ""},
        }
