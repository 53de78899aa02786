"""What EZ PIN's answers mean; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rewards.core.currency import CURRENCIES
from rewards.vendors.amounts import minor_of
from rewards.vendors.model import (
    Accepted,
    BookLine,
    Card,
    Delivered,
    Line,
    NotKnown,
    Offer,
    Outcome,
    Reason,
    Refused,
    SaleState,
    Unknown,
)
from rewards.vendors.wire import Answer, NoAnswer

NO_DELIVERY = 0
REJECTED, PENDING, ACCEPTED = -1, 0, 1
# Error codes after which nothing was bought. Not listed, and so Unknown: those of physical cards,
# 606 (pending), 618 (trouble with setting the order), 621 (rollback).
REASONS: Mapping[int, Reason] = {
    600: Reason.VENDOR_CONFIG,
    602: Reason.PRODUCT_INACTIVE,
    605: Reason.BAD_DENOMINATION,
    608: Reason.VENDOR_CONFIG,
    610: Reason.INSUFFICIENT_VENDOR_BALANCE,
    611: Reason.PRICE_CHANGED,
    612: Reason.BAD_DENOMINATION,
    613: Reason.VENDOR_CONFIG,
    614: Reason.OUT_OF_STOCK,
    615: Reason.BAD_CREDENTIALS,
    616: Reason.BAD_CREDENTIALS,
    617: Reason.BAD_CREDENTIALS,
    619: Reason.VENDOR_CONFIG,
    622: Reason.VENDOR_CONFIG,
    623: Reason.VENDOR_CONFIG,
    624: Reason.LIMIT_EXCEEDED,
    625: Reason.LIMIT_EXCEEDED,
}
NOT_READY = frozenset({606, 609})
FIELDS = ("card_number", "pin_code", "claim_url")
TOKEN_LIFE_MIN_S = 60
TOKEN_LIFE_MAX_S = 3_600


@dataclass(frozen=True, slots=True)
class Ready:
    """An order whose cards can be fetched."""

    vendor_ref: str
    # As the vendor writes it; of `count` cards.
    total_face_value: object
    count: int


def lives_s(expire: int) -> int:
    """How long a token lives. Some clients read milliseconds, some seconds, and nobody says which.

    The shorter reading is taken where it is a minute or more: too short costs one sign-in.
    """
    as_ms = int(expire) // 1_000
    return min(as_ms if as_ms >= TOKEN_LIFE_MIN_S else int(expire), TOKEN_LIFE_MAX_S)


def placed(key: str, answer: Answer) -> Outcome:
    denied = _denied(answer)
    if denied is not None:
        return denied
    if answer.status == 400:
        number = _number(answer)
        if number is not None and number in REASONS:
            return Refused(REASONS[number], f"EZ PIN answers {number}")
        return Unknown(f"refused for no known reason ({number})")
    if answer.status not in (200, 201):
        return Unknown(f"an unexpected status {answer.status}")
    so_far = _state(key, answer.json())
    return Accepted(so_far.vendor_ref) if isinstance(so_far, Ready) else so_far


def order(key: str, answer: Answer) -> Outcome | Ready:
    """How far an order is. The vendor's own 404 has a `detail`; a wrong address has a page."""
    denied = _denied(answer)
    if denied is not None:
        return denied
    content = answer.json()
    if answer.status == 404 and isinstance(content, dict) and "detail" in content:
        return NotKnown()
    if answer.status != 200:
        return Unknown(f"an unexpected status {answer.status}")
    return _state(key, content)


def _state(key: str, content: Mapping[str, Any]) -> Outcome | Ready:
    if str(content["reference_code"]).lower() != key:
        return Unknown("an answer about no order of ours")
    ref, status = str(content["order_id"]), content["status"]
    if status == REJECTED:
        return Refused(Reason.OTHER, "the vendor rejected the order")
    if status == ACCEPTED and content["is_completed"] is True:
        return Ready(ref, content["total_face_value"], content["count"])
    if status in (PENDING, ACCEPTED):
        return Accepted(ref)
    return Unknown("a status without sense")


def book_line(row: Mapping[str, Any]) -> BookLine:
    """A line of the list of orders. What it cost is told in no currency that is named."""
    ref, status = str(row["order_id"]), row["status"]
    key = str(row["reference_code"]).lower()
    if status == REJECTED:
        return BookLine(key, ref, SaleState.FAILED)
    done = status == ACCEPTED and row["is_completed"] is True
    return BookLine(key, ref, SaleState.SOLD if done else SaleState.OPEN, int(row["count"]))


def cards(ready: Ready, line: Line, answer: Answer) -> Outcome:
    """The cards of an order that is done: all of them, this vendor sells no part."""
    denied = _denied(answer)
    if denied is not None:
        return denied
    if answer.status == 400 and _number(answer) in NOT_READY:
        return Accepted(ready.vendor_ref)
    if answer.status != 200:
        return Unknown(f"an unexpected status {answer.status} for the cards")
    rows = answer.json()["results"]
    if len(rows) < line.quantity:
        return Unknown("done, but with fewer cards than were bought")
    face_minor, rest = divmod(minor_of(ready.total_face_value, line.currency), ready.count)
    if rest:
        return Unknown("the total is no multiple of one card")
    return Delivered(tuple(_card(row, face_minor, line.currency) for row in rows), ready.vendor_ref)


def _card(row: Mapping[str, Any], face_minor: int, currency: str) -> Card:
    fields = {name: str(row[name]) for name in FIELDS if row.get(name)}
    if not fields:
        raise ValueError("a card has something to redeem")
    return Card(fields, None, face_minor, currency)


def offers(rows: Sequence[Mapping[str, Any]]) -> list[Offer]:
    """What we can hold of a page of the catalogue: some currencies are none of ISO 4217."""
    return [_offer(row) for row in rows if row["currency"]["code"] in CURRENCIES]


def _offer(row: Mapping[str, Any]) -> Offer:
    currency = row["currency"]["code"]
    low, high = (minor_of(row[name], currency) for name in ("min_price", "max_price"))
    fixed = (low,) if low == high else ()
    return Offer(str(row["sku"]), str(row["title"]), currency, low, high, fixed)


def _denied(answer: Answer) -> Refused | None:
    """What is answered before an order is looked at."""
    if answer.status == 429:
        return Refused(Reason.THROTTLED, "asked too often", answer.retry_after_s)
    if answer.status == 401:
        return Refused(Reason.BAD_CREDENTIALS, "a fresh token is not accepted")
    if answer.status == 403:
        return Refused(Reason.IP_NOT_ALLOWED, "our address is not on the vendor's list")
    if answer.status == 406:
        return Refused(Reason.BAD_CREDENTIALS, "the terminal's PIN is not right")
    return None


def _number(answer: Answer) -> int | None:
    """The code of an error, a number or a string of one."""
    try:
        content = answer.json()
    except NoAnswer:
        return None
    code = content.get("code") if isinstance(content, dict) else None
    text = str(code)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else None
