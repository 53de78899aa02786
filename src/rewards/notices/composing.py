"""Makes the mail of a notice at the moment it is sent, from what is true then."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from rewards.catalog import service as catalog
from rewards.catalog.model import Wording
from rewards.clients import service as clients
from rewards.core.clock import Clock
from rewards.infra.crypto import Vault
from rewards.infra.db import Database
from rewards.infra.settings import Settings
from rewards.notices import letters, sql, sql_settings
from rewards.notices.catalogue import Words, words_of
from rewards.notices.letters import Letter
from rewards.notices.model import (
    Audience,
    Notice,
    NoticeKind,
    NoticeSettings,
    NoticeState,
    Settled,
    or_defaults,
)
from rewards.notices.relay import Envelope
from rewards.notices.rendering import Heading, Look, render
from rewards.orders import mailing
from rewards.orders.model import Order
from rewards.orders.view import VoucherOut

PLATFORM_ACCENT = NoticeSettings(0).accent
SUPPRESSED = Settled(NoticeState.SUPPRESSED, "NO_MAILBOX_BEFORE")
MUTED = Settled(NoticeState.SKIPPED, "MUTED")
NOTHING_LEFT = Settled(NoticeState.SKIPPED, "NOTHING_LEFT")


class ClaimLinks(Protocol):
    """Where claim links are known; given by whoever puts the process together."""

    async def of_order(self, order: Order) -> Sequence[VoucherOut]:
        """Each link of the order that waits to be claimed, and until when, by position."""
        ...


@dataclass(frozen=True, slots=True)
class Facts:
    """What is read of a notice's client and order."""

    settings: NoticeSettings
    client_name: str
    order: Order | None
    wording: Wording | None
    suppressed: bool


@dataclass(frozen=True, slots=True)
class Composer:
    """Writes mails. What it returns may hold codes: it is sent, and never kept."""

    db: Database
    vault: Vault
    clock: Clock
    settings: Settings
    links: ClaimLinks

    async def compose(self, notice: Notice) -> Envelope | Settled:
        """The mail, or why there is none to send any more."""
        facts = await self._facts(notice)
        if facts.suppressed:
            return SUPPRESSED
        # What staff send again they send whatever is switched off.
        if notice.kind in facts.settings.muted and notice.resend_of is None:
            return MUTED
        words = words_of(facts.settings.language)
        letter = await self._letter(notice, facts, words)
        if letter is None:
            return NOTHING_LEFT
        return self._envelope(notice, facts, words, letter)

    async def _facts(self, notice: Notice) -> Facts:
        async with self.db.connection() as tx:
            chosen = (await sql_settings.read(tx, [notice.client_id])).get(notice.client_id)
            [client] = await clients.read(tx, [notice.client_id])
            assert client is not None, "a notice is of a client"
            order = None
            wording = None
            if notice.order_id is not None:
                order = (await mailing.told(tx, [notice.order_id]))[notice.order_id]
                [wording] = await catalog.wordings(tx, [order.product_revision_id])
            gone = await sql.is_suppressed(tx, notice.address)
        settings = or_defaults(chosen, notice.client_id)
        return Facts(settings, client.name, order, wording, gone)

    async def _letter(self, notice: Notice, facts: Facts, words: Words) -> Letter | None:
        order = facts.order
        match notice.kind:
            case NoticeKind.ORDER_DELIVERED:
                assert order is not None
                return await self._delivered(order, facts.wording, words)
            case NoticeKind.ORDER_CANCELLED:
                assert order is not None
                told = letters.closed if notice.audience is Audience.CLIENT else letters.cancelled
                return told(words, order)
            case NoticeKind.LOW_BALANCE:
                return letters.low_balance(words, notice.facts)
        return letters.endpoint(words, notice.kind, notice.facts)

    async def _delivered(
        self, order: Order, wording: Wording | None, words: Words
    ) -> Letter | None:
        """By claim links where the product has them; the codes only where it has none (§3)."""
        if order.recharge:
            return letters.recharged(words, order) if order.fulfilled > order.revoked else None
        if order.link_type is not None:
            vouchers = await self.links.of_order(order)
        else:
            vouchers = await mailing.open_vouchers(self.db, self.vault, self.clock, order)
        return letters.delivered(words, order, vouchers, wording) if vouchers else None

    def _envelope(self, notice: Notice, facts: Facts, words: Words, letter: Letter) -> Envelope:
        """A customer's mail is its client's, in its client's colours; a client's mail is ours."""
        ours, chosen = self.settings, facts.settings
        if notice.audience is Audience.CUSTOMER:
            brand = chosen.brand_name or facts.client_name
            look = Look(brand, chosen.accent, chosen.logo_url, chosen.logo)
            sender = (chosen.sender_name or brand, chosen.sender_address or ours.mail_from)
            footer = "\n".join(
                part for part in (words.say("footer.customer", brand=brand), chosen.footer) if part
            )
        else:
            look = Look(ours.mail_from_name, PLATFORM_ACCENT)
            sender = (ours.mail_from_name, ours.mail_from)
            footer = words.say("footer.client")
        heading = Heading(
            *sender,
            chosen.reply_to if notice.audience is Audience.CUSTOMER else None,
            notice.address,
            notice.message_id,
            notice.created_at,
        )
        content = render(replace(letter, footer=footer), look, words, heading)
        return Envelope(ours.mail_from, notice.address, content)
