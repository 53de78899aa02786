"""Whatever is written into a field, the pages and mails that show it stay what they are (T63)."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from rewards.catalog.model import LinkType, Wording
from rewards.claims import page
from rewards.claims.model import Link
from rewards.claims.visiting import Revealed, Visit
from rewards.notices import letters
from rewards.notices.catalogue import words_of
from rewards.notices.letters import Letter
from rewards.notices.model import NoticeKind
from rewards.notices.rendering import Look, html_of
from rewards.orders.model import COMPLETED, OnPartial, Order
from rewards.orders.view import VoucherOut
from tests.security.payloads import PAYLOADS, SCHEMES, bones, links

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
HARMLESS = "Aurora Books"
AT_ONCE = 8
LINK = "https://brand.example/c/1"
FIELDS = ("card_number", "pin_code", "code", "pin", "voucher_reference_number")


def order(text: str, **facts: Any) -> Order:
    """An order with the text wherever a client, a vendor or staff may have written it."""
    usual: dict[str, Any] = {
        **dict.fromkeys(("forex_rate", "forex_rate_source", "forex_rate_at", "deliver_by")),
        **dict.fromkeys(("mobile", "delivered_at", "cancelled_at")),
        "id": 1,
        "client_id": 1,
        "ref": text,
        "transaction_id": 1,
        "wallet_id": 1,
        "currency": "USD",
        "amount_minor": 2500,
        "discount_minor": 0,
        "fees_minor": 0,
        "tax_minor": 0,
        "product_id": 6,
        "product_revision_id": 1,
        "product_name": text,
        "product_currency": "USD",
        "denomination_minor": 2500,
        "quantity": 2,
        "on_partial": OnPartial.KEEP,
        "email": text,
        "metadata": {text: text},
        "status": COMPLETED.status,
        "sub_status": COMPLETED.sub_status,
        "items_created": 2,
        "fulfilled": 2,
        "cancelled": 0,
        "revoked": 0,
        "refunded_minor": 0,
        "refund_owed_minor": 0,
        "placed_at": AT,
        "changed_at": AT,
    }
    return Order(**(usual | facts))


def visit(text: str, *, claimed: bool) -> Visit:
    link = Link(1, 1, 1, AT, AT, AT if claimed else None, None)
    return Visit(link, order(text), Wording(1, 6, text, text, text, text), "digest")


def claim_pages(text: str) -> Iterator[str]:
    """The pages of a claim link."""
    for claimed in (False, True):
        yield page.closed(visit(text, claimed=claimed), text, text).decode()
    for url in (LINK, text):
        fields = dict.fromkeys(FIELDS, text) | {"claim_url": url}
        shown = Revealed(visit(text, claimed=True), fields, AT, AT, first=True)
        yield page.opened(shown).decode()


def letters_of(text: str, language: str) -> Iterator[Letter]:
    """Each mail there is, the text in every place."""
    told, wording = words_of(language), Wording(1, 6, text, text, text, text)
    voucher = VoucherOut(**dict.fromkeys(FIELDS, text), expires_at=AT)
    for link_type in (None, LinkType.PUBLIC):
        sold = order(text, link_type=link_type)
        yield letters.delivered(told, sold, [voucher, voucher], wording)
    yield letters.recharged(told, order(text, mobile={"mobile_number": text}))
    yield letters.cancelled(told, order(text, revoked=1))
    yield letters.closed(told, order(text))
    facts = {"currency": text, "balance": text, "threshold": text, "wallet_id": text}
    yield letters.low_balance(told, facts)
    failed = {"host": text, "name": text, "at": text, "why": "failing"}
    for kind in (NoticeKind.ENDPOINT_FAILING, NoticeKind.ENDPOINT_DISABLED):
        yield letters.endpoint(told, kind, failed)


def mails(text: str, language: str = "en") -> Iterator[str]:
    for letter in letters_of(text, language):
        for logo in (None, "https://brand.example/logo.png"):
            look = Look(text, "#e85d04", logo)
            yield html_of(replace(letter, footer=text), look, words_of(language))


def batched(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Several in a text: one that gets out is seen in any company."""
    for at in range(0, len(texts), AT_ONCE):
        yield texts[at : at + AT_ONCE]


@pytest.mark.parametrize("shown", [claim_pages, mails])
def test_no_text_becomes_an_element_an_attribute_or_a_link(shown: Any) -> None:
    usual = [bones(each) for each in shown(HARMLESS)]
    assert len(PAYLOADS) >= 300
    for payload in map(" ".join, batched(PAYLOADS)):
        for at, each in enumerate(shown(payload)):
            assert bones(each) == usual[at], (at, payload)
            assert set(links(each)) <= SCHEMES, (at, payload)


def test_the_eyes_are_open() -> None:
    """What is not escaped is seen, whichever way it breaks out."""
    usual = bones(f'<p title="{HARMLESS}">{HARMLESS}</p>')
    seen = [bones(f'<p title="{each}">{each}</p>') != usual for each in PAYLOADS]
    assert sum(seen) > len(PAYLOADS) * 0.8
