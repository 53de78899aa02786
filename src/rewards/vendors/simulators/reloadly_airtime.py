"""The server of Reloadly's airtime."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from aiohttp import web

from rewards.core.currency import exponent_of
from rewards.core.money import to_minor
from rewards.vendors.simulators.book import Sale, SimProduct, SoldCard, Vexed
from rewards.vendors.simulators.faults import REFUSED_NUMBER, Fault
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

DIGITS_MIN = 7
NOT_VALID = (400, "INVALID_AMOUNT_FOR_OPERATOR", "Amount is not valid for this operator")
DOWN = "The operator is currently unavailable or inactive"
REFUSALS: Mapping[Fault, tuple[int, str, str]] = {
    Fault.OUT_OF_STOCK: (503, "OPERATOR_UNAVAILABLE_OR_CURRENTLY_INACTIVE", DOWN),
    Fault.NO_BALANCE: (400, "INSUFFICIENT_BALANCE", "Insufficient funds in the wallet"),
    Fault.INACTIVE: (400, "OPERATOR_NOT_IN_SERVICE", "The operator is not in service"),
    Fault.WRONG_VALUE: NOT_VALID,
    Fault.PRICE_DRIFT: NOT_VALID,
}
PRODUCTS = (
    SimProduct("200", "Vodafone India", "USD", 100, 10_000, discount_percent=Decimal("4.42")),
    SimProduct("174", "Airtel India", "INR", 1_000, 500_000, discount_percent=Decimal(5)),
    SimProduct("535", "EE PIN", "USD", 500, 1_000, (500, 1_000)),
    *reserved(),
)
PINS = frozenset({"535"})


class ReloadlyAirtimeSimulator(ReloadlySimulator):
    """Products are operators, skus their numbers. `pins`: those who sell PINs.

    An operator in another currency than the account's takes local amounts.
    """

    product = "topups"
    event = "airtime_transaction.status"
    pins = PINS
    # Clients have seen the status wrapped; the documentation shows the transaction itself.
    wraps_status = True

    def own_routes(self) -> Mapping[tuple[str, str], tuple[str, Handler]]:
        return {
            ("GET", "/operators"): ("catalogue", self.catalogue),
            ("GET", "/operators/{sku}"): ("product", self.operator_by_id),
            ("POST", "/topups-async"): ("place", self.place),
            ("GET", "/topups/reports/transactions"): ("report", self.report),
            ("GET", "/topups/{number}/status"): ("read", self.read),
        }

    async def catalogue(self, request: web.Request) -> web.Response:
        return page([self._operator(p) for p in self.book.products.values()], request)

    async def operator_by_id(self, request: web.Request) -> web.Response:
        product = self.book.products.get(request.match_info["sku"])
        if product is None:
            return problem(request, 404, "OPERATOR_NOT_FOUND", "Operator not found")
        return shown(self._operator(product))

    async def place(self, request: web.Request) -> web.Response:
        asked = exact(await request.read())
        key, sku, phone = asked["customIdentifier"], asked["operatorId"], asked["recipientPhone"]
        if key in self.book.sales:
            message = "The customIdentifier has already been used"
            return problem(request, 400, "CUSTOM_IDENTIFIER_ALREADY_USED", message)
        if len(phone["number"]) < DIGITS_MIN or phone["countryCode"] != "IN":
            message = f"Recipient phone number {phone['number']} is not valid"
            return problem(request, 400, "INVALID_RECIPIENT_PHONE", message)
        product = self.book.products.get(str(sku))
        if product is not None and asked["useLocalAmount"] != self._local(product):
            return problem(request, *NOT_VALID)
        fault = self.fault(request, str(sku))
        if phone["number"].endswith(REFUSED_NUMBER):
            fault = Fault.LATE_FAILURE
        currency = product.currency if product else self.book.sender
        face_minor = to_minor(Decimal(asked["amount"]), exponent_of(currency))
        extra = {"number": phone["number"]}
        try:
            sold = (key, str(sku), -1 if face_minor is None else face_minor, 1)
            sale = self.book.sell(*sold, fault=fault, extra=extra)
        except Vexed as refused:
            return problem(request, *REFUSALS[refused.fault])
        self.tell(request, sale)
        return shown({"transactionId": number_of(sale)})

    async def read(self, request: web.Request) -> web.Response:
        sale = self.book.by_number(request.match_info["number"])
        if sale is None:
            return problem(request, 404, "TRANSACTION_NOT_FOUND", "Transaction not found")
        transaction = self.record(sale)
        if not self.wraps_status:
            return shown(transaction)
        code = None
        if transaction["status"] == "REFUNDED":
            refused = sale.extra["number"].endswith(REFUSED_NUMBER)
            code = "INVALID_RECIPIENT_PHONE" if refused else "TRANSACTION_FAILED_ON_OPERATOR"
        status = transaction["status"]
        return shown({"code": code, "message": None, "status": status, "transaction": transaction})

    def record(self, sale: Sale) -> dict[str, Any]:
        status = self.status(sale)
        product, sender = self.book.products[sale.sku], self.book.sender
        asked = self.book.price(product, sale.face_minor)
        cost = self.book.charged(product, sale.face_minor, 1)
        pin = sale.cards[0] if sale.cards and sale.sku in self.pins else None
        done = status == "SUCCESSFUL"
        return {
            "transactionId": number_of(sale),
            "status": status,
            "operatorTransactionId": f"{number_of(sale)}:OrderConfirmed" if done else None,
            "customIdentifier": sale.key,
            "recipientPhone": sale.extra["number"],
            "recipientEmail": None,
            "senderPhone": None,
            "countryCode": "IN",
            "operatorId": int(sale.sku),
            "operatorName": product.name,
            "discount": asked - cost,
            "discountCurrencyCode": sender,
            "requestedAmount": asked,
            "requestedAmountCurrencyCode": sender,
            "deliveredAmount": major(sale.face_minor, sale.currency),
            "deliveredAmountCurrencyCode": sale.currency,
            "transactionDate": stamp(sale.placed_at),
            "pinDetail": _pin(pin) if pin and done else None,
            "balanceInfo": {
                "oldBalance": major(self.book.balance_minor + sale.cost_minor, sender),
                "newBalance": major(self.book.balance_minor, sender),
                "cost": cost,
                "currencyCode": sender,
            },
        }

    def _local(self, product: SimProduct) -> bool:
        return product.currency != self.book.sender

    def _operator(self, product: SimProduct) -> dict[str, Any]:
        local = self._local(product)
        fixed = [major(value, product.currency) for value in product.fixed_minor]
        bounds = [
            None if fixed else major(value, product.currency)
            for value in (product.min_minor, product.max_minor)
        ]
        paid = [
            None if fixed else self.book.price(product, value)
            for value in (product.min_minor, product.max_minor)
        ]
        return {
            "id": int(product.sku),
            "operatorId": int(product.sku),
            "name": product.name,
            "bundle": False,
            "data": False,
            "pin": product.sku in self.pins,
            "supportsLocalAmounts": local,
            "denominationType": "FIXED" if fixed else "RANGE",
            "senderCurrencyCode": self.book.sender,
            "destinationCurrencyCode": product.currency,
            "minAmount": paid[0],
            "maxAmount": paid[1],
            "localMinAmount": bounds[0] if local else None,
            "localMaxAmount": bounds[1] if local else None,
            "fixedAmounts": [self.book.price(product, value) for value in product.fixed_minor],
            "localFixedAmounts": fixed if local else [],
            "country": {"isoName": "IN", "name": "India"},
            "status": "ACTIVE",
        }


def _pin(card: SoldCard) -> dict[str, Any]:
    dial = "DIAL *611"
    return {
        "serial": card.serial,
        "info1": dial,
        "info2": dial,
        "info3": dial,
        "value": None,
        "code": card.code,
        "ivr": "1-888-888-8888",
        "validity": "30 days",
    }
