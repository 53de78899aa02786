"""`/wallets` and `/transactions` over HTTP: shapes, filters, pages, CSV, and whose they are."""

import csv
import io
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from rewards.infra.db import Database
from rewards.infra.settings import Settings
from rewards.wallets import service
from rewards.wallets.model import (
    Adjustment,
    NewWallet,
    Posting,
    TopUp,
    TransferKind,
    Wallet,
    WalletType,
)
from tests.wallets.ledgers import AT
from tests.wallets.teller import Teller, teller

HOUR = timedelta(hours=1)
NOT_A_WALLET = (404, "NotFound", "Wallet not found", "WALLET_NOT_FOUND")
NOT_A_LINE = (404, "NotFound", "Transaction not found", "TRANSACTION_NOT_FOUND")


@pytest.fixture
async def desk(db: Database, tmp_path: Path) -> AsyncIterator[Teller]:
    async with teller(db, Settings(home=tmp_path)) as opened:
        yield opened


@pytest.fixture
async def wallets(desk: Teller, db: Database) -> tuple[Wallet, Wallet, Wallet]:
    """Client 1: USD (three lines) and KWD on credit (one line of FX); client 2: USD (one line)."""
    async with db.transaction() as tx:
        usd, kwd, other = await service.open_wallets(
            tx,
            [
                NewWallet(1, "USD", low_balance_minor=1_000),
                NewWallet(1, "KWD", WalletType.POSTPAID, 50_000),
                NewWallet(2, "USD"),
            ],
            AT,
        )
        await service.top_up(tx, [TopUp(usd.id, 10_000, "=wire-1")], AT)
        locked = await service.lock(tx, [1])
        fx = {"source_currency": "EUR", "forex_rate": Decimal("0.331500000000")}
        postings = [
            Posting(usd.id, TransferKind.ORDER, -2_550, 77),
            Posting(kwd.id, TransferKind.ORDER, -1_234, 78, conversion_fee_minor=12, **fx),
            Posting(usd.id, TransferKind.REFUND, 50, 77),
        ]
        await service.post(tx, locked, postings, AT + HOUR)
        await service.adjust(tx, [Adjustment(other.id, 100, note="goodwill")], AT + 2 * HOUR)
    return usd, kwd, other


async def test_a_wallet_looks_as_published(desk, wallets):
    usd, kwd, _ = wallets
    reply = await desk.get(f"/wallets/{usd.id}")
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert reply.body == {
        "id": usd.id,
        "currency_id": 1,
        "currency": "USD",
        "amount": Decimal("75.00"),
        "available": Decimal("75.00"),
        "credit_limit": Decimal("0.00"),
        "low_balance": Decimal("10.00"),
        "type": "PREPAID",
        "status": "ACTIVE",
        "is_active": True,
    }
    assert '"amount":75.00,' in reply.text
    on_credit = (await desk.get(f"/wallets/{kwd.id}")).text
    assert (
        '"amount":-1.234,"available":48.766,"credit_limit":50.000,"low_balance":null' in on_credit
    )


async def test_a_transaction_looks_as_published(desk, wallets):
    _, kwd, _ = wallets
    reply = await desk.get("/transactions/3")
    assert reply.status == 200
    assert reply.body == {
        "id": 3,
        "wallet_id": kwd.id,
        "currency_id": (await desk.get(f"/wallets/{kwd.id}")).body["currency_id"],
        "currency": "KWD",
        "amount": Decimal("1.234"),
        "transaction_type": "DEBIT",
        "direction": "DEBIT",
        "type": "ORDER",
        "status": "COMPLETED",
        "balance": Decimal("-1.234"),
        "order_id": 78,
        "reference": None,
        "source_currency": "EUR",
        "destination_currency": "KWD",
        "forex_rate": Decimal("0.3315"),
        "conversion_charges": Decimal("0.012"),
        "remarks": "KWD Wallet debited by amount 1.234 - Order #78",
        "created_at": "2026-11-21T13:00:00Z",
    }


