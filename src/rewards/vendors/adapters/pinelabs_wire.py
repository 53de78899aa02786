"""What Woohoo (Pine Labs) takes and gives, between its JSON and our values; pure."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any
from uuid import UUID

from rewards.core.currency import CURRENCIES
from rewards.core.currency_number import CODES, NUMBERS
from rewards.vendors.amounts import decimal_of, minor_of
from rewards.vendors.model import Balance, Card, Line, Offer

REFNO_CHARS_MAX = 25
PREFIX_CHARS_MAX = 8
# The vendor means this for up to so many cards; for more it answers later.
SYNC_QUANTITY_MAX = 10
# Days without a time of day end in India.
ZONE = timezone(timedelta(hours=5, minutes=30))
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# Ours, by the vendor's name; the first that has a value counts.
_FIELDS = (
    ("card_number", ("cardNumber",)),
    ("pin_code", ("cardPin",)),
    ("code", ("activationCode", "barcode")),
    ("claim_url", ("activationUrl",)),
    ("voucher_reference_number", ("cardId",)),
)


def refno(prefix: str, fresh: UUID) -> str:
    """The account's prefix and what remains of 25 characters filled with digits of base 36."""
    number = int.from_bytes(hashlib.sha256(fresh.bytes).digest())
    digits = []
    for _ in range(REFNO_CHARS_MAX - len(prefix)):
        number, rest = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[rest])
    return prefix + "".join(digits)


def order_body(key: str, line: Line, contact: Mapping[str, str]) -> dict[str, Any]:
    """What is posted to buy. Whole amounts are sent without a point: 1000, 10.5."""
    total_minor = line.face_minor * line.quantity
    body: dict[str, Any] = {
        "refno": key,
        "syncOnly": line.quantity <= SYNC_QUANTITY_MAX,
        "deliveryMode": "API",
        "products": [
            {
                "sku": line.sku,
                "price": decimal_of(line.face_minor, line.currency),
                "qty": line.quantity,
                "currency": NUMBERS[line.currency],
            }
        ],
        "payments": [{"code": "svc", "amount": decimal_of(total_minor, line.currency)}],
    }
    if contact:
        body["address"] = {**contact, "billToThis": True}
        body["billing"] = dict(contact)
    return body


def error_code(content: Any) -> int | None:
    """The code of an error body, which is a number or the digits of one."""
    code = content.get("code") if isinstance(content, dict) else None
    if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) < 7:
        return int(code)
    return code if type(code) is int else None


def currency_of(content: Any) -> str | None:
    """The currency an answer speaks of: `{code, numericCode}`, a code or a number."""
    if isinstance(content, dict):
        content = content.get("code") or content.get("numericCode")
    if content is None:
        return None
    text = str(content)
    code = CODES[int(text)] if text.isascii() and text.isdigit() else text
    return CURRENCIES[code].code


def cards_of(content: Mapping[str, Any]) -> tuple[Card, ...]:
    """The cards of an answer that lists them. Order details hold only a summary: no cards."""
    listed = content.get("cards")
    if not isinstance(listed, list):
        return ()
    currency = currency_of(content.get("currency"))
    return tuple(_card(card, currency) for card in listed)


def _card(card: Mapping[str, Any], currency: str | None) -> Card:
    fields = {}
    for ours, theirs in _FIELDS:
        values = (card.get(name) for name in theirs)
        value = next((str(value) for value in values if value not in (None, "")), None)
        if value is not None:
            fields[ours] = value
    if fields.keys() <= {"voucher_reference_number"}:
        raise ValueError("a card with nothing on it")
    amount = card.get("amount")
    face = minor_of(amount, currency) if amount is not None and currency else None
    return Card(fields, expiry(card.get("validity")), face, currency if face is not None else None)


def expiry(text: Any) -> datetime | None:
    """When a card ends: a moment, or the end of a day in India. ValueError for nonsense."""
    if text in (None, ""):
        return None
    if len(text) == 10:
        day = date.fromisoformat(text)
        ends = datetime.combine(day, time(23, 59, 59), ZONE)
    else:
        ends = datetime.fromisoformat(text)
        if ends.tzinfo is None:
            ends = ends.replace(tzinfo=ZONE)
    return ends.astimezone(UTC)


def category_ids(content: Any) -> Iterator[str]:
    """The ids of a tree of categories, or of a list of them, parents first."""
    trees = content if isinstance(content, list) else [content]
    for tree in trees:
        yield str(tree["id"])
        yield from category_ids(tree.get("subcategories") or [])


def offer_of(product: Mapping[str, Any]) -> Offer | None:
    """A product as it is offered; None when its price is none we could pay."""
    price = product["price"]
    try:
        currency = currency_of(price.get("currency"))
        if currency is None:
            return None
        fixed: Sequence[int] = ()
        if str(price["type"]).upper() == "SLAB":
            fixed = sorted({minor_of(one, currency) for one in price["denominations"]})
            low, high = fixed[0], fixed[-1]
        else:
            low, high = (minor_of(price[end], currency) for end in ("min", "max"))
    except (LookupError, TypeError, ValueError):
        return None
    return Offer(str(product["sku"]), str(product["name"]), currency, low, high, tuple(fixed))


def balances_of(content: Any) -> list[Balance]:
    """The partner's wallets, one for each currency: the shape is modelled, not documented."""
    rows = content["accounts"] if isinstance(content, dict) else content
    totals: dict[str, int] = {}
    for row in rows:
        currency = currency_of(row["currency"])
        if currency is None:
            raise ValueError("a balance without a currency")
        totals[currency] = totals.get(currency, 0) + minor_of(row["balance"], currency)
    return [Balance(currency, minor) for currency, minor in totals.items()]
