"""What the answers and callbacks of Reloadly mean, for gift cards and airtime; pure.

Paths and shapes are those of the vendor's own documentation. Seen only in what clients of it do:
most error codes, the `customIdentifier` filter of the gift card report, the layout of a callback.
Its call limits are not published.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from rewards.core.currency import CURRENCIES, exponent_of
from rewards.core.money import round_half_up, to_minor
from rewards.vendors.amounts import decimal_of
from rewards.vendors.model import (
    BookLine,
    Callback,
    CallbackRefused,
    Cost,
    Line,
    Outcome,
    Reason,
    Refused,
    SaleState,
    Unknown,
)
from rewards.vendors.wire import Answer

# The vendor leaves a number alone for two minutes after a recharge.
RECENT_S = 120.0
# Amounts charged have up to five decimals, whatever the currency has.
FINE = 12

RUNNING = frozenset({"PENDING", "PROCESSING"})
FAILED = frozenset({"FAILED", "REFUNDED"})
DONE = "SUCCESSFUL"
RECENT = "PHONE_RECENTLY_RECHARGED"
# Said before anything is tried. Codes that speak of an attempt are not here, nor is the one for an
# identifier that was used (CUSTOM_IDENTIFIER_ALREADY_USED): those are read back.
REASONS: Mapping[str, Reason] = {
    "INSUFFICIENT_BALANCE": Reason.INSUFFICIENT_VENDOR_BALANCE,
    "INSUFFICIENT_WALLET_BALANCE": Reason.INSUFFICIENT_VENDOR_BALANCE,
    "TEMPORARY_OUT_OF_STOCK": Reason.OUT_OF_STOCK,
    "PRODUCT_NOT_FOUND": Reason.PRODUCT_INACTIVE,
    "INVALID_PRODUCT": Reason.PRODUCT_INACTIVE,
    "OPERATOR_NOT_FOUND": Reason.PRODUCT_INACTIVE,
    "OPERATOR_NOT_IN_SERVICE": Reason.PRODUCT_INACTIVE,
    "OPERATOR_UNAVAILABLE_OR_CURRENTLY_INACTIVE": Reason.PRODUCT_INACTIVE,
    "COUNTRY_NOT_SUPPORTED": Reason.PRODUCT_INACTIVE,
    "WRONG_PRODUCT_PRICE": Reason.BAD_DENOMINATION,
    "PRICE_IS_NOT_PERMITTED": Reason.BAD_DENOMINATION,
    "INVALID_AMOUNT": Reason.BAD_DENOMINATION,
    "INVALID_AMOUNT_FOR_OPERATOR": Reason.BAD_DENOMINATION,
    "INVALID_LOCAL_AMOUNT_FOR_OPERATOR": Reason.BAD_DENOMINATION,
    "LOCAL_AMOUNTS_NOT_SUPPORTED_BY_OPERATOR": Reason.BAD_DENOMINATION,
    "INVALID_RECIPIENT_PHONE": Reason.BAD_RECIPIENT,
    "INVALID_PHONE_NUMBER": Reason.BAD_RECIPIENT,
    "OPERATOR_AND_RECIPIENT_PHONE_MISMATCH": Reason.BAD_RECIPIENT,
    "COULD_NOT_AUTO_DETECT_OPERATOR": Reason.BAD_RECIPIENT,
    "MAX_DAILY_TRANSACTION_COUNT_REACHED": Reason.LIMIT_EXCEEDED,
    "MAX_DAILY_TRANSACTION_AMOUNT_REACHED": Reason.LIMIT_EXCEEDED,
    "FX_RATE_NOT_AVAILABLE": Reason.OTHER,
}
# Documented without a code.
_SAID = (
    ("invalid price", Reason.BAD_DENOMINATION),
    ("either not found or is no longer available", Reason.PRODUCT_INACTIVE),
)
_CODE = re.compile(r"[A-Z][A-Z_]{2,63}", re.ASCII)


def rows(content: Any) -> list[Any]:
    """Of a list as documented, or of a page."""
    listed = content if isinstance(content, list) else content["content"]
    if not isinstance(listed, list):
        raise TypeError("no list")
    return listed


def sayable(line: Line) -> Decimal | None:
    """The face value as it is sent; None when the sku is no number or nobody knows the currency."""
    if not (line.sku.isascii() and line.sku.isdigit()) or line.currency not in CURRENCIES:
        return None
    return decimal_of(line.face_minor, line.currency)


def refusal(answer: Answer) -> Outcome:
    """What a placing means that was not answered with 200."""
    if answer.status == 429:
        return Refused(Reason.THROTTLED, "asked too often", answer.retry_after_s)
    if answer.status in (401, 403):
        reason = Reason.BAD_CREDENTIALS if answer.status == 401 else Reason.IP_NOT_ALLOWED
        return Refused(reason, f"the vendor answers {answer.status}")
    content = answer.json()
    code, message = content.get("errorCode"), str(content.get("message"))
    if code == RECENT:
        return Refused(Reason.THROTTLED, RECENT, RECENT_S)
    if code in REASONS:
        return Refused(REASONS[code], code)
    for said, reason in _SAID:
        if not code and said in message.lower():
            return Refused(reason, f"refused with {answer.status}")
    return Unknown(_named(code, f"an unexpected answer ({answer.status})"))


def failed(code: object, status: str) -> Refused:
    """Why an order failed for good after it was taken."""
    reason = Reason.LIMIT_EXCEEDED if code == RECENT else REASONS.get(str(code), Reason.OTHER)
    return Refused(reason, _named(code, status))


def _named(code: object, otherwise: str) -> str:
    """Codes may be told, sentences of the vendor not: they may name a phone number."""
    return code if isinstance(code, str) and _CODE.fullmatch(code) else otherwise


def ref_of(content: Mapping[str, Any]) -> str:
    """The vendor's number of an order."""
    number = content["transactionId"]
    if isinstance(number, bool) or not isinstance(number, int):
        raise TypeError("no transaction number")
    return str(number)