async def test_lists_are_bare_arrays_with_paging_headers(desk, wallets):
    usd, kwd, _ = wallets
    reply = await desk.get("/wallets")
    assert [wallet["id"] for wallet in reply.body] == [kwd.id, usd.id]
    reply = await desk.get("/transactions", limit=2)
    assert [line["id"] for line in reply.body] == [4, 3]
    paging = {name: reply.headers[name] for name in ("X-Page", "X-Per-Page", "X-Page-Size")}
    assert paging == {"X-Page": "1", "X-Per-Page": "2", "X-Page-Size": "2"}
    assert (reply.headers["X-Total-Count"], reply.headers["X-Total-Pages"]) == ("4", "2")
    assert reply.headers["X-Has-More"] == "true"
    assert 'rel="next"' in reply.headers["Link"]
    last = await desk.get("/transactions", limit=2, page=2)
    assert [line["id"] for line in last.body] == [2, 1]
    assert (last.headers["X-Has-More"], "X-Next-Cursor" in last.headers) == ("false", False)
    beyond = await desk.get("/transactions", limit=2, page=3)
    assert (beyond.body, beyond.headers["X-Total-Count"]) == ([], "4")


async def test_a_cursor_goes_on_where_a_page_ended(desk, wallets):
    seen, cursor = [], None
    for _ in range(5):
        reply = await desk.get("/transactions", limit=1, **({"cursor": cursor} if cursor else {}))
        seen += [line["id"] for line in reply.body]
        cursor = reply.headers.get("X-Next-Cursor")
        if cursor is None:
            break
    assert seen == [4, 3, 2, 1]
    assert reply.headers["X-Has-More"] == "false"
    assert "X-Total-Count" not in reply.headers
    assert (await desk.get("/transactions", cursor="x!")).refusal == (
        400,
        "BadRequest",
        "Invalid Cursor: format",
        "INVALID_FIELD",
    )


@pytest.fixture
def narrowed(wallets):
    usd, kwd, other = wallets
    return (
        ({"wallet_id": usd.id}, [4, 2, 1]),
        ({"wallet_id": other.id}, []),
        ({"type": "order"}, [3, 2]),
        ({"type": "TOPUP"}, [1]),
        ({"direction": "credit"}, [4, 1]),
        ({"transaction_type": "DEBIT"}, [3, 2]),
        ({"order_id": 77}, [4, 2]),
        ({"from": "2026-11-21T13:00:00Z"}, [4, 3, 2]),
        ({"to": "2026-11-21T13:00:00Z"}, [1]),
        ({"from": "2026-11-21", "to": "2026-11-21"}, [4, 3, 2, 1]),
        ({"from": "2026-11-22"}, []),
        ({"type": "ORDER", "wallet_id": kwd.id, "direction": ""}, [3]),
    )


async def test_each_filter_narrows_the_statement(desk, narrowed):
    for params, ids in narrowed:
        reply = await desk.get("/transactions", **params)
        assert [line["id"] for line in reply.body] == ids, params
        assert reply.headers["X-Total-Count"] == str(len(ids))


async def test_wallets_are_narrowed_too(desk, wallets):
    usd, kwd, _ = wallets
    for params, ids in (
        ({"currency": "kwd"}, [kwd.id]),
        ({"type": "prepaid"}, [usd.id]),
        ({"status": "FROZEN"}, []),
        ({"is_active": "true"}, [kwd.id, usd.id]),
        ({"is_active": "false"}, []),
    ):
        reply = await desk.get("/wallets", **params)
        assert [wallet["id"] for wallet in reply.body] == ids, params


REFUSED = (
    ("/transactions", {"type": "GIFT"}, "Invalid Type: oneof"),
    ("/transactions", {"direction": "UP"}, "Invalid Direction: oneof"),
    ("/transactions", {"wallet_id": "x"}, "Invalid WalletId: number"),
    ("/transactions", {"order_id": "0"}, "Invalid OrderId: min"),
    ("/transactions", {"from": "soon"}, "Invalid From: timestamp"),
    ("/transactions", {"to": "2026-02-30"}, "Invalid To: timestamp"),
    ("/transactions", {"page": "0"}, "Invalid Page: min"),
    ("/transactions", {"limit": "10001"}, "Invalid Limit: max"),
    ("/wallets", {"currency": "DOLLAR"}, "Invalid Currency: format"),
    ("/wallets", {"is_active": "maybe"}, "Invalid IsActive: oneof"),
)


