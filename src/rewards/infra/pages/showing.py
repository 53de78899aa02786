"""How values look on a page: money, times, ages, counts, states."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup, escape

from rewards.core.currency import CURRENCIES
from rewards.core.money import to_decimal

DASH = "\u2013"
MINUS = "\u2212"
NOTHING = Markup('<span class="none">{}</span>').format(DASH)
# What a state asks of whoever reads it; a word that is not here is neutral.
TONES = {
    "good": "ACTIVE DELIVERED COMPLETED LOADED RECONCILED APPROVED SUCCEEDED SENT OK DONE LOADING"
    " EXPLAINED HEALTHY CONFIRMED ENABLED CLAIMED PAID GREEN OPEN_FOR_ORDERS AT_WORK ACCEPTED",
    "wait": "PENDING PROCESSING PARTIALLY_DELIVERED SUSPENDED PAUSED HELD REQUESTED UNKNOWN OWED"
    " VENDOR_ORDER_PENDING RUNNING QUEUED WAITING PLACED SENDING FROZEN STALE AMBER OPEN"
    " GV_LINK_PENDING INITIAL CASE LOW DEFERRED UNREACHED",
    "bad": "CANCELLED FAILED REVOKED EXPIRED REJECTED DEAD DISABLED CLOSED ERROR LOST RED REFUSED"
    " BLOCKED BOUNCED CRITICAL DECLINED GONE SUPPRESSED NO_MAILBOX TURNED_AWAY SILENT AWAY MISSING"
    " FULL",
}
_TONE_OF = {word: tone for tone, words in TONES.items() for word in words.split()}
# Words that a name in capitals runs together.
SPELLED = {"topup": "top-up"}
AGES = (("d", 86_400), ("h", 3_600), ("min", 60))


def tone(state: object) -> str:
    """`good`, `wait`, `bad`, or nothing, of a state's name."""
    return _TONE_OF.get(str(state).upper(), "")


def words(state: object) -> str:
    """PARTIALLY_DELIVERED as people read it."""
    text = str(state).replace("_", " ").replace(".", " ").strip().lower()
    text = SPELLED.get(text, text)
    return text[:1].upper() + text[1:]


def badge(state: object) -> Markup:
    """A state in its colour, with its exact name for whoever asks."""
    if state is None or state == "":
        return NOTHING
    return Markup('<span class="badge {}" title="{}">{}</span>').format(
        tone(state), state, words(state)
    )


def money(amount: Any, currency: str) -> Markup:
    """An amount of a currency with its decimals: 1,234.50 USD."""
    if amount is None:
        return NOTHING
    value = Decimal(str(amount))
    known = CURRENCIES.get(currency)
    places = max(known.exponent if known else 0, -int(value.as_tuple().exponent))
    text = f"{abs(value):,.{places}f}"
    sign = MINUS if value < 0 else ""
    return Markup('<span class="money">{}{}\u00a0<small>{}</small></span>').format(
        sign, text, currency
    )


def money_minor(amount_minor: int | None, currency: str) -> Markup:
    """An amount that the API gives in minor units."""
    if amount_minor is None:
        return NOTHING
    known = CURRENCIES.get(currency)
    return money(to_decimal(amount_minor, known.exponent if known else 0), currency)


def count(number: Any) -> str:
    """12,345."""
    return f"{number:,}" if number is not None else DASH


def as_time(value: Any) -> datetime | None:
    """The moment that an API's text tells."""
    if value is None or value == "":
        return None
    at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def when(value: Any) -> Markup:
    """A moment, in UTC, to the minute; the exact one for machines and for whoever asks."""
    at = as_time(value)
    if at is None:
        return NOTHING
    exact = at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    said = f"{at.day} {at:%b %Y, %H:%M}"
    return Markup('<time datetime="{0}" title="{0}">{1}</time>').format(exact, said)


def day(value: Any) -> Markup:
    """A date."""
    if value is None or value == "":
        return NOTHING
    at = value if isinstance(value, date) else date.fromisoformat(str(value)[:10])
    return Markup('<time datetime="{}">{}</time>').format(at.isoformat(), f"{at.day} {at:%b %Y}")


def span(length: timedelta) -> str:
    """A length of time in its two largest units: 3 h 12 min."""
    left = max(0, int(length.total_seconds()))
    parts = []
    for unit, size in AGES:
        if left >= size:
            parts.append(f"{left // size} {unit}")
            left %= size
    return " ".join(parts[:2]) or "a moment"


def lasting(seconds: float) -> str:
    """So many seconds as people say it."""
    return span(timedelta(seconds=seconds))


def aged(now: Callable[[], datetime]) -> Callable[[Any], Markup]:
    """A filter that says how long ago something was, or how soon it will be."""

    def age(value: Any) -> Markup:
        at = as_time(value)
        if at is None:
            return NOTHING
        exact = at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        past = now() - at
        said = span(past) if past >= timedelta(0) else f"in {span(-past)}"
        return Markup('<time datetime="{0}" title="{0}">{1}</time>').format(exact, said)

    return age


def masked(value: Any) -> str:
    """A secret's last four."""
    text = str(value or "")
    return f"…{text[-4:]}" if text else DASH


def shown(value: Any) -> Markup:
    """Any JSON value, small: facts of the trail and details of refusals."""
    if value is None:
        return NOTHING
    if isinstance(value, dict):
        rows = [
            Markup("<div><dt>{}</dt><dd>{}</dd></div>").format(words(name), shown(each))
            for name, each in value.items()
        ]
        return Markup('<dl class="inner">{}</dl>').format(Markup("").join(rows))
    if isinstance(value, list):
        return Markup(", ").join(shown(each) for each in value) if value else NOTHING
    if isinstance(value, bool):
        return escape("yes" if value else "no")
    return escape(value)


def with_query(path: str, **values: Any) -> str:
    """The path with those of these values that say something."""
    given = [(name, str(value)) for name, value in values.items() if value not in (None, "")]
    return f"{path}?{urlencode(given)}" if given else path


def slug(text: object) -> str:
    """Letters, digits and dashes: an id within the page."""
    return re.sub(r"[^a-z0-9]+", "-", str(text).lower()).strip("-")
