"""The encrypted-pull vendors and their simulators, held to what every adapter must do."""

from uuid import uuid4

from rewards.vendors.adapters.pull_presets import VALUEDESIGN, VOUCHAGRAM
from rewards.vendors.model import Accepted, Delivered
from rewards.vendors.simulators.faults import Fault, Scripted
from rewards.vendors.simulators.vouchagram import VouchagramSimulator
from tests.vendors.conftest import Open, Stand
from tests.vendors.contract import TokenContract, purchase_of
from tests.vendors.pulling import (
    CBC,
    CODES_SETTINGS,
    GCM_SETTINGS,
    LINE,
    OTHER_LINES,
    book,
    refusals,
    valuedesign,
    vouchagram,
    voucherkart,
)


class TestVouchagram(TokenContract):
    line = LINE
    unsayable = OTHER_LINES
    # An order comes whole, and it has no word for a price that changed.
    skips = frozenset([Fault.PRICE_DRIFT, Fault.PARTIAL])
    refusals = refusals(VOUCHAGRAM)

    async def open(self, stand: Open) -> Stand:
        return await vouchagram(stand)


class TestVouchagramWithTheCodeInVoucherNo(TestVouchagram):
    async def open(self, stand: Open) -> Stand:
        simulator = VouchagramSimulator(book(), CBC)
        simulator.code_name = "VoucherNo"
        return await vouchagram(stand, simulator)


class TestVoucherKart(TestVouchagram):
    async def open(self, stand: Open) -> Stand:
        return await voucherkart(stand)


class TestVoucherKartSealingEachMessageByItself(TestVouchagram):
    async def open(self, stand: Open) -> Stand:
        return await voucherkart(stand, GCM_SETTINGS)


class TestVoucherKartSealingOnlyTheCodes(TestVouchagram):
    async def open(self, stand: Open) -> Stand:
        return await voucherkart(stand, CODES_SETTINGS)


class TestValueDesign(TokenContract):
    line = LINE
    unsayable = OTHER_LINES
    # An order comes whole, and it has no word for a price that changed.
    # Nor is any of its codes known to say that an order failed for good.
    skips = frozenset([Fault.PRICE_DRIFT, Fault.PARTIAL, Fault.LATE_FAILURE])
    refusals = refusals(VALUEDESIGN)

    async def open(self, stand: Open) -> Stand:
        return await valuedesign(stand)

    async def test_cards_that_are_not_activated_yet_are_waited_for(self, stand: Open) -> None:
        at = await self.open(stand)
        key = at.vendor.key(uuid4())
        at.simulator.script.add([Scripted(Fault.DROP_AFTER, "place")])
        await at.vendor.place(key, self.line)
        at.simulator.activated = 1
        assert isinstance(await at.vendor.read(purchase_of(key, self.line)), Accepted)
        done = await at.vendor.read(purchase_of(key, self.line))
        assert isinstance(done, Delivered)
        assert len(done.cards) == self.line.quantity

    async def test_a_part_is_waited_for(self, stand: Open) -> None:
        at = await self.open(stand)
        at.simulator.script.add([Scripted(Fault.PARTIAL, "place")])
        key = at.vendor.key(uuid4())
        first = await at.vendor.place(key, self.line)
        assert isinstance(first, Accepted)
        purchase = purchase_of(key, self.line, first.vendor_ref)
        assert isinstance(await at.vendor.read(purchase), Accepted)

    async def test_a_no_to_the_codes_of_a_done_order_is_no_no_to_the_order(
        self, stand: Open
    ) -> None:
        at = await self.open(stand)
        at.simulator.script.add([Scripted(Fault.DROP_AFTER, "place")])
        key = at.vendor.key(uuid4())
        await at.vendor.place(key, self.line)
        for fault in (Fault.IP_DENIED, Fault.THROTTLE):
            at.simulator.script.add([Scripted(fault, "codes")])
            assert isinstance(await at.vendor.read(purchase_of(key, self.line)), Accepted)
        assert isinstance(await at.vendor.read(purchase_of(key, self.line)), Delivered)
