"""What every adapter that recharges numbers must do, as tests to be inherited."""

from dataclasses import replace
from uuid import uuid4

from rewards.vendors.model import Accepted, Delivered, Line, Reason, Refused, Stage
from rewards.vendors.simulators.faults import REFUSED_NUMBER, Fault
from tests.vendors.conftest import Open
from tests.vendors.contract import AdapterContract, purchase_of


class RechargeContract(AdapterContract):
    """The same for lines with a number, whose delivery is somebody's word, and what is theirs."""

    # There is nothing to bring a part of.
    skips = frozenset({Fault.PARTIAL})

    def brings(self) -> int:
        return 0

    def refused_line(self) -> Line:
        """The same recharge for a number that its operator will refuse."""
        assert self.line.mobile is not None
        number = self.line.mobile["mobile_number"][: -len(REFUSED_NUMBER)] + REFUSED_NUMBER
        return replace(self.line, mobile={**self.line.mobile, "mobile_number": number})

    async def test_buys_once_and_brings_the_codes_the_vendor_sold(self, stand: Open) -> None:
        at = await self.open(stand)
        done = await self.bought(at)
        assert len(done.cards) == self.brings()
        [sale] = at.simulator.book.sales.values()
        told = {value for card in done.cards for value in card.fields.values()}
        assert {card.code for card in sale.cards[: self.brings()]} <= told
        assert done.cost is not None
        assert done.cost.amount_minor == sale.cost_minor > 0

    async def test_says_when_the_operator_has_it_in_hand(self, stand: Open) -> None:
        at = await self.open(stand)
        at.simulator.book.delay_s = 100
        key = at.vendor.key(uuid4())
        first = await at.vendor.place(key, self.line)
        assert isinstance(first, Accepted)
        assert first.stage is Stage.QUEUED
        purchase = purchase_of(key, self.line, first.vendor_ref)
        seen = []
        for _ in range(3):
            at.simulator.book.clock.advance(40)
            seen.append(await at.vendor.read(purchase))
        assert [getattr(one, "stage", None) for one in seen] == [Stage.QUEUED, Stage.IN_HAND, None]
        assert isinstance(seen[2], Delivered)

    async def test_a_number_that_the_operator_refuses_is_refused_late(self, stand: Open) -> None:
        at = await self.open(stand)
        at.simulator.book.delay_s = 20
        key = at.vendor.key(uuid4())
        first = await at.vendor.place(key, self.refused_line())
        assert isinstance(first, Accepted)
        outcome = await self.settled(at, key, first)
        assert isinstance(outcome, Refused)
        assert outcome.reason is Reason.BAD_RECIPIENT
        assert not outcome.transient
        assert at.simulator.book.balance_minor == at.simulator.book.opening_minor

    async def test_keeps_no_phone_number(self, stand: Open) -> None:
        at = await self.open(stand)
        outcomes = []
        for line in (self.line, self.refused_line()):
            key = at.vendor.key(uuid4())
            first = await at.vendor.place(key, line)
            # Read back by our key alone, too.
            outcomes += [first, await self.settled(at, key), await self.settled(at, key, first)]
            assert line.mobile is not None
            assert line.mobile["mobile_number"] not in at.kept.text
            assert line.mobile["mobile_number"] not in repr(outcomes)
        assert at.kept.exchanges
