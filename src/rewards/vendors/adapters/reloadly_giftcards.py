"""Reloadly gift cards: an order is taken under our identifier, its cards come from a second call.

The identifier is refused a second time only once the first order was taken; then it is read back
from the report. No e-mail address or phone number is given: the vendor would send the codes itself.
A card's number may be a link. The vendor tells no expiry. An order is delivered whole: a shorter
list of cards is one that is not complete yet.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from time import monotonic
from typing import Any
from uuid import UUID

from rewards.vendors.adapters.reloadly_host import CONFIG, RATES, SAFE, SECRETS, Reloadly
from rewards.vendors.adapters.reloadly_wire import (
    DONE,
    FAILED,
    RUNNING,
    book_line,
    cost_of,
    failed,
    hint,
    ref_of,
    refusal,
    sayable,
    within,
)
from rewards.vendors.amounts import NUMBERS, minor_of
from rewards.vendors.model import (
    Accepted,
    Balance,
    BookLine,
    Callback,
    Capabilities,
    Card,
    Delivered,
    Line,
    NotKnown,
    Offer,
    Outcome,
    Purchase,
    Reason,
    Refused,
    Unknown,
)
from rewards.vendors.outcome import making_sense, of_placing, of_reading
from rewards.vendors.port import AdapterKind, Field
from rewards.vendors.wire import Answer, Wire

REPORT = "/reports/transactions"


class ReloadlyGiftcards:
    """One account; orders are paid in its currency and priced in that of the card."""

    # How many cards an order may have is not published.
    capabilities = Capabilities(quantity_max=100, callbacks=True, book=True, expected_s=30)

    def __init__(
        self,
        config: Mapping[str, str],
        secrets: Mapping[str, str],
        wire: Wire,
        now: Callable[[], float] = monotonic,
    ) -> None:
        accept = "application/com.reloadly.giftcards-v1+json"
        self._host = Reloadly(config, secrets, wire, accept=accept, now=now)
        self._sender = config.get("sender_name") or SENDER.default

    def key(self, fresh: UUID) -> str:
        return str(fresh)

    async def place(self, key: str, line: Line) -> Outcome:
        return await of_placing(self._place(key, line))

    async def _place(self, key: str, line: Line) -> Outcome:
        amount = sayable(line)
        if amount is None:
            return Refused(Reason.VENDOR_CONFIG, "Reloadly has no such product or currency")
        product = await self._host.look(f"/products/{line.sku}")
        if isinstance(product, Refused):
            return product
        # An order names no currency: 25 would be 25 of whatever the product is sold in.
        if product.get("recipientCurrencyCode") != line.currency:
            return Refused(Reason.BAD_DENOMINATION, "the product has another currency")
        body = {
            "productId": int(line.sku),
            "quantity": line.quantity,
            "unitPrice": amount,
            "customIdentifier": key,
            "senderName": self._sender,
        }
        answer = await self._host.ask("place", "POST", "/orders", body=NUMBERS.encode(body))
        return _taken(key, answer.json()) if answer.status == 200 else refusal(answer)

    async def read(self, purchase: Purchase) -> Outcome:
        return await of_reading(self._read(purchase))

    async def _read(self, purchase: Purchase) -> Outcome:
        order: Any
        if purchase.vendor_ref is None:
            order = await self._host.find(REPORT, purchase.key)
            if order is None:
                return NotKnown()
        else:
            answer = await self._host.ask("read", "GET", f"{REPORT}/{purchase.vendor_ref}")
            if answer.status != 200:
                return Unknown(f"the vendor answers {answer.status}")
            order = answer.json()
        if isinstance(order, Unknown):
            return order
        taken = _taken(purchase.key, order)
        if not isinstance(taken, Accepted) or order["status"] in RUNNING:
            return taken
        path = f"/orders/transactions/{taken.vendor_ref}/cards"
        return _with_cards(taken, order["product"], await self._host.ask("cards", "GET", path))

    async def balances(self) -> Sequence[Balance]:
        return [await self._host.balance()]

    async def catalogue(self) -> AsyncIterator[Offer]:
        """What could not be ordered is left out: no exact value, or a currency nobody knows."""
        async for row in self._host.pages("catalogue", "/products", {}):
            with making_sense():
                offer = _offer(row)
            if offer is not None:
                yield offer

    def book(self, since: datetime, until: datetime) -> AsyncIterator[BookLine]:
        return self._host.book(REPORT, since, until, _book_line)

    def callback(self, headers: Mapping[str, str], body: bytes) -> Callback:
        return hint(self._host.webhook_secret, "giftcard_transaction.status", headers, body)


def _taken(key: str, order: Mapping[str, Any]) -> Outcome:
    """An order as it is told when placed and when read back."""
    if order["customIdentifier"] != key:
        return Unknown("this is another order")
    if order["status"] in FAILED:
        return failed(None, order["status"])
    if order["status"] not in RUNNING | {DONE}:
        return Unknown("a status without sense")
    return Accepted(ref_of(order), cost_of(order.get("amount"), order.get("currencyCode")))


def _book_line(row: Mapping[str, Any]) -> BookLine:
    cost = cost_of(row.get("amount"), row.get("currencyCode"))
    return book_line(row, int(row["product"]["quantity"]), cost)


def _with_cards(taken: Accepted, product: Mapping[str, Any], answer: Answer) -> Outcome:
    if answer.status == 404:
        return taken
    if answer.status != 200:
        return Unknown(f"the cards answer {answer.status}")
    listed = answer.json()
    # One card alone is documented without a list around it.
    listed = [listed] if isinstance(listed, dict) else listed
    if len(listed) < product["quantity"]:
        return taken
    currency = product["currencyCode"]
    face_minor = minor_of(product["unitPrice"], currency)
    cards = tuple(Card(_fields(card), None, face_minor, currency) for card in listed)
    return Delivered(cards, taken.vendor_ref, taken.cost)


def _fields(card: Mapping[str, Any]) -> dict[str, str]:
    number, pin, link = (_text(card.get(n)) for n in ("cardNumber", "pinCode", "redemptionUrl"))
    if number.lower().startswith("https://") and not link:
        number, link = "", number
    fields = {"card_number": number, "pin_code": pin, "claim_url": link}
    if not number and not link:
        raise ValueError("a card without a code")
    return {name: value for name, value in fields.items() if value}


def _text(value: object) -> str:
    """Numbers are documented where others write text."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError("neither text nor number")
    return str(value).strip()


