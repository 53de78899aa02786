"""Renders the claim page: needs no script, loads nothing from elsewhere, is kept by nobody."""

from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from importlib import resources
from urllib.parse import urlsplit

import segno
from jinja2 import Environment
from markupsafe import Markup

from rewards.claims.visiting import Revealed, Visit
from rewards.core.currency import CURRENCIES
from rewards.core.money import to_decimal
from rewards.infra.pages.headers import page_headers, policy
from rewards.infra.templates import templates
from rewards.orders.model import Order

# Nothing but our own sheet and script. The address of the page is the secret, so nobody is told
# where a visitor comes from.
HEADERS = page_headers(policy(style_src="'self'", script_src="'self'"), "no-referrer")
ASSETS = {"claim.css": "text/css", "claim.js": "text/javascript"}
# Colours of a card; a product keeps its own.
HUES = 6
# A code that is longer is no code that somebody scans at a till.
QR_CHARS_MAX = 1_000
LABELS = {
    "card_number": "Card number",
    "code": "Code",
    "pin": "PIN",
    "pin_code": "PIN",
    "voucher_reference_number": "Reference",
}
MAIN = ("card_number", "code")
PINS = ("pin", "pin_code")


@dataclass(frozen=True, slots=True)
class Voucher:
    """What of a unit's fields stands where on the page."""

    codes: list[tuple[str, str]] = field(repr=False)
    pins: list[tuple[str, str]] = field(repr=False)
    link: str | None = field(repr=False)
    reference: str | None = field(repr=False)
    qr: Markup | None = field(repr=False)


def closed(visit: Visit, csrf: str, problem: str = "") -> bytes:
    """The card, and the form that asks for the voucher; `problem` names what went wrong before."""
    return _render("closed.html", **_card(visit), csrf=csrf, problem=problem)


def opened(revealed: Revealed) -> bytes:
    """The card and the voucher."""
    return _render(
        "opened.html",
        **_card(revealed.visit),
        voucher=_voucher(revealed.fields),
        expires_at=revealed.expires_at,
        claimed_at=revealed.claimed_at,
        first=revealed.first,
    )


@cache
def gone() -> bytes:
    """What every link that opens nothing shows, whatever the reason."""
    return _render("gone.html")


def wait(minutes: int) -> bytes:
    """Too much was asked from there, or of this link; `minutes`: when it may be tried again."""
    return _render("wait.html", minutes=minutes)


def away() -> bytes:
    """We cannot look just now."""
    return _render("away.html")


@cache
def asset(name: str) -> bytes:
    """One of ASSETS."""
    return (resources.files("rewards.claims") / "templates" / name).read_bytes()


def _card(visit: Visit) -> dict[str, object]:
    order = visit.order
    return {
        "name": visit.wording.name,
        "description": visit.wording.description,
        "terms": visit.wording.terms,
        "redemption": visit.wording.redemption,
        "amount": amount(order),
        "hue": order.product_id % HUES,
        "protected": visit.protected,
        "claimed": visit.link.claimed_at is not None,
        "claim_before": visit.link.claim_before,
    }


def amount(order: Order) -> str:
    """The face value as people write it: the sign first, without needless decimals."""
    known = CURRENCIES[order.product_currency]
    value = to_decimal(order.denomination_minor, known.exponent)
    text = f"{value:,.0f}" if value == value.to_integral_value() else f"{value:,}"
    sign = known.symbol
    return f"{sign}{text}" if not sign[-1].isalpha() else f"{sign}\u00a0{text}"


def _voucher(fields: dict[str, str]) -> Voucher:
    codes = [(LABELS[name], fields[name]) for name in MAIN if fields.get(name)]
    link = fields.get("claim_url")
    reference = fields.get("voucher_reference_number")
    if not codes and not link and reference:
        codes, reference = [(LABELS["voucher_reference_number"], reference)], None
    scanned = codes[0][1] if codes else link
    return Voucher(
        codes,
        [(LABELS[name], fields[name]) for name in PINS if fields.get(name)],
        link if link and urlsplit(link).scheme in ("http", "https") else None,
        reference,
        _qr(scanned) if scanned and len(scanned) <= QR_CHARS_MAX else None,
    )


def _qr(text: str) -> Markup:
    """Dark on light in every mode: scanners know no other."""
    made = segno.make(text, error="m", micro=False)
    drawn = made.svg_inline(border=0, omitsize=True, svgclass="code", lineclass=None, dark="#111")
    return Markup(drawn.replace("<svg ", '<svg role="img" aria-label="QR code" ', 1))  # noqa: S704


def _render(template: str, **values: object) -> bytes:
    return _templates().get_template(template).render(**values).encode()


def _day(at: datetime) -> Markup:
    """A date as people say it, and as machines do."""
    said = f"{at.day} {at:%B %Y}"
    exact = at.isoformat(timespec="seconds")
    return Markup('<time datetime="{}"><bdi>{}</bdi></time>').format(exact, said)


@cache
def _templates() -> Environment:
    made = templates("rewards.claims")
    made.filters["day"] = _day
    return made
