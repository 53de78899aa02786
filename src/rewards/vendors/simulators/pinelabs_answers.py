"""How the simulated Woohoo writes amounts, currencies and errors, and the codes it knows."""

from decimal import Decimal, InvalidOperation
from typing import Any

from aiohttp import web

from rewards.core.currency import CURRENCIES
from rewards.core.currency_number import NUMBERS
from rewards.core.money import to_decimal, to_minor
from rewards.vendors.simulators.book import SaleState
from rewards.vendors.simulators.faults import Fault

PAGE_MAX = 500
# By code: what is said. The fault that stock or money meets, and its code.
MESSAGES = {
    400: "Decoding error.",
    1303: "Invalid product SKU",
    5036: "Payment amount is not matching",
    5035: "Payment is not available",
    5311: "Invalid delivery mode",
    5312: "Default billing address is not configured",
    5313: "Duplicate reference number provided",
    5310: "The SKU is not available",
    5316: "Currency is not supported",
    5318: "Denomination is not available",
    5320: "Order not available",
    5329: "Invalid ref no",
    6015: "Order created, but the velocity limit is reached",
    6063: "Insufficient balance",
    6652: "Invalid Category",
    11159: "Requested order quantity exceeds the maximum",
    11429: "The order number is archived",
}
CODES = {
    Fault.OUT_OF_STOCK: 5318,  # The vendor has no other word for it.
    Fault.NO_BALANCE: 6063,
    Fault.WRONG_VALUE: 5318,
    Fault.INACTIVE: 5310,
    Fault.PRICE_DRIFT: 5036,
}
STATUSES = {
    SaleState.RUNNING: "PROCESSING",
    SaleState.DONE: "COMPLETE",
    SaleState.PARTIAL: "COMPLETE",
    SaleState.FAILED: "CANCELED",
}


def error_of(code: int) -> web.Response:
    body = {"message": MESSAGES[code], "code": code, "messages": [], "additionalTxnFields": []}
    return web.json_response(body, status=400)


def currency_of(code: str) -> dict[str, str]:
    number, symbol = f"{NUMBERS[code]:03d}", CURRENCIES[code].symbol
    return {"code": code, "numericCode": number, "symbol": symbol}


def shown(minor: int, currency: str) -> str:
    return str(to_decimal(minor, CURRENCIES[currency].exponent))


def minor_of(amount: Any, currency: str) -> int | None:
    try:
        return to_minor(Decimal(str(amount)), CURRENCIES[currency].exponent)
    except InvalidOperation:
        return None


def page_of(request: web.Request) -> tuple[int, int]:
    offset, limit = request.query.get("offset", "0"), request.query.get("limit", "100")
    return int(offset), max(min(int(limit), PAGE_MAX), 1)
