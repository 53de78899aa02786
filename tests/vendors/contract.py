"""What every adapter must do whatever its vendor's wire looks like, as tests to be inherited."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from rewards.vendors.model import (
    Accepted,
    Delivered,
    Line,
    NotKnown,
    Outcome,
    Purchase,
    PurchaseState,
    Purpose,
    Reason,
    Refused,
    SaleState,
    Unknown,
)
from rewards.vendors.port import VendorRefused
from rewards.vendors.simulators.faults import Fault, Scripted
from rewards.vendors.storable import storable
from rewards.vendors.wire import NoAnswer, NotSent
from tests.vendors.conftest import Open, Stand
from tests.watch import Watch

READS_MAX = 50
DAY = timedelta(days=1)
# Answers in JSON that no vendor means anything by.
SENSELESS = (b"{}", b"[]", b"null", b"7", b'"status"', b'{"status": null, "code": {}}', b"[[]]")
STATUSES = (200, 201, 400, 404, 422)
# What is answered before anybody looks at an order, whoever answers.
DENIALS = ((401, {"message": "denied"}), (403, {"message": "denied"}), (429, {"message": "wait"}))


def purchase_of(key: str, line: Line, vendor_ref: str | None = None) -> Purchase:
    at = datetime.now(UTC)
    return Purchase(
        id=1,
        vendor_id=1,
        key=key,
        purpose=Purpose.ORDER,
        subject_id=1,
        position=0,
        line=line,
        remaining=0,
        state=PurchaseState.UNKNOWN,
        vendor_ref=vendor_ref,
        reason=None,
        message=None,
        received=0,
        quarantined=0,
        cost=None,
        batch_id=None,
        calls=1,
        next_at=at,
        window_ends_at=at + timedelta(days=1),
        case_at=None,
        asked_by=None,
        created_at=at,
        sent_at=at,
        settled_at=None,
    )


class AdapterContract:
    """Subclass it, give `line` and `open`, and name what this wire cannot show in `skips`."""

    # What is bought; any sku and value the simulator sells without a fault.
    line: Line
    # Faults this simulator has no place for.
    skips: frozenset[Fault] = frozenset()
    # Lines that this wire cannot say; an unknown currency or a sku of a wrong form.
    unsayable: Sequence[Line] = ()
    # HTTP status and JSON of every refusal that this wire has a word for and that names no order:
    # of the product, the account, the quantity, the asking.
    refusals: Sequence[tuple[int, object]]
    # Call names of the simulator that place.
    place_call = "place"

    async def open(self, stand: Open) -> Stand:
        raise NotImplementedError

    async def ask(self, at: Stand) -> None:
        """Something that needs a token and buys nothing."""
        if at.vendor.capabilities.balance:
            await at.vendor.balances()
        else:
            assert [offer async for offer in at.vendor.catalogue()]

    def brings(self) -> int:
        """How many cards there are when all is delivered."""
        return self.line.quantity

    async def settled(self, at: Stand, key: str, first: Outcome | None = None) -> Outcome:
        """Reads until the vendor is done with it."""
        purchase = purchase_of(key, self.line, getattr(first, "vendor_ref", None))
        for _ in range(READS_MAX):
            outcome: Outcome = await at.vendor.read(purchase)
            if not isinstance(outcome, Accepted):
                return outcome
            purchase = replace(purchase, vendor_ref=outcome.vendor_ref or purchase.vendor_ref)
            at.simulator.book.clock.advance(30)
        pytest.fail("never done")

    def sold(self, at: Stand) -> Sequence[int]:
        return [len(sale.cards) for sale in at.simulator.book.sales.values()]

    async def bought(self, at: Stand) -> Delivered:
        """What comes of the line, once it is placed and done with."""
        key = at.vendor.key(uuid4())
        first = await at.vendor.place(key, self.line)
        assert isinstance(first, Accepted | Delivered)
        done = first if isinstance(first, Delivered) else await self.settled(at, key, first)
        assert isinstance(done, Delivered)
        return done

    async def test_buys_once_and_brings_the_codes_the_vendor_sold(self, stand: Open) -> None:
        at = await self.open(stand)
        done = await self.bought(at)
        assert len(done.cards) == self.line.quantity
        [sale] = at.simulator.book.sales.values()
        told = {value for card in done.cards for value in card.fields.values()}
        assert {card.code for card in sale.cards} <= told

    async def test_who_wants_to_buy_is_seen_though_nothing_is_sold(
        self, stand: Open, sales_watch: Watch
    ) -> None:
        """By the watch of the whole session: under which key, before anything else is done."""
        at = await self.open(stand)
        at.simulator.script.add([Scripted(Fault.ERROR_BEFORE, self.place_call)])
        key = at.vendor.key(uuid4())
        await at.vendor.place(key, self.line)
        assert self.sold(at) == []
        assert key in sales_watch.heard

    async def test_keeps_no_code_in_the_exchanges(self, stand: Open) -> None:
        at = await self.open(stand)
        key = at.vendor.key(uuid4())
        first = await at.vendor.place(key, self.line)
        await self.settled(at, key, first)
        [sale] = at.simulator.book.sales.values()
        assert at.kept.exchanges
        for card in sale.cards:
            assert card.code not in at.kept.text
            assert f'"{card.pin}"' not in at.kept.text

    @pytest.mark.parametrize(
        "fault",
        [
            Fault.DROP_AFTER,
            Fault.ERROR_AFTER,
            Fault.SLOW,
            Fault.HTML,
            Fault.HUGE,
            Fault.GARBAGE,
            Fault.REDIRECT,
        ],
    )
    async def test_a_lost_answer_is_unknown_and_is_read_back(
        self, stand: Open, fault: Fault
    ) -> None:
        at = await self.open(stand)
        if fault in self.skips:
            pytest.skip("not on this wire")
        at.simulator.slow_s = 3.0
        key = at.vendor.key(uuid4())
        at.simulator.script.add([Scripted(fault, self.place_call)])
        assert isinstance(await at.vendor.place(key, self.line), Unknown)
        done = await self.settled(at, key)
        assert isinstance(done, Delivered)
        assert len(done.cards) == self.brings()
        assert self.sold(at) == [self.line.quantity]

    async def test_a_senseless_answer_to_placing_is_unknown(self, stand: Open) -> None:
        at = await self.open(stand)
        for status in STATUSES:
            for body in SENSELESS:
                at.simulator.instead = {self.place_call: (status, body)}
                outcome = await at.vendor.place(at.vendor.key(uuid4()), self.line)
                assert isinstance(outcome, Unknown), (status, body, outcome)

    async def test_a_senseless_answer_to_reading_is_unknown(self, stand: Open) -> None:
        at = await self.open(stand)
        key = at.vendor.key(uuid4())
        first = await at.vendor.place(key, self.line)
        purchase = purchase_of(key, self.line, getattr(first, "vendor_ref", None))
        for status in STATUSES:
            for body in SENSELESS:
                at.simulator.instead = {"*": (status, body)}
                outcome = await at.vendor.read(purchase)
                assert isinstance(outcome, Unknown), (status, body, outcome)
        at.simulator.instead = {}
        assert isinstance(await self.settled(at, key, first), Delivered)

    async def test_a_call_that_never_arrived_is_unknown_and_then_not_known(
        self, stand: Open
    ) -> None:
        at = await self.open(stand)
        key = at.vendor.key(uuid4())
        at.simulator.script.add([Scripted(Fault.DROP_BEFORE, self.place_call)])
        assert isinstance(await at.vendor.place(key, self.line), Unknown)
        assert isinstance(await at.vendor.read(purchase_of(key, self.line)), NotKnown)
        assert self.sold(at) == []

    async def test_placing_a_key_again_buys_nothing(self, stand: Open) -> None:
        at = await self.open(stand)
        key = at.vendor.key(uuid4())
        await at.vendor.place(key, self.line)
        again = await at.vendor.place(key, self.line)
        assert not isinstance(again, Refused), "only reading back tells what became of it"
        assert self.sold(at) == [self.line.quantity]

    @pytest.mark.parametrize(
        ("fault", "reason"),
        [
            (Fault.OUT_OF_STOCK, Reason.OUT_OF_STOCK),
            (Fault.NO_BALANCE, Reason.INSUFFICIENT_VENDOR_BALANCE),
            (Fault.INACTIVE, Reason.PRODUCT_INACTIVE),
            (Fault.PRICE_DRIFT, Reason.PRICE_CHANGED),
        ],
    )
    async def test_a_refusal_says_why_and_buys_nothing(
        self, stand: Open, fault: Fault, reason: Reason
    ) -> None:
        at = await self.open(stand)
        if fault in self.skips:
            pytest.skip("not on this wire")
        at.simulator.script.add([Scripted(fault, self.place_call)])
        outcome = await at.vendor.place(at.vendor.key(uuid4()), self.line)
        assert isinstance(outcome, Refused)
        assert outcome.reason is reason
        assert not outcome.transient
        assert self.sold(at) == []

    async def test_asked_too_often_is_a_transient_refusal(self, stand: Open) -> None:
        at = await self.open(stand)
        if Fault.THROTTLE in self.skips:
            pytest.skip("not on this wire")
        at.simulator.script.add([Scripted(Fault.THROTTLE, self.place_call)])
        outcome = await at.vendor.place(at.vendor.key(uuid4()), self.line)
        assert isinstance(outcome, Refused)
        assert outcome.transient
        assert self.sold(at) == []

    @pytest.mark.parametrize(
        "fault", [Fault.THROTTLE, Fault.IP_DENIED, Fault.ERROR_BEFORE, Fault.HTML, Fault.GARBAGE]
    )
    async def test_a_failed_read_says_nothing_about_the_order(
        self, stand: Open, fault: Fault
    ) -> None:
        at = await self.open(stand)
        if fault in self.skips:
            pytest.skip("not on this wire")
        key = at.vendor.key(uuid4())
        first = await at.vendor.place(key, self.line)
        # Any call while reading, however many the wire needs.
        at.simulator.script.add([Scripted(fault)])
        read = await at.vendor.read(purchase_of(key, self.line, getattr(first, "vendor_ref", None)))
        assert isinstance(read, Unknown)
        at.simulator.script.clear()
        assert isinstance(await self.settled(at, key, first), Delivered)

    @pytest.mark.parametrize("named", [False, True])
    async def test_a_general_refusal_of_a_read_says_nothing_about_the_order(
        self, stand: Open, named: bool
    ) -> None:
        """Whichever of the calls that a read takes is refused; the vendor has sold all the same."""
        at = await self.open(stand)
        key = at.vendor.key(uuid4())
        first = await at.vendor.place(key, self.line)
        ref = getattr(first, "vendor_ref", None) if named else None
        purchase = purchase_of(key, self.line, ref)
        asked = Counter(at.simulator.book.calls)
        await at.vendor.read(purchase)
        calls = (at.simulator.book.calls - asked).keys()
        assert calls and self.refusals
        for call in calls:
            for status, said in (*self.refusals, *DENIALS):
                at.simulator.instead = {call: (status, msgspec.json.encode(said))}
                outcome = await at.vendor.read(purchase)
                assert isinstance(outcome, Unknown | Accepted), (call, status, said, outcome)
        at.simulator.instead = {}
        assert isinstance(await self.settled(at, key, first), Delivered)

    @pytest.mark.parametrize("poison", ["\x00", "\ud800"])
    async def test_what_cannot_be_written_down_is_told_as_it_is_or_not_at_all(
        self, stand: Open, poison: str
    ) -> None:
        at = await self.open(stand)
        real = at.simulator.book._card
        left = iter([True])

        def card(*asked: Any) -> Any:
            made = real(*asked)
            return replace(made, code=made.code + poison) if next(left, False) else made

        at.simulator.book._card = card  # type: ignore[method-assign]
        key = at.vendor.key(uuid4())
        first = await at.vendor.place(key, self.line)
        done = first if isinstance(first, Delivered) else await self.settled(at, key, first)
        assert isinstance(done, Delivered | Unknown), done
        kept = storable(done)
        assert "\x00" not in repr(kept)
        assert repr(kept).isprintable()
        [sale] = at.simulator.book.sales.values()
        sold = {card.code for card in sale.cards}
        for one in kept.cards if isinstance(kept, Delivered) else ():
            told = "".join(one.fields.values())
            told.encode()
            assert not told or any(code in told for code in sold), "a code is never altered"

    async def test_a_part_is_told_as_a_part(self, stand: Open) -> None:
        at = await self.open(stand)
        if Fault.PARTIAL in self.skips:
            pytest.skip("not on this wire")
        at.simulator.script.add([Scripted(Fault.PARTIAL, self.place_call)])
        key = at.vendor.key(uuid4())
        first = await at.vendor.place(key, self.line)
        done = await self.settled(at, key, first)
        assert isinstance(done, Delivered)
        assert len(done.cards) == self.line.quantity // 2

    async def test_a_late_failure_is_a_refusal(self, stand: Open) -> None:
        at = await self.open(stand)
        if Fault.LATE_FAILURE in self.skips:
            pytest.skip("not on this wire")
        at.simulator.book.delay_s = 20
        at.simulator.script.add([Scripted(Fault.LATE_FAILURE, self.place_call)])
        key = at.vendor.key(uuid4())
        first = await at.vendor.place(key, self.line)
        assert isinstance(first, Accepted)
        assert isinstance(await self.settled(at, key, first), Refused)

    async def test_tells_the_balance_and_the_catalogue(self, stand: Open) -> None:
        at = await self.open(stand)
        if at.vendor.capabilities.balance:
            [balance] = [b for b in await at.vendor.balances() if b.currency == self.line.currency]
            assert balance.amount_minor == at.simulator.book.balance_minor
        if at.vendor.capabilities.catalogue:
            offers = {offer.sku: offer async for offer in at.vendor.catalogue()}
            assert offers.keys() == at.simulator.book.products.keys()
            offer = offers[self.line.sku]
            assert offer.currency == self.line.currency
            assert offer.min_minor <= self.line.face_minor <= offer.max_minor

    async def test_its_book_lists_what_it_sold(self, stand: Open) -> None:
        at = await self.open(stand)
        now = at.simulator.book.clock.now()
        if not at.vendor.capabilities.book:
            with pytest.raises(VendorRefused):
                at.vendor.book(now - DAY, now)
            return
        keys = {at.vendor.key(uuid4()) for _ in range(3)}
        for key in keys:
            await self.settled(at, key, await at.vendor.place(key, self.line))
        lines = [line async for line in at.vendor.book(now - DAY, now + DAY)]
        assert {line.key for line in lines} == keys
        for line in lines:
            assert (line.state, line.quantity) == (SaleState.SOLD, self.line.quantity)
            assert line.vendor_ref
        assert [line async for line in at.vendor.book(now - 9 * DAY, now - 8 * DAY)] == []
        codes = [card.code for sale in at.simulator.book.sales.values() for card in sale.cards]
        told = [str(each) for each in at.kept.exchanges if each.call == "book"]
        assert told
        assert not [code for code in codes if any(code in text for text in told)]
        for fault in (Fault.ERROR_BEFORE, Fault.GARBAGE):
            at.simulator.script.add([Scripted(fault)])
            with pytest.raises((NotSent, NoAnswer, VendorRefused)):
                [line async for line in at.vendor.book(now - DAY, now + DAY)]

    async def test_what_cannot_be_said_is_refused_and_not_sent(self, stand: Open) -> None:
        at = await self.open(stand)
        for line in self.unsayable:
            outcome = await at.vendor.place(at.vendor.key(uuid4()), line)
            assert isinstance(outcome, Refused)
            assert outcome.reason is Reason.VENDOR_CONFIG
        assert at.kept.exchanges == []
        assert self.sold(at) == []

    @pytest.mark.parametrize(
        "fault", [Fault.THROTTLE, Fault.IP_DENIED, Fault.ERROR_BEFORE, Fault.HTML, Fault.GARBAGE]
    )
    async def test_a_balance_or_catalogue_not_told_raises_what_the_port_names(
        self, stand: Open, fault: Fault
    ) -> None:
        at = await self.open(stand)
        if fault in self.skips:
            pytest.skip("not on this wire")
        if at.vendor.capabilities.balance:
            at.simulator.script.add([Scripted(fault)])
            with pytest.raises((NotSent, NoAnswer, VendorRefused)):
                await at.vendor.balances()
        if at.vendor.capabilities.catalogue:
            at.simulator.script.add([Scripted(fault)])
            with pytest.raises((NotSent, NoAnswer, VendorRefused)):
                [offer async for offer in at.vendor.catalogue()]

    async def test_a_senseless_balance_or_catalogue_is_empty_or_no_answer(
        self, stand: Open
    ) -> None:
        at = await self.open(stand)
        await self.ask(at)
        for body in SENSELESS:
            at.simulator.instead = {"*": (200, body)}
            told: list[object] = []
            with suppress(NoAnswer, VendorRefused):
                told += await at.vendor.balances()
            with suppress(NoAnswer, VendorRefused):
                told += [offer async for offer in at.vendor.catalogue()]
            assert told == [], body


class TokenContract(AdapterContract):
    """For vendors whose calls need a token that is fetched first."""

    # Call name of the simulator that hands tokens out.
    token_call = "token"

    async def test_many_callers_fetch_one_token(self, stand: Open) -> None:
        at = await self.open(stand)
        await asyncio.gather(*(self.ask(at) for _ in range(5)))
        assert at.simulator.book.calls[self.token_call] == 1

    async def test_a_rejected_token_is_renewed_once_and_bought_with_once(self, stand: Open) -> None:
        at = await self.open(stand)
        await self.ask(at)
        at.simulator.script.add([Scripted(Fault.TOKEN_KILLED, self.place_call)])
        outcome = await at.vendor.place(at.vendor.key(uuid4()), self.line)
        assert isinstance(outcome, Accepted | Delivered)
        assert at.simulator.book.calls[self.token_call] == 2
        assert self.sold(at) == [self.line.quantity]

    async def test_a_token_that_stays_rejected_is_renewed_only_once(self, stand: Open) -> None:
        at = await self.open(stand)
        at.simulator.script.add([Scripted(Fault.TOKEN_KILLED, self.place_call, times=9)])
        outcome = await at.vendor.place(at.vendor.key(uuid4()), self.line)
        assert isinstance(outcome, Refused)
        assert outcome.reason is Reason.BAD_CREDENTIALS
        assert at.simulator.book.calls[self.place_call] == 2
        assert self.sold(at) == []

    @pytest.mark.parametrize(
        "fault",
        [Fault.DROP_BEFORE, Fault.ERROR_BEFORE, Fault.THROTTLE, Fault.HTML, Fault.GARBAGE],
    )
    async def test_without_a_token_nothing_is_sent_and_it_may_be_placed_later(
        self, stand: Open, fault: Fault
    ) -> None:
        at = await self.open(stand)
        # More than once: a GET that is dropped is sent again by the HTTP client.
        at.simulator.script.add([Scripted(fault, self.token_call, times=9)])
        key = at.vendor.key(uuid4())
        outcome = await at.vendor.place(key, self.line)
        assert isinstance(outcome, Refused)
        assert outcome.transient
        assert at.simulator.book.calls[self.place_call] == 0
        at.simulator.script.clear()
        assert isinstance(await at.vendor.place(key, self.line), Accepted | Delivered)
        assert self.sold(at) == [self.line.quantity]

    async def test_an_address_that_may_not_sign_in_is_refused_for_good(self, stand: Open) -> None:
        at = await self.open(stand)
        at.simulator.script.add([Scripted(Fault.IP_DENIED, self.token_call)])
        outcome = await at.vendor.place(at.vendor.key(uuid4()), self.line)
        assert isinstance(outcome, Refused)
        assert outcome.reason is Reason.IP_NOT_ALLOWED
        assert at.simulator.book.calls[self.place_call] == 0
