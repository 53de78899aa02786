"""What stands in a pulled order or a brand, as our cards and offers; pure."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from rewards.vendors.adapters.pull_protocol import Protocol
from rewards.vendors.amounts import decimal_of, minor_of
from rewards.vendors.model import Card, Offer

# India has one zone and no summer time.
ZONE = timezone(timedelta(hours=5, minutes=30))
_NO = frozenset(("false", "no", "n", "0"))


def face_text(face_minor: int, protocol: Protocol) -> str:
    """A value as these vendors write it: `1000`, or `99.5`."""
    return f"{decimal_of(face_minor, protocol.currency):f}"


def deep(content: Any, path: Iterable[str]) -> Any:
    for name in path:
        content = content[name]
    return content


def cards_of(
    order: Mapping[str, Any], protocol: Protocol, opened: Callable[[Any], bytes]
) -> tuple[Card, ...]:
    """All vouchers of an order. Raises for a voucher without a code, an unreadable value or day.

    `opened` opens what is sealed by itself.
    """
    shape = protocol.order
    items = (item for group in order[shape.groups] for item in group[shape.items])
    return tuple(_card(item, protocol, opened) for item in items)


def _card(item: Mapping[str, Any], protocol: Protocol, opened: Callable[[Any], bytes]) -> Card:
    shape, used, fields = protocol.order, set[str](), {}
    for ours, theirs in shape.fields.items():
        # What is not filled is "", null, or not there at all.
        name = next((name for name in theirs if name not in used and item.get(name)), None)
        if name is None:
            continue
        used.add(name)
        value = item[name]
        sealed = protocol.sealed == "codes" and isinstance(value, dict)
        fields[ours] = opened(value).decode() if sealed else _text(value)
    if "card_number" not in fields:
        raise ValueError("a voucher without a code")
    face = item.get(shape.face)
    return Card(
        fields,
        _end_of_day(item.get(shape.expires), shape.date_formats),
        None if face in (None, "") else minor_of(face, protocol.currency),
        protocol.currency,
    )


def _text(value: object) -> str:
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise TypeError("a code without sense")
    return str(value).strip()


def _end_of_day(text: object, formats: Iterable[str]) -> datetime | None:
    """The last second of that day in India. Raises ValueError for a day in none of the forms."""
    if text in (None, ""):
        return None
    for form in formats:
        try:
            day = datetime.strptime(str(text), form).replace(tzinfo=ZONE)
        except ValueError:
            continue
        return (day + timedelta(days=1, seconds=-1)).astimezone(UTC)
    raise ValueError("a day without sense")


def brand_offer(brand: Mapping[str, Any], protocol: Protocol) -> Offer:
    """A brand as an offer; the stock of one that is not available is 0. Raises for nonsense."""
    shape = protocol.brand
    listed = str(brand.get(shape.fixed) or "").split(",")
    fixed = tuple(
        sorted(minor_of(value.strip(), protocol.currency) for value in listed if value.strip())
    )
    if not str(brand[shape.kind]).upper().startswith("F"):
        fixed = ()
    return Offer(
        str(brand[shape.sku]),
        str(brand[shape.name]),
        protocol.currency,
        fixed[0] if fixed else minor_of(brand[shape.min], protocol.currency),
        fixed[-1] if fixed else minor_of(brand[shape.max], protocol.currency),
        fixed,
        0 if str(brand.get(shape.available, "")).lower() in _NO else None,
    )