async def test_a_query_that_cannot_be_meant_is_refused(desk):
    for path, params, message in REFUSED:
        reply = await desk.get(path, **params)
        assert reply.refusal == (400, "BadRequest", message, "INVALID_FIELD")


async def test_what_is_not_yours_is_as_unknown(desk, wallets):
    usd, _, other = wallets
    for path, refusal in (("/wallets", NOT_A_WALLET), ("/transactions", NOT_A_LINE)):
        foreign = other.id if path == "/wallets" else 5
        for name in (foreign, 999, 0, -1, "x", "9" * 30, "1%20"):
            reply = await desk.get(f"{path}/{name}")
            assert reply.refusal == refusal, name
            reply.body.pop("request_id")
    assert [line["id"] for line in (await desk.get("/transactions", who=2)).body] == [5]
    assert [wallet["id"] for wallet in (await desk.get("/wallets", who=2)).body] == [other.id]
    assert (await desk.get("/transactions", who=2, wallet_id=usd.id)).body == []
    assert (await desk.get("/transactions", who=2, order_id=77)).body == []


async def test_every_route_asks_who_and_whether_they_may(desk):
    for path in ("/wallets", "/wallets/1", "/transactions", "/transactions/1"):
        assert (await desk.get(path, who="nobody")).status == 401
        assert (await desk.get(path, who="narrow")).refusal == (
            403,
            "Forbidden",
            "Insufficient permissions",
            "FORBIDDEN",
        )


async def test_a_statement_comes_as_csv(desk, wallets):
    usd, kwd, _ = wallets
    reply = await desk.get("/transactions", accept="text/csv", limit=3)
    assert reply.headers["content-type"] == "text/csv; charset=utf-8"
    assert reply.headers["content-disposition"] == 'attachment; filename="transactions.csv"'
    assert reply.headers["X-Total-Count"] == "4"
    lines = list(csv.DictReader(io.StringIO(reply.text, newline="")))
    assert [line["id"] for line in lines] == ["4", "3", "2"]
    assert (lines[1]["amount"], lines[1]["balance"]) == ("1.234", "-1.234")
    assert (lines[1]["forex_rate"], lines[0]["forex_rate"]) == ("0.3315", "")
    assert lines[0]["created_at"] == "2026-11-21T13:00:00Z"
    first = (await desk.get("/transactions", accept="text/csv", page=2, limit=3)).text
    assert ",'=wire-1," in first
    reply = await desk.get("/wallets", accept="text/csv, application/json;q=0.5")
    lines = list(csv.DictReader(io.StringIO(reply.text, newline="")))
    assert [(line["id"], line["amount"], line["is_active"]) for line in lines] == [
        (str(kwd.id), "-1.234", "true"),
        (str(usd.id), "75.00", "true"),
    ]
    for accept in ("*/*", "application/json", "application/json, text/csv;q=0.9", "image/png"):
        reply = await desk.get("/wallets", accept=accept)
        assert reply.headers["content-type"] == "application/json", accept
        assert reply.headers["vary"] == "Accept"


async def test_the_document_says_what_the_routes_do(desk):
    document = desk.app.openapi_schema.to_schema()
    paths = document["paths"]
    assert set(paths) == {
        "/api/v1/wallets",
        "/api/v1/wallets/{wallet_id}",
        "/api/v1/transactions",
        "/api/v1/transactions/{transaction_id}",
    }
    listing = paths["/api/v1/transactions"]["get"]
    assert {parameter["name"] for parameter in listing["parameters"]} == {
        "page",
        "limit",
        "cursor",
        "wallet_id",
        "type",
        "direction",
        "transaction_type",
        "order_id",
        "from",
        "to",
    }
    assert set(listing["responses"]) == {"200", "400", "401", "403", "503"}
    shape = document["components"]["schemas"]["TransactionShape"]["properties"]
    assert shape["amount"] == {"type": "number"}
