"""The sandbox vendor and its simulator, held to what every adapter must do."""

from rewards.vendors.adapters.sandbox import REASONS
from rewards.vendors.model import Line
from rewards.vendors.simulators.book import Book, SimClock, SimProduct
from rewards.vendors.simulators.sandbox import SandboxSimulator
from tests.vendors.conftest import Open, Stand, now
from tests.vendors.contract import AdapterContract
from tests.vendors.contract_recharges import RechargeContract

PRODUCTS = [
    SimProduct("AMZ-25", "Amazon 25", "USD", 2_500, 2_500, (2_500,)),
    SimProduct("ANY", "Any value", "USD", 100, 50_000),
]
REFUSALS = tuple((422, {"reason": word}) for word in REASONS)


class TestSandboxVendor(AdapterContract):
    line = Line("AMZ-25", 2_500, "USD", 4)
    refusals = REFUSALS

    async def open(self, stand: Open) -> Stand:
        book = Book(SimClock(now), PRODUCTS)
        return await stand("sandbox", SandboxSimulator(book), {}, {"api_key": "k"})


class TestSandboxRecharges(RechargeContract):
    mobile = {"mobile_country_code": "+91", "mobile_number": "9876543210"}
    line = Line("ANY", 5_000, "USD", 1, mobile)
    refusals = REFUSALS

    async def open(self, stand: Open) -> Stand:
        book = Book(SimClock(now), PRODUCTS)
        return await stand("sandbox", SandboxSimulator(book), {}, {"api_key": "k"})