def _offer(row: Mapping[str, Any]) -> Offer | None:
    sku, name, currency = str(row["productId"]), row["productName"], row["recipientCurrencyCode"]
    try:
        if row["denominationType"] == "RANGE":
            bounds = (row["minRecipientDenomination"], row["maxRecipientDenomination"])
            low, high = within(*bounds, currency)
            return Offer(sku, name, currency, low, high) if 0 < low <= high else None
        fixed = tuple(sorted({minor_of(value, currency) for value in _priced(row)}))
    except (KeyError, ValueError, TypeError, ArithmeticError):
        return None
    return Offer(sku, name, currency, fixed[0], fixed[-1], fixed) if fixed else None


def _priced(row: Mapping[str, Any]) -> list[Decimal]:
    """The values of a FIXED product that have a price: map of value to price, or list of such."""
    prices = row.get("fixedRecipientToSenderDenominationsMap") or {}
    listed = [prices] if isinstance(prices, dict) else prices
    return [Decimal(value) for one in listed for value, price in one.items() if price is not None]


SENDER = Field("sender_name", "who the vendor's receipt names as the giver", "Starship Rewards")
KIND = AdapterKind(
    name="reloadly_giftcards",
    build=ReloadlyGiftcards,
    config=(
        Field("base_url", "live or giftcards-sandbox", "https://giftcards.reloadly.com"),
        *CONFIG,
        SENDER,
    ),
    secrets=SECRETS,
    safe=SAFE
    | {
        *("productId", "productName", "quantity", "unitPrice", "totalPrice", "brandName"),
        *("recipientCurrencyCode", "minRecipientDenomination", "maxRecipientDenomination"),
        *("fixedRecipientDenominations", "fixedSenderDenominations", "transactionCreatedTime"),
    },
    rates=RATES,
    capabilities=ReloadlyGiftcards.capabilities,
)