def book_line(row: Mapping[str, Any], quantity: int, cost: Cost | None) -> BookLine:
    """A row of a report, as both hosts tell it; what failed has cost nothing in the end."""
    ref, key, status = ref_of(row), row.get("customIdentifier"), row["status"]
    if not isinstance(key, str | None):
        raise TypeError("no identifier")
    if status in FAILED:
        return BookLine(key, ref, SaleState.FAILED)
    if status not in RUNNING | {DONE}:
        raise ValueError("a status without sense")
    return BookLine(key, ref, SaleState.SOLD if status == DONE else SaleState.OPEN, quantity, cost)


def cost_of(amount: object, currency: object) -> Cost | None:
    """What was charged, to the nearest minor unit: the vendor charges fractions of one.

    None for nonsense: what was paid for does not wait for it.
    """
    if not isinstance(currency, str) or currency not in CURRENCIES:
        return None
    try:
        return Cost(round_half_up(_fine(amount), _fine_per_minor(currency)), currency)
    except (TypeError, ValueError):
        return None


def floor_of(amount: object, currency: str) -> int:
    """The minor units that are whole."""
    return _fine(amount) // _fine_per_minor(currency)


def within(low: object, high: object, currency: str) -> tuple[int, int]:
    """The smallest and the largest amount in minor units between two that may lie between them."""
    per_minor = _fine_per_minor(currency)
    return -(-_fine(low) // per_minor), floor_of(high, currency)


def _fine(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise TypeError("not an amount")
    fine = to_minor(Decimal(value), FINE)
    if fine is None:
        raise ValueError("not an amount")
    return fine


def _fine_per_minor(currency: str) -> int:
    return int(10 ** (FINE - exponent_of(currency)))


def hint(secret: str, event: str, headers: Mapping[str, str], body: bytes) -> Callback:
    """Which order a callback of the type `event` speaks of. Raises CallbackRefused.

    Signed with HMAC-SHA256 over body, colon and time of sending. How old it is does not matter: it
    only has us read back.
    """
    stamp = headers.get("x-reloadly-request-timestamp", "")
    given = headers.get("x-reloadly-signature", "").strip().lower()
    if not secret or not stamp:
        raise CallbackRefused("no secret to check with, or no time of sending")
    if not hmac.compare_digest(sign(secret, stamp, body).encode(), given.encode(errors="replace")):
        raise CallbackRefused("the signature does not fit")
    try:
        content = msgspec.json.decode(body)
        if content["type"] != event:
            raise CallbackRefused("of another kind")
        # Clients have seen the transaction itself there, and one more level.
        transaction = content["data"].get("transaction") or content["data"]
        key = transaction.get("customIdentifier")
        return Callback(str(key) if key else None, ref_of(transaction))
    except (msgspec.DecodeError, LookupError, TypeError, AttributeError):
        raise CallbackRefused("it speaks of no order") from None


def sign(secret: str, stamp: str, body: bytes) -> str:
    """`X-Reloadly-Signature` of a body sent at `stamp`."""
    signed = body + b":" + stamp.encode(errors="replace")
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
