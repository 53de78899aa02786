"""Money in the console: a day, wallets, lines, what is owed, statements, a second person."""

import json
import re
from datetime import timedelta
from decimal import Decimal

import pytest

from rewards.console.http_money import moved
from rewards.reconciliation import documents, statement
from rewards.staff import bookings, credit
from rewards.staff.model import Role
from rewards.wallets.model import WalletStatus
from tests.console.desk import Desk, Visitor

MONEY = "/console/money"


class Till:
    """A desk with a client who bought twice; one order was taken back."""

    def __init__(self, desk: Desk, finance: Visitor) -> None:
        self.desk, self.finance = desk, finance

    async def fill(self) -> None:
        shop = self.desk.shop
        product = await shop.product()
        self.client = await shop.client(minor=100_000)
        await shop.stock(product, 4)
        self.kept = (await shop.place_one(shop.ask(self.client, product, 2))).order
        self.gone = (await shop.place_one(shop.ask(self.client, product, 1))).order
        await shop.cancel(self.gone.id)
        self.wallet = (await shop.wallets(self.client))["USD"].id

    @property
    def page(self) -> str:
        return f"{MONEY}/wallets/{self.wallet}"

    async def book(self, act: str, **fields: str) -> str:
        """What the page of the wallet says after the form of it was sent."""
        path = f"/console/clients/{self.client}/wallets/{self.wallet}/{act}"
        page = await self.finance.send(self.page, path, back=self.page, **fields)
        assert page.url.endswith(self.page)
        return page.said

    async def balance(self) -> int:
        return (await self.desk.shop.wallets(self.client))["USD"].balance_minor

    async def line_of(self, kind: str) -> int:
        async with self.desk.shop.parts.db.connection() as connection:
            number: int = await connection.fetchval(
                "SELECT max(id) FROM ledger_transfers WHERE kind = $1", kind
            )
        return number


@pytest.fixture
async def till(desk: Desk) -> Till:
    made = Till(desk, await desk.at(Role.FINANCE))
    await made.fill()
    return made


async def test_a_day_is_told_and_leads_to_its_lines(till: Till) -> None:
    page = await till.finance.get(MONEY)
    assert ", so far" in page.said
    for amount in ("1,000.00", "76.50", "25.50", "949.00"):
        assert amount in page.said, amount
    assert "they are compared in the coming night at three" in page.said
    links = re.findall(r'href="(/console/money/lines\?[^"]+)"', page.text)
    assert len(links) == 4
    said = [(await till.finance.get(link.replace("&amp;", "&"))).said for link in links]
    assert [text.count("USD wallet") for text in said] == [4, 1, 2, 1]
    assert "Refund" in said[3]
    page = await till.finance.get(f"{MONEY}?day=2020-01-01")
    assert "No money moved" in page.said
    assert "Signed statement of this day" in page.said
    assert "Day after" in page.said
    assert (await till.finance.get(f"{MONEY}?day=nonsense")).status == 200


def test_what_moved_is_told_as_clients_had_it() -> None:
    flows = [
        {"account": "SALES", "currency": "USD", "came_in": 10, "went_out": Decimal("2.5")},
        {"account": "FUNDING", "currency": "USD", "came_in": 0, "went_out": 100},
        {"account": "ADJUSTMENTS", "currency": "JPY", "came_in": 7, "went_out": 3},
    ]
    yen, dollars = moved(flows)
    assert (yen.currency, yen.given, yen.taken, yen.net) == ("JPY", 3, 7, -4)
    assert (dollars.ordered, dollars.refunded, dollars.topped_up) == (10, Decimal("2.5"), 100)
    assert dollars.net == Decimal("92.5")


