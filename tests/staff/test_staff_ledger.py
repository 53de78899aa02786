"""The ledger, refunds owed, statements and settings, as staff read them."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rewards.infra.settings import Settings
from rewards.infra.settings_told import descriptions, told
from rewards.reconciliation import documents, statement
from rewards.wallets.model import WalletStatus
from tests.market import MovedClock
from tests.staff.office import API, Office, open_office

SECRET = "the-password-of-the-relay-4711"


class Books:
    """An office with two clients; one has an order that was delivered and one taken back."""

    def __init__(self, office: Office, clock: MovedClock) -> None:
        self.office, self.clock = office, clock

    async def fill(self) -> None:
        shop = self.office.shop
        self.rich = await shop.client(minor=100_000, currencies=("USD", "JPY"))
        self.poor = await shop.client(minor=500)
        product = await shop.product()
        await shop.stock(product, 4)
        self.kept = (await shop.place_one(shop.ask(self.rich, product, 2))).order
        self.gone = (await shop.place_one(shop.ask(self.rich, product, 2))).order
        await shop.cancel(self.gone.id)
        self.usd = (await shop.wallets(self.rich))["USD"].id

    async def get(self, path: str, who: str = "viewer", status: int = 200) -> Any:
        return await self.office.ask(who, "GET", path, None, status)

    async def raw(self, path: str, accept: str = "application/json", who: str = "viewer") -> Any:
        return await self.office.http.get(
            API + path, headers=self.office.token(who) | {"Accept": accept}
        )

    async def refused(self, path: str, status: int = 400) -> str:
        before = await self.office.shop.everything()
        told = await self.get(path, status=status)
        assert await self.office.shop.everything() == before
        return str(told["message"])


@pytest.fixture
async def books(dsn: str, tmp_path: Path) -> AsyncIterator[Books]:
    clock = MovedClock()
    async with open_office(dsn, tmp_path, clock, mail_password=SECRET) as office:
        made = Books(office, clock)
        await made.fill()
        yield made


async def test_wallets_are_found_and_paged(books: Books) -> None:
    async def found(query: str) -> list[int]:
        return [wallet["balance"] for wallet in await books.get("/wallets" + query)]

    kept = books.kept.amount_minor / 100
    assert await found("") == [5, 100_000, 1_000 - kept]
    assert await found(f"?client={books.rich}&currency=usd") == [1_000 - kept]
    assert await found("?currency=USD&below=5.01") == [5]
    assert await found("?currency=USD&below=5") == []
    assert await found("?currency=JPY&below=100001&type=prepaid&status=active") == [100_000]
    assert await found("?status=frozen") == []
    page = await books.raw("/wallets?limit=2")
    assert [wallet["balance"] for wallet in page.json()] == [5, 100_000]
    assert page.headers["x-has-more"] == "true"
    rest = await books.raw(f"/wallets?limit=2&cursor={page.headers['x-next-cursor']}")
    assert [wallet["id"] for wallet in rest.json()] == [books.usd]
    assert "x-next-cursor" not in rest.headers
    assert await books.refused("/wallets?below=5") == "Invalid Currency: required"
    assert await books.refused("/wallets?below=x&currency=USD") == "Invalid Below: format"
    assert await books.refused("/wallets?below=5&currency=XXQ") == "Invalid Currency: oneof"
    assert await books.refused("/wallets?cursor=x") == "Invalid Cursor: format"


async def test_a_wallet_and_its_lines_are_read(books: Books) -> None:
    wallet = await books.get(f"/wallets/{books.usd}")
    assert (wallet["id"], wallet["client_id"], wallet["currency"]) == (books.usd, books.rich, "USD")
    path = f"/wallets/{books.usd}/transactions"
    lines = await books.get(path)
    assert [line["type"] for line in lines] == ["REFUND", "ORDER", "ORDER", "TOPUP"]
    assert lines[0]["balance"] == wallet["balance"]
    assert {line["client_id"] for line in lines} == {books.rich}

    async def types(query: str) -> list[str]:
        return [line["type"] for line in await books.get(path + query)]

    assert await types("?type=order&order_id=" + str(books.kept.id)) == ["ORDER"]
    assert await types("?direction=credit") == ["REFUND", "TOPUP"]
    assert await types("?to=2020-01-01") == []
    first = await books.raw(path + "?limit=3")
    assert await types("?cursor=" + first.headers["x-next-cursor"]) == ["TOPUP"]
    answer = await books.raw(path, "text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["type"] for row in rows] == ["REFUND", "ORDER", "ORDER", "TOPUP"]
    assert rows[0]["client_id"] == str(books.rich)
    for missing in ("/wallets/999", "/wallets/999/transactions"):
        assert await books.refused(missing, 404) == "Wallet not found"


async def test_our_own_accounts_add_up_by_day(books: Books) -> None:
    lines = await books.get("/ledger/accounts")
    sums = {(line["account"], line["currency"]): line for line in lines}
    kept, gone = books.kept.amount_minor / 100, books.gone.amount_minor / 100
    sales = sums["SALES", "USD"]
    assert (sales["came_in"], sales["went_out"], sales["net"]) == (kept + gone, gone, kept)
    assert sums["FUNDING", "JPY"]["went_out"] == 100_000
    assert sums["FUNDING", "USD"]["net"] == -1_005
    only = await books.get("/ledger/accounts?currency=jpy")
    assert [line["account"] for line in only] == ["FUNDING"]
    assert await books.get("/ledger/accounts?from=2020-01-01&to=2020-01-31") == []
    for query, message in (
        ("?from=2020-01-01&to=2020-02-01", "Invalid To: max"),
        ("?from=2020-01-02&to=2020-01-01", "Invalid To: min"),
        ("?from=20200101", "Invalid From: date"),
        ("?from=2020-13-01", "Invalid From: date"),
    ):
        assert await books.refused("/ledger/accounts" + query) == message


async def test_wallets_below_their_threshold_are_found(books: Books) -> None:
    path = f"/wallets/{books.usd}"
    change = {"reason": "they asked", "low_balance": 5_000}
    told = await books.office.ask("finance", "PATCH", path, change)
    assert told["low_since"] is not None
    [low] = await books.get("/wallets?low=true")
    assert (low["id"], low["low_since"]) == (books.usd, told["low_since"])
    assert low["client_name"]
    assert low["client_name"] == (await books.get(path))["client_name"]
    assert books.usd not in [one["id"] for one in await books.get("/wallets?low=false")]
    assert await books.refused("/wallets?low=x") == "Invalid Low: oneof"


async def test_lines_of_all_wallets_are_read_by_day_and_account(books: Books) -> None:
    async def types(query: str) -> list[str]:
        return [line["type"] for line in await books.get("/ledger/transactions" + query)]

    everything = ["REFUND", "ORDER", "ORDER", "TOPUP", "TOPUP", "TOPUP"]
    assert await types("") == everything
    assert await types("?account=sales&currency=usd") == ["REFUND", "ORDER", "ORDER"]
    assert await types("?account=FUNDING&currency=JPY") == ["TOPUP"]
    assert await types("?account=adjustments") == []
    assert await types(f"?client={books.poor}") == ["TOPUP"]
    assert await types("?direction=credit&type=refund") == ["REFUND"]
    assert await types("?from=2020-01-01&to=2020-01-31") == []
    # What the account is said to have moved, line by line.
    [sales] = [one for one in await books.get("/ledger/accounts") if one["account"] == "SALES"]
    lines = await books.get("/ledger/transactions?account=SALES&currency=USD")
    signed = [line["amount"] * (1 if line["direction"] == "DEBIT" else -1) for line in lines]
    assert (sum(signed), len(lines)) == (sales["net"], sales["transfers"])
    seen, cursor = [], ""
    for _ in range(3):
        page = await books.raw(f"/ledger/transactions?limit=2&cursor={cursor}")
        seen += [line["type"] for line in page.json()]
        cursor = page.headers.get("x-next-cursor", "")
    assert (seen, cursor) == (everything, "")
    answer = await books.raw("/ledger/transactions", "text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["type"] for row in rows] == everything
    assert rows[0]["client_name"]
    for query, message in (
        ("?from=2020-01-01&to=2020-02-01", "Invalid To: max"),
        ("?account=OURS", "Invalid Account: oneof"),
        ("?cursor=x", "Invalid Cursor: format"),
    ):
        assert await books.refused("/ledger/transactions" + query) == message


async def test_a_line_tells_both_its_sides_and_its_order(books: Books) -> None:
    [line] = await books.get(f"/wallets/{books.usd}/transactions?order_id={books.kept.id}")
    told = await books.get(f"/ledger/transactions/{line['id']}")
    assert {name: told[name] for name in line} == line
    paid = books.kept.amount_minor / 100
    wallet, ours = told["sides"]
    assert (wallet["wallet_id"], wallet["account"], wallet["amount"]) == (books.usd, None, -paid)
    assert (wallet["balance"], wallet["entry"]) == (line["balance"], 2)
    assert (ours["wallet_id"], ours["account"], ours["amount"]) == (None, "SALES", paid)
    assert (ours["balance"], ours["currency"]) == (None, "USD")
    assert (told["order_id"], told["booked"]) == (books.kept.id, None)
    assert await books.refused("/ledger/transactions/999999", 404) == "Transaction not found"
    assert await books.refused("/ledger/transactions/x", 404) == "Transaction not found"


async def test_a_line_tells_who_booked_it_and_who_agreed(books: Books) -> None:
    path = f"/wallets/{books.usd}/adjust"
    body = {"direction": "DEBIT", "amount": 12, "note": "the fee of their bank", "reference": "f-1"}
    booked = await books.office.ask("finance", "POST", path, body)
    told = await books.get(f"/ledger/transactions/{booked['transaction_id']}")
    who = told["booked"]
    assert (who["actor"], who["name"]) == ("STAFF", "finance")
    assert (who["reason"], who["approval_id"]) == ("the fee of their bank", None)
    assert [side["account"] for side in told["sides"]] == [None, "ADJUSTMENTS"]
    large = {"amount": 50_000, "reference": "wire-1"}
    path = f"/wallets/{books.usd}/top-up"
    asked = await books.office.ask("finance", "POST", path, large, 202)
    number = asked["approval_id"]
    await books.office.ask("admin", "POST", f"/approvals/{number}/approve", {})
    await books.office.work_off()
    done = await books.get(f"/approvals/{number}")
    assert (done["requested_by_name"], done["decided_by_name"]) == ("finance", "admin")
    assert (await books.get("/approvals"))[0] == done
    who = (await books.get(f"/ledger/transactions/{done['transaction_id']}"))["booked"]
    assert (who["approval_id"], who["requested_by"]) == (number, asked["requested_by"])
    assert who["requested_by_name"] == "finance"
    assert who["name"] == "admin"


async def test_refunds_owed_say_what_blocks_them(books: Books) -> None:
    assert await books.get("/refunds-owed") == []
    shop = books.office.shop
    await shop.set_wallet_status(books.rich, WalletStatus.FROZEN)
    await shop.cancel(books.kept.id)
    [owed] = await books.get("/refunds-owed")
    assert (owed["order_id"], owed["sub_status"]) == (books.kept.id, "NOT_REFUNDED")
    assert (owed["amount"], owed["currency"]) == (books.kept.amount_minor / 100, "USD")
    assert owed["blocked_by"] == "WALLET_FROZEN"
    await shop.set_wallet_status(books.rich, WalletStatus.ACTIVE)
    page = await books.raw("/refunds-owed?limit=1")
    [owed] = page.json()
    assert owed["blocked_by"] is None
    assert page.headers["x-has-more"] == "false"
    await shop.pay_owed(books.kept.id)
    assert await books.get("/refunds-owed") == []


@pytest.mark.parametrize("accept", ["application/json", "text/csv"])
async def test_a_statement_is_signed_and_its_sums_hold(books: Books, accept: str) -> None:
    parts = books.office.shop.parts
    today = parts.clock.now().date()
    path = f"/statements?from={today}"
    assert await books.refused(path, 409) == "The day is not over yet"
    books.clock.ahead += timedelta(days=1)
    key = documents.public_key_of(statement.signing_key(parts.vault))

    async def made(query: str) -> Any:
        answer = await books.raw(path + query, accept)
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-imbalances"] == "0"
        assert documents.tampering(answer.content, key) == []
        assert documents.tampering(answer.content.replace(b"USD", b"EUR"), key)
        document, _ = documents.read(answer.content)
        return [(one.line.book, one.line.client_id, one.line.currency) for one in document.lines]

    whole = await made("")
    assert ("MONEY", books.rich, "USD") in whole
    assert ("CODES", None, "USD") in whole
    ofone = await made(f"&client={books.poor}")
    assert ofone == [("MONEY", books.poor, "USD")]
    assert await books.refused("/statements?client=999", 404)
    assert await books.refused("/statements?vendor=999", 404)
    both = f"/statements?client={books.poor}&vendor=1"
    assert await books.refused(both) == "Invalid Vendor: alone"


async def test_one_statement_is_made_at_a_time(books: Books) -> None:
    answers = await asyncio.gather(*(books.raw("/statements") for _ in range(3)))
    assert min(answer.status_code for answer in answers) == 200
    refused = [answer for answer in answers if answer.status_code != 200]
    assert all(answer.json()["code"] == "UNAVAILABLE" for answer in refused)
    assert (await books.raw("/statements")).status_code == 200


async def test_settings_are_told_and_secrets_never(books: Books) -> None:
    answer = await books.raw("/settings", who="finance")
    assert SECRET not in answer.text
    shown = answer.json()
    by_name = {one["name"]: one for one in shown["settings"]}
    assert by_name.keys() == Settings.model_fields.keys()
    password = by_name["mail_password"]
    assert (password["value"], password["secret"], password["is_set"]) == (None, True, True)
    assert by_name["database_url"]["value"] is None
    limit = by_name["money_approval_limit_minor"]
    assert (limit["variable"], limit["value"]) == ("REWARDS_MONEY_APPROVAL_LIMIT_MINOR", 1_000_000)
    assert limit["description"].startswith("What one person may move on the wallets of one client")
    assert shown["migration"] >= "0027"
    assert shown["postgres"]
    assert {one["name"] for one in shown["kept"]} >= {"events", "approvals"}
    await books.get("/settings", who="viewer", status=403)


def test_every_setting_says_what_it_is() -> None:
    assert descriptions().keys() == Settings.model_fields.keys()
    for one in told(Settings()):
        assert len(one.description) > 10, one.name
