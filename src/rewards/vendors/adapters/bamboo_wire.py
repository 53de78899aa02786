"""What Bamboo's answers mean; pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, time
from typing import Any
from uuid import UUID

import msgspec

from rewards.core.currency import CURRENCIES
from rewards.vendors.amounts import minor_of
from rewards.vendors.model import (
    Accepted,
    Callback,
    CallbackRefused,
    Card,
    Cost,
    Delivered,
    Line,
    NotKnown,
    Offer,
    Outcome,
    Reason,
    Refused,
    Unknown,
)
from rewards.vendors.wire import Answer, NoAnswer

DUPLICATE = "OrderAlreadyExists"
NO_ORDER = "OrderNotFound"
SOLD = "Sold"
REASONS: Mapping[str, Reason] = {
    "WrongAccount": Reason.VENDOR_CONFIG,
    "InsufficientBalance": Reason.INSUFFICIENT_VENDOR_BALANCE,
    "InvalidProductIds": Reason.PRODUCT_INACTIVE,
    "InvalidProduct": Reason.PRODUCT_INACTIVE,
    "InvalidDenomination": Reason.BAD_DENOMINATION,
    "NoProducts": Reason.VENDOR_CONFIG,
    "ClientCatalogNotExist": Reason.VENDOR_CONFIG,
    "CardsLimitExceeded": Reason.LIMIT_EXCEEDED,
    "ProductIsOutOfStock": Reason.OUT_OF_STOCK,
    "ClientPriceInvalid": Reason.PRICE_CHANGED,
    "UserNotEnabled": Reason.BAD_CREDENTIALS,
}
# Why a whole order can fail after it was accepted; all else would be about us, not about it.
_OF_AN_ORDER = frozenset(
    {
        Reason.INSUFFICIENT_VENDOR_BALANCE,
        Reason.PRODUCT_INACTIVE,
        Reason.BAD_DENOMINATION,
        Reason.LIMIT_EXCEEDED,
        Reason.OUT_OF_STOCK,
        Reason.PRICE_CHANGED,
    }
)
RUNNING = frozenset({"Created", "Processing", "Pending"})
_SECONDS = re.compile(r"([0-9]{1,5})\s*s", re.IGNORECASE | re.ASCII)


def placed(key: str, answer: Answer) -> Outcome:
    """Bamboo takes an order with its RequestId as a bare JSON string."""
    denied = _denied(answer)
    if denied is not None:
        return denied
    if answer.status == 400:
        word = _word(answer)
        if word in REASONS:
            return Refused(REASONS[word], word)
        return Unknown(
            "the key is known already" if word == DUPLICATE else "refused for no known reason"
        )
    if answer.status != 200 or not _same(answer.json(), key):
        return Unknown("no RequestId of ours came back")
    return Accepted()


def order(key: str, line: Line, answer: Answer) -> Outcome:
    """How far an order is. What contradicts itself is Unknown, and is asked for again."""
    denied = _denied(answer)
    if denied is not None:
        return denied
    if answer.status in (400, 404) and _word(answer) == NO_ORDER:
        return NotKnown()
    content = answer.json()
    if answer.status != 200 or not _same(content["requestId"], key):
        return Unknown(f"an answer about no order of ours ({answer.status})")
    status, ref = content["status"], str(content["orderId"])
    if status in RUNNING:
        return Accepted(ref, _cost(content))
    cards = tuple(
        _card(item, card)
        for item in content["items"]
        for card in item["cards"] or ()
        if card["status"] == SOLD
    )
    foreign = any(str(item["productId"]) != line.sku for item in content["items"])
    # One public client knows this word, and nobody says whether it is an end.
    if status == "Processed" and len(cards) < line.quantity:
        return Accepted(ref, _cost(content))
    if status == "Failed" and not cards:
        return _failed(content.get("errorMessage"))
    if foreign or not cards or (status != "PartialFailed" and len(cards) < line.quantity):
        return Unknown("the order contradicts itself")
    if status not in ("Succeeded", "Processed", "PartialFailed"):
        return Unknown("a status without sense")
    return Delivered(cards, ref, _cost(content))


def _denied(answer: Answer) -> Refused | None:
    """What Bamboo answers before it looks at anything: nothing was placed."""
    if answer.status == 429:
        return Refused(Reason.THROTTLED, "asked too often", _wait_s(answer))
    if answer.status == 401:
        return Refused(Reason.BAD_CREDENTIALS, "the client id or secret is not right")
    if answer.status == 403:
        return Refused(Reason.IP_NOT_ALLOWED, "no access, as for an address not on the list")
    return None


def _wait_s(answer: Answer) -> float | None:
    """Told by the header, or in words in the body."""
    if answer.retry_after_s is not None:
        return answer.retry_after_s
    told = _SECONDS.search(answer.body[:1_000].decode(errors="replace"))
    return float(told[1]) if told else None


def _word(answer: Answer) -> str:
    """The reason code of a refusal, "" when there is none."""
    try:
        content = answer.json()
    except NoAnswer:
        return ""
    word = content.get("message") if isinstance(content, dict) else None
    return word if isinstance(word, str) else ""


def _same(told: object, key: str) -> bool:
    return isinstance(told, str) and told.lower() == key


def _failed(message: object) -> Refused:
    word = message if isinstance(message, str) else ""
    reason = REASONS.get(word, Reason.OTHER)
    if reason in _OF_AN_ORDER:
        return Refused(reason, word)
    return Refused(Reason.OTHER, "the vendor could not deliver")


def _cost(content: Mapping[str, Any]) -> Cost | None:
    """The total; None when it has more decimals than its currency: codes do not wait for that."""
    try:
        return Cost(minor_of(content["total"], content["currency"]), content["currency"])
    except (TypeError, ValueError, LookupError):
        return None


def _card(item: Mapping[str, Any], card: Mapping[str, Any]) -> Card:
    fields = {
        "card_number": card["cardCode"],
        "pin_code": card["pin"],
        "voucher_reference_number": card["serialNumber"],
    }
    if not fields["card_number"]:
        raise ValueError("a card that is sold has a code")
    currency = item["currencyCode"]
    return Card(
        {name: str(value) for name, value in fields.items() if value not in (None, "")},
        _expiry(card["expirationDate"]),
        minor_of(item["productFaceValue"], currency),
        currency,
    )


def _expiry(told: str | None) -> datetime | None:
    """A day lasts to its end, in UTC for want of a better word; a moment is that moment."""
    if not told:
        return None
    at = datetime.fromisoformat(told)
    if at.tzinfo is not None:
        return at.astimezone(UTC)
    if at.time() == time():
        at = datetime.combine(at.date(), time(23, 59, 59))
    return at.replace(tzinfo=UTC)


def offers(brand: Mapping[str, Any]) -> list[Offer]:
    """What the catalogue lists under one brand, in a currency we can hold."""
    if brand["currencyCode"] not in CURRENCIES:
        return []
    return [_offer(product, brand["currencyCode"]) for product in brand["products"]]


def _offer(product: Mapping[str, Any], currency: str) -> Offer:
    low, high = (minor_of(product[name], currency) for name in ("minFaceValue", "maxFaceValue"))
    return Offer(
        *(str(product["id"]), str(product["name"]), currency, low, high),
        fixed_minor=(low,) if low == high else (),
        # null: not limited, or not told.
        stock=None if product["count"] is None else int(product["count"]),
    )


def json_object(body: bytes) -> dict[str, Any]:
    """A callback's body. Raises CallbackRefused."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise CallbackRefused("not a JSON object") from None


def event_data(body: bytes) -> dict[str, Any]:
    """What a Svix message speaks of; events about products speak of no order."""
    data = json_object(body).get("data")
    return data if isinstance(data, dict) else {}


def hint(content: Mapping[str, Any], message_id: str | None = None) -> Callback:
    try:
        key = str(UUID(str(content["requestId"])))
    except (KeyError, ValueError):
        key = None
    ref = content.get("orderId")
    return Callback(key, str(ref) if isinstance(ref, str | int) else None, message_id)