async def test_a_wallet_is_found_narrowed_and_a_line_followed_home(till: Till) -> None:
    page = await till.finance.get(f"{MONEY}/wallets?currency=usd&below=1000")
    assert f'href="{till.page}"' in page.text
    page = await till.finance.get(till.page)
    assert "949.00" in page.said
    assert len(re.findall(r'href="/console/money/lines/\d+"', page.text)) == 4
    page = await till.finance.get(f"{till.page}?type=ORDER&order_id={till.kept.id}")
    [link] = re.findall(r'href="(/console/money/lines/\d+)"', page.text)
    page = await till.finance.get(link)
    assert f'href="/console/orders/{till.kept.id}"' in page.text
    assert "Sales, USD" in page.said
    assert "51.00" in page.said
    assert f'href="/console/clients/{till.client}/wallets"' in page.text
    page = await till.finance.get(f"{till.page}?from=2020-01-01&to=2020-01-02")
    assert "No line fits" in page.said
    page = await till.finance.get(f"{till.page}?from=yesterday")
    assert "Invalid From: timestamp" in page.said
    assert (await till.finance.get(f"{MONEY}/wallets/987654")).status == 404
    assert (await till.finance.get(f"{MONEY}/lines/987654")).status == 404


async def test_a_top_up_is_booked_once_and_says_who_did_it(till: Till) -> None:
    before = await till.balance()
    fields = {"amount": "12.50", "reference": "bank-1", "note": "their first wire"}
    assert "Topped up." in await till.book("top-up", **fields)
    assert "Topped up." in await till.book("top-up", **fields)
    assert await till.balance() == before + 1_250
    page = await till.finance.get(f"{MONEY}/lines/{await till.line_of('TOPUP')}")
    assert "finance@example.com" in page.said
    assert "bank-1" in page.said
    assert "their first wire" in page.said
    assert "Insufficient funds" in await till.book(
        "adjust", direction="DEBIT", amount="99999.99", reference="a", note="a mistake"
    )
    said = await till.book("adjust", direction="DEBIT", amount="2.50", reference="b", note="fee")
    assert "Booked." in said
    assert await till.balance() == before + 1_000


async def test_much_money_waits_for_a_second_person(till: Till) -> None:
    shop, before = till.desk.shop, await till.balance()
    said = await till.book("top-up", amount="50000", reference="wire-9")
    assert "Nothing is booked before a second person agrees" in said
    assert "A top-up of 50,000.00 USD waits for a second person: you asked" in said
    assert await till.balance() == before
    assert "For a second person 1" in (await till.finance.get(MONEY)).said
    page = await till.finance.get("/console/approvals")
    [number] = re.findall(r"/console/approvals/(\d+)/withdraw", page.text)
    assert f"/console/approvals/{number}/approve" not in page.text
    page = await till.finance.send("/console/approvals", f"/console/approvals/{number}/withdraw")
    assert "Withdrawn; nothing comes of it." in page.said
    await till.book("top-up", amount="50000", reference="wire-9")
    admin = await till.desk.at(Role.ADMIN)
    page = await admin.get("/console/approvals")
    [number] = re.findall(r"/console/approvals/(\d+)/approve", page.text)
    assert "finance@example.com" in page.said
    assert f"/console/approvals/{number}/withdraw" not in page.text
    # Somebody else's is taken back by nobody.
    page = await admin.send("/console/approvals", f"/console/approvals/{number}/withdraw")
    assert "withdrawn by the person who made it" in page.said
    page = await admin.send("/console/approvals", f"/console/approvals/{number}/approve")
    assert "Approved" in page.said
    await bookings.carry_out(shop.parts.db, shop.parts.clock, int(number))
    assert await till.balance() == before + 5_000_000
    page = await till.finance.get("/console/approvals?state=CARRIED_OUT")
    [link] = re.findall(r'href="(/console/money/lines/\d+)"', page.text)
    page = await till.finance.get(link)
    assert "Asked for by finance@example.com" in page.said
    assert "Booked by admin@example.com" in page.said
    assert f"Approval {number}" in page.said


