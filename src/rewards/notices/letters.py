"""What each mail says, in the words of a language and before it has a look; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rewards.catalog.model import Wording
from rewards.core.currency import exponent_of
from rewards.core.money import to_decimal
from rewards.notices.catalogue import Words
from rewards.notices.model import NoticeKind
from rewards.orders.model import Order, Status
from rewards.orders.view import VoucherOut

# More than these are attached as a file: mailboxes cut long mails off.
SHOWN_MAX = 50
FIELDS = ("card_number", "pin_code", "code", "pin", "voucher_reference_number")
ENDING_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Card:
    """One voucher: its fields as (label, value), and where it opens."""

    title: str
    fields: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    link: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail without a look. `rows`: a table to attach, heading first."""

    subject: str
    heading: str
    paragraphs: tuple[str, ...]
    facts: tuple[tuple[str, str], ...] = ()
    cards: tuple[Card, ...] = field(default=(), repr=False)
    sections: tuple[tuple[str, str], ...] = ()
    footer: str = ""
    rows: tuple[tuple[str, ...], ...] = field(default=(), repr=False)


def money(minor: int, currency: str) -> str:
    return f"{currency} {to_decimal(minor, exponent_of(currency))}"


def delivered(
    words: Words,
    order: Order,
    vouchers: Sequence[VoucherOut],
    wording: Wording | None,
) -> Letter:
    """The vouchers that are there: by their links where the order has such, else their codes."""
    count = len(vouchers)
    filled = {
        "product": order.product_name,
        "value": money(order.denomination_minor, order.product_currency),
    }
    whole = order.status is not Status.PARTIALLY_DELIVERED
    kind = "delivered" if whole else "partial"
    counts = {} if whole else {"ready": count, "total": order.quantity}
    lead = "delivered.lead" if order.link_type is None else "delivered.link_lead"
    paragraphs = [words.say(lead, count, **filled)]
    if not whole:
        paragraphs.append(words.say("partial.more"))
    shown = count <= SHOWN_MAX
    if not shown:
        paragraphs.append(words.say("delivered.attached"))
    return Letter(
        subject=words.say(f"{kind}.subject", count, **filled, **counts),
        heading=words.say(f"{kind}.heading", count, **filled, **counts),
        paragraphs=tuple(paragraphs),
        cards=_cards(words, order, vouchers) if shown else (),
        sections=_sections(words, wording),
        rows=() if shown else _rows(vouchers),
    )


def _cards(words: Words, order: Order, vouchers: Sequence[VoucherOut]) -> tuple[Card, ...]:
    until = "voucher.expires_at" if order.link_type is None else "voucher.claim_before"
    return tuple(
        Card(words.say("voucher.title", number=n), _fields(words, each, until), each.claim_url)
        for n, each in enumerate(vouchers, 1)
    )


def _fields(words: Words, voucher: VoucherOut, until: str) -> tuple[tuple[str, str], ...]:
    named = [(name, getattr(voucher, name)) for name in FIELDS]
    told = [(words.say(f"voucher.{name}"), value) for name, value in named if value]
    if voucher.expires_at is not None:
        told.append((words.say(until), voucher.expires_at.date().isoformat()))
    return tuple(told)


def _rows(vouchers: Sequence[VoucherOut]) -> tuple[tuple[str, ...], ...]:
    names = [
        name
        for name in (*FIELDS, "claim_url", "expires_at")
        if any(getattr(voucher, name) for voucher in vouchers)
    ]
    return (
        tuple(names),
        *(tuple(str(getattr(each, name) or "") for name in names) for each in vouchers),
    )


def _sections(words: Words, wording: Wording | None) -> tuple[tuple[str, str], ...]:
    if wording is None:
        return ()
    named = (("voucher.redemption", wording.redemption), ("voucher.terms", wording.terms))
    return tuple((words.say(key), text) for key, text in named if text.strip())


def recharged(words: Words, order: Order) -> Letter:
    """A top-up went where it was to go; of the number only its end is said."""
    ending = (order.mobile or {}).get("mobile_number", "")[-ENDING_DIGITS:]
    value = money(order.denomination_minor, order.product_currency)
    return Letter(
        subject=words.say("recharged.subject", product=order.product_name),
        heading=words.say("recharged.heading"),
        paragraphs=(
            words.say("recharged.lead", product=order.product_name, value=value, ending=ending),
        ),
    )


def cancelled(words: Words, order: Order) -> Letter:
    """To whoever was to get the vouchers."""
    value = money(order.denomination_minor, order.product_currency)
    lead = words.say("cancelled.lead", order.quantity, product=order.product_name, value=value)
    paragraphs = [lead]
    kept = order.fulfilled - order.revoked
    if order.revoked:
        paragraphs.append(words.say("cancelled.revoked"))
    elif kept and not order.recharge:
        paragraphs.append(words.say("cancelled.kept", kept))
    paragraphs.append(words.say("cancelled.ask"))
    return Letter(
        subject=words.say("cancelled.subject", product=order.product_name),
        heading=words.say("cancelled.heading"),
        paragraphs=tuple(paragraphs),
    )


def closed(words: Words, order: Order) -> Letter:
    """To the client whose order it was."""
    facts = (
        ("order.id", order.id),
        ("order.ref", order.ref),
        ("order.product", order.product_name),
        ("order.value", money(order.denomination_minor, order.product_currency)),
        ("order.quantity", order.quantity),
        ("order.delivered", order.fulfilled - order.revoked),
        ("order.amount", money(order.amount_minor, order.currency)),
        ("order.refunded", money(order.refunded_minor, order.currency)),
        ("order.status", order.state),
    )
    return Letter(
        subject=words.say("closed.subject", ref=order.ref),
        heading=words.say("closed.heading"),
        paragraphs=(words.say("closed.lead"),),
        facts=_labelled(words, facts),
    )


def low_balance(words: Words, facts: Mapping[str, Any]) -> Letter:
    """As it was when the threshold was crossed."""
    balance = f"{facts['currency']} {facts['balance']}"
    return Letter(
        subject=words.say("low.subject", balance=balance),
        heading=words.say("low.heading"),
        paragraphs=(words.say("low.lead"),),
        facts=_labelled(
            words,
            (
                ("low.wallet", facts["wallet_id"]),
                ("low.balance", balance),
                ("low.threshold", f"{facts['currency']} {facts['threshold']}"),
            ),
        ),
    )


def endpoint(words: Words, kind: NoticeKind, facts: Mapping[str, Any]) -> Letter:
    """An endpoint that fails, or that was switched off because it did or is gone."""
    failing = kind is NoticeKind.ENDPOINT_FAILING
    topic = "failing" if failing else "disabled"
    lead = words.say(f"{topic}.lead")
    why = () if failing else (words.say(f"disabled.{facts['why']}"),)
    return Letter(
        subject=words.say(f"{topic}.subject", host=facts["host"]),
        heading=words.say(f"{topic}.heading"),
        paragraphs=(*why, lead),
        facts=_labelled(
            words,
            (
                ("endpoint.name", facts["name"]),
                ("endpoint.host", facts["host"]),
                ("endpoint.since" if failing else "endpoint.at", facts["at"]),
            ),
        ),
    )


def _labelled(words: Words, facts: Sequence[tuple[str, object]]) -> tuple[tuple[str, str], ...]:
    return tuple((words.say(key), str(value)) for key, value in facts)
