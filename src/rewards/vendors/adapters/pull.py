"""Vendors of the encrypted-pull family: the codes come in the sealed answer to a sealed request.

None of them was ever seen by us: every preset is unverified, and `pull_presets` says what it is
made from. An account's `settings` change any of it.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any
from uuid import UUID

import structlog

from rewards.vendors.adapters.pull_channel import Account, Channel, Reply
from rewards.vendors.adapters.pull_protocol import (
    DUPLICATE,
    IN_PROCESS,
    NOT_KNOWN,
    OTHER_BODY,
    TOKEN,
    UNCLEAR,
    Call,
    Protocol,
    named,
)
from rewards.vendors.adapters.pull_reading import brand_offer, cards_of, deep, face_text
from rewards.vendors.amounts import minor_of
from rewards.vendors.model import (
    Accepted,
    Balance,
    Callback,
    CallbackRefused,
    Capabilities,
    Delivered,
    Line,
    NotKnown,
    Offer,
    Outcome,
    Purchase,
    Reason,
    Refused,
    Unknown,
)
from rewards.vendors.outcome import SENSELESS, making_sense, of_placing, of_reading
from rewards.vendors.port import VendorRefused, keeps_no_book
from rewards.vendors.wire import NoAnswer, Wire

log = structlog.get_logger()

QUANTITY_MAX = 10
_UNKNOWN: Mapping[str, str] = MappingProxyType(
    {
        DUPLICATE: "the key was used already",
        OTHER_BODY: "the vendor knows the key with another request; somebody has to look into it",
        UNCLEAR: "the vendor does not say what became of it",
    }
)


class PullVendor:
    """One account; its protocol says which vendor it is."""

    def __init__(self, protocol: Protocol, account: Account, wire: Wire) -> None:
        self._protocol = protocol
        self._channel = Channel(protocol, account, wire)
        self.capabilities = Capabilities(
            quantity_max=QUANTITY_MAX,
            sync_quantity_max=QUANTITY_MAX,
            balance=protocol.calls.balance is not None,
            verified=False,
        )

    book = keeps_no_book

    def key(self, fresh: UUID) -> str:
        return fresh.hex

    async def place(self, key: str, line: Line) -> Outcome:
        if line.currency != self._protocol.currency:
            return Refused(Reason.VENDOR_CONFIG, f"sells only in {self._protocol.currency}")
        if line.mobile is not None:
            return Refused(Reason.VENDOR_CONFIG, "sells no recharges")
        if not 0 < line.quantity <= QUANTITY_MAX:
            return Refused(Reason.LIMIT_EXCEEDED, f"sells up to {QUANTITY_MAX} vouchers at once")
        outcome = await of_placing(self._place(key, line))
        return Unknown(SENSELESS) if isinstance(outcome, NotKnown) else outcome

    async def read(self, purchase: Purchase) -> Outcome:
        return await of_reading(self._read(purchase))

    async def balances(self) -> Sequence[Balance]:
        call, path = self._protocol.calls.balance, self._protocol.balance_at
        if call is None:
            raise VendorRefused("this vendor tells no balance")
        reply = await self._told("balance", call, path[0])
        with making_sense():
            amount_minor = minor_of(deep(reply.content, path), self._protocol.currency)
        return [Balance(self._protocol.currency, amount_minor)]

    async def catalogue(self) -> AsyncIterator[Offer]:
        """All brands come in one answer. A brand of one single value is asked for its stock."""
        reply = await self._told("catalogue", self._protocol.calls.brands)
        brands = self._channel.content(reply)
        if not isinstance(brands, list):
            raise NoAnswer(SENSELESS)
        for brand in brands:
            with making_sense():
                offer = brand_offer(brand, self._protocol)
            one_value = len(offer.fixed_minor) == 1 and offer.stock is None
            yield replace(offer, stock=await self._stock(offer)) if one_value else offer

    def callback(self, headers: Mapping[str, str], body: bytes) -> Callback:
        raise CallbackRefused("this vendor does not call back")

    async def _place(self, key: str, line: Line) -> Outcome:
        facts = self._facts(key, key, line)
        reply = await self._channel.ask("place", self._protocol.calls.place, facts)
        return self._outcome(reply, key, line)

    async def _read(self, purchase: Purchase) -> Outcome:
        calls, key, line = self._protocol.calls, purchase.key, purchase.line
        facts = self._facts(key, purchase.vendor_ref or key, line)
        reply = await self._channel.ask("status", calls.status, facts)
        told = self._outcome(reply, key, line, reading=True)
        if calls.codes is None or reply.verdict is not None or not isinstance(told, Accepted):
            return told
        reply = await self._channel.ask("codes", calls.codes, facts)
        activated = self._outcome(reply, key, line, reading=True)
        # It was just said to be done, so a no to this call is none to the order.
        brought = reply.verdict is None and isinstance(activated, Delivered | Unknown)
        return activated if brought else told

    async def _stock(self, offer: Offer) -> int | None:
        call = self._protocol.calls.stock
        if call is None:
            return None
        face = face_text(offer.fixed_minor[0], self._protocol)
        reply = await self._channel.ask("stock", call, {"sku": offer.sku, "face": face})
        if reply.verdict is not None:
            return None
        with making_sense():
            return int(deep(self._channel.content(reply), self._protocol.stock_at))

    def _facts(self, key: str, ref: str, line: Line) -> dict[str, str | int]:
        face = face_text(line.face_minor, self._protocol)
        return {"key": key, "ref": ref, "sku": line.sku, "face": face, "quantity": line.quantity}

    async def _told(self, name: str, call: Call, proof: str | None = None) -> Reply:
        reply = await self._channel.ask(name, call, {}, proof)
        if reply.verdict is not None:
            raise VendorRefused(f"{name}: {reply.code}")
        return reply

    def _outcome(self, reply: Reply, key: str, line: Line, *, reading: bool = False) -> Outcome:
        """What an answer about the order `key` says of it. Raises for what makes no sense.

        An envelope's no to `reading` may be one to the product or to us, and the order sold long
        ago: only the opened order that names our key has failed, or one whose code is `final`.
        """
        names, shape = self._protocol.envelope, self._protocol.order
        ref = reply.content.get(names.ref) if names.ref else None
        ref = str(ref) if ref else None
        if reply.verdict is not None:
            no = self._no(reply.verdict, reply.code, ref, reply.retry_after_s)
            sure = not reading or reply.code in self._protocol.final
            return no if sure else _of_the_order(no)
        if not reply.content.get(names.data):
            # It went well, and the codes are told elsewhere or not at all.
            return Accepted(ref) if self._protocol.calls.codes else Unknown(SENSELESS)
        order: Any = self._channel.content(reply)
        if shape.key and order.get(shape.key, key) != key:
            return Unknown("the answer speaks of another order")
        if shape.result and order[shape.result] != shape.success:
            code = order.get(shape.code)
            verdict = self._protocol.verdict(code, order.get(shape.text))
            no = self._no(verdict, named(code), ref)
            ours = shape.key is not None and shape.key in order
            sure = not reading or (ours and order[shape.result] == shape.failed)
            return no if sure else _of_the_order(no)
        cards = cards_of(order, self._protocol, self._channel.opened)
        if len(cards) >= line.quantity:
            return Delivered(cards, ref)
        # An order comes whole or not at all: the rest is being activated, or nobody can tell.
        few = f"{len(cards)} vouchers came, {line.quantity} were ordered"
        return Accepted(ref) if self._protocol.calls.codes else Unknown(few)

    def _no(
        self, verdict: str, code: str, ref: str | None, retry_after_s: float | None = None
    ) -> Outcome:
        if verdict == IN_PROCESS:
            return Accepted(ref)
        if verdict == NOT_KNOWN:
            return NotKnown(code)
        if verdict == OTHER_BODY:
            # Two requests under one key: ours are made once, so this must not happen.
            log.error("vendor_key_mismatch", code=code)
        if verdict in _UNKNOWN:
            return Unknown(f"{code}: {_UNKNOWN[verdict]}")
        if verdict == TOKEN:
            return Refused(Reason.BAD_CREDENTIALS, f"{code}: a new token is rejected too")
        return Refused(Reason(verdict), f"the vendor says {code}", retry_after_s)


def _of_the_order(no: Outcome) -> Outcome:
    """A no that names no order, as an answer about one: it says nothing of that."""
    return Unknown(f"not told: {no.message}") if isinstance(no, Refused) else no
