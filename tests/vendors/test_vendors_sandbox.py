"""The sandbox vendor and its simulator, held to what every adapter must do."""

from rewards.vendors.model import Line
from rewards.vendors.simulators.book import Book, SimClock, SimProduct
from rewards.vendors.simulators.sandbox import SandboxSimulator
from tests.vendors.conftest import Open, Stand, now
from tests.vendors.contract import AdapterContract

PRODUCTS = [
    SimProduct("AMZ-25", "Amazon 25", "USD", 2_500, 2_500, (2_500,)),
    SimProduct("ANY", "Any value", "USD", 100, 50_000),
]


class TestSandboxVendor(AdapterContract):
    line = Line("AMZ-25", 2_500, "USD", 4)

    async def open(self, stand: Open) -> Stand:
        book = Book(SimClock(now), PRODUCTS)
        return await stand("sandbox", SandboxSimulator(book), {}, {"api_key": "k"})