async def test_much_credit_waits_for_a_second_person(till: Till) -> None:
    parts, path = till.desk.shop.parts, f"/console/clients/{till.client}/wallets"
    much = {"currency": "USD", "type": "POSTPAID", "credit_limit": "50000"}
    page = await till.finance.send(path, path, **much)
    assert "The wallet is open. Its credit waits for a second person" in page.said
    waits = "A raise of the credit limit of 50,000.00 USD waits for a second person: you asked"
    assert waits in page.said
    wallet = max(map(int, re.findall(r"/wallets/(\d+)/change", page.text)))
    own = f"{MONEY}/wallets/{wallet}"
    assert waits in (await till.finance.get(own)).said
    assert "For a second person 1" in (await till.finance.get(MONEY)).said
    admin = await till.desk.at(Role.ADMIN)
    page = await admin.get("/console/approvals")
    assert "Credit limit" in page.said
    assert "From 0.00 USD to 50,000.00 USD" in page.said
    [number] = re.findall(r"/console/approvals/(\d+)/approve", page.text)
    await admin.send("/console/approvals", f"/console/approvals/{number}/approve")
    await credit.carry_out(parts.db, parts.clock, int(number))
    page = await till.finance.get(own)
    assert "Credit limit 50,000.00 USD" in page.said
    assert "waits for a second person" not in page.said
    change = {"credit_limit": "90000", "low_balance": "5", "reason": "grown"}
    page = await till.finance.send(own, f"{path}/{wallet}/change", back=own, **change)
    assert "The credit limit stays before a second person agrees" in page.said
    assert "Credit limit 50,000.00 USD" in page.said
    assert "Threshold 5.00 USD" in page.said


async def test_what_is_owed_says_what_blocks_it_and_is_tried_again(till: Till) -> None:
    shop = till.desk.shop
    assert "Nothing is owed" in (await till.finance.get(f"{MONEY}/owed")).said
    await shop.set_wallet_status(till.client, WalletStatus.FROZEN)
    await shop.cancel(till.kept.id)
    page = await till.finance.get(f"{MONEY}/owed")
    assert "The wallet is frozen: make it active, then try again." in page.said
    assert "51.00" in page.said
    assert "Refunds owed 1" in (await till.finance.get(MONEY)).said
    said = await till.book("change", status="ACTIVE", reason="they called", low_balance="2000")
    assert "Saved." in said
    assert "Nothing any more: try again now." in (await till.finance.get(f"{MONEY}/owed")).said
    path = f"/console/orders/{till.kept.id}/refund-retry"
    page = await till.finance.send(f"{MONEY}/owed", path, back=f"{MONEY}/owed")
    assert "The refund was tried again." in page.said
    assert "Nothing is owed" in page.said
    assert (await shop.order(till.kept.id)).refund_owed_minor == 0
    page = await till.finance.get(f"{MONEY}/wallets?low=true")
    assert f'href="{till.page}"' in page.text
    assert "Saved." in await till.book("change", low_balance="", reason="not any more")
    page = await till.finance.get(f"{MONEY}/wallets?low=true")
    assert "No wallet is below its threshold" in page.said


async def test_a_statement_is_taken_along_and_verifies(till: Till) -> None:
    parts = till.desk.shop.parts
    today = till.desk.clock.now().date()
    page = await till.finance.get(f"{MONEY}/statements/file?from={today}&to={today}")
    assert "The day is not over yet." in page.said
    assert page.url.endswith(f"{MONEY}/statements")
    till.desk.clock.ahead += timedelta(days=1)
    finance = await till.desk.at(Role.FINANCE)
    key = documents.public_key_of(statement.signing_key(parts.vault))
    for form, media in (("json", "application/json"), ("csv", "text/csv")):
        path = f"{MONEY}/statements/file?from={today}&to={today}&client={till.client}&form={form}"
        file = await finance.get(path)
        assert file.headers["Content-Type"].startswith(media)
        name = f'attachment; filename="statement-{today}-{today}.{form}"'
        assert file.headers["Content-Disposition"] == name
        assert documents.tampering(file.text.encode(), key) == []
    told = json.loads((await finance.get(path.replace("csv", "json"))).text)
    [line] = told["lines"]
    assert line["line"]["currency"] == "USD"
    page = await finance.get(f"{MONEY}/statements")
    assert "rewards verify-statement" in page.said


async def test_who_may_only_look_is_offered_nothing_to_book(till: Till) -> None:
    viewer = await till.desk.at(Role.VIEWER)
    page = await viewer.get(till.page)
    assert "Top up" not in page.said
    assert 'id="adjust-' not in page.text
    before = await till.desk.shop.everything()
    path = f"/console/clients/{till.client}/wallets/{till.wallet}/top-up"
    page = await viewer.send(till.page, path, back=till.page, amount="1", reference="x")
    assert "It needs the permission wallets:top_up." in page.said
    assert await till.desk.shop.everything() == before
