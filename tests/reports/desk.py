"""An office whose worker writes reports, with something of every kind to write down."""

import csv
import io
from dataclasses import dataclass, field
from typing import Any

from rewards.orders.model import Order
from rewards.reports.sources import sources
from rewards.reports.tasks import Writing
from tests.market import MovedClock
from tests.staff.office import API, Office

TODAY_KINDS = ("ORDERS", "TRANSACTIONS", "REFUNDS", "STOCK_MOVEMENTS", "DELIVERIES")


@dataclass
class Desk:
    """`support` asks; `writing` is the worker, with steps of a few ids."""

    office: Office
    clock: MovedClock
    orders: list[Order] = field(default_factory=list)

    @property
    def writing(self) -> Writing:
        parts = self.office.shop.parts
        return Writing(parts.db, parts.clock, sources(parts.catalog, parts.clock), ids_a_step=3)

    @property
    def today(self) -> str:
        return self.clock.now().date().isoformat()

    async def fill(self, orders: int = 8) -> None:
        """Orders of one client, one of them taken back."""
        shop = self.office.shop
        self.client = await shop.client(minor=1_000_000)
        product = await shop.product(name="=Amazon")
        await shop.stock(product, orders + 2)
        self.orders = [
            (await shop.place_one(shop.ask(self.client, product))).order for _ in range(orders)
        ]
        await shop.cancel(self.orders[0].id)

    async def ask(self, kind: str = "ORDERS", who: str = "support", **asked: Any) -> int:
        given = {} if kind == "STOCK_DEPTH" else {"from": self.today} | asked
        body = {"kind": kind, "parameters": given}
        told = await self.office.ask(who, "POST", "/reports", body, 202)
        assert (told["state"], told["rows"]) == ("QUEUED", 0)
        number: int = told["report_id"]
        return number

    async def read(self, number: int, who: str = "support") -> Any:
        return await self.office.ask(who, "GET", f"/reports/{number}")

    async def file(self, number: int, who: str = "support") -> Any:
        return await self.office.http.get(
            f"{API}/reports/{number}/file", headers=self.office.token(who)
        )

    async def rows(self, number: int) -> list[dict[str, str]]:
        """The lines of the file, as a spreadsheet reads them."""
        answer = await self.file(number)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("text/csv")
        assert int(answer.headers["content-length"]) == len(answer.content)
        return list(csv.DictReader(io.StringIO(answer.text, newline="")))

    async def made(self, kind: str = "ORDERS", **asked: Any) -> list[dict[str, str]]:
        number = await self.ask(kind, **asked)
        await self.writing.work_on([number])
        told = await self.read(number)
        assert (told["state"], told["progress"]) == ("DONE", 1.0), told
        rows = await self.rows(number)
        assert told["rows"] == len(rows)
        return rows
