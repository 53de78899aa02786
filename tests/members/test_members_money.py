"""What a client's people see and set about money: usage, thresholds, statements."""

import csv
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rewards.clients import service as clients
from rewards.clients.model import ClientChange, Limits
from rewards.clients.model_members import MemberRole
from rewards.reconciliation import documents, statement
from rewards.wallets import service as wallets
from rewards.wallets.model import TopUp
from tests.members.company import Company, opened

FINANCE = MemberRole.FINANCE
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class MovedClock:
    def __init__(self) -> None:
        self.at = NOON

    def now(self) -> datetime:
        return self.at


async def test_usage_tells_days_and_what_is_left(company: Company, other: Company) -> None:
    shop = company.shop
    await shop.stock(await shop.product(), 2)
    async with shop.parts.db.transaction() as tx:
        limits = Limits(60, 10, 5_000, 3)
        await clients.change(tx, company.client_id, ClientChange(limits=limits, max_quantity=40))
    shop.parts.directory.expire()
    order = {"product_id": 6, "denomination": 25, "quantity": 2}
    assert (await company.call("POST", "/orders", order)).status == 200
    assert (await company.call("POST", "/orders", order)).status == 200
    told = (await company.call("GET", "/usage", by=MemberRole.VIEWER)).json
    [day] = told["days"]
    assert (day["orders"], day["currency"], day["amount"]) == (2, "USD", 102.0)
    assert (day["delivered"], day["closed"]) == (1, 0)
    assert told["limits"]["max_quantity"] == 40
    assert told["limits"]["orders"] == [
        {"per_s": 60, "limit": 60, "used": 2, "remaining": 58},
        {"per_s": 10, "limit": 10, "used": 2, "remaining": 8},
        {"per_s": 86_400, "limit": 5_000, "used": 2, "remaining": 4_998},
    ]
    assert told["limits"]["concurrent"] == {"limit": 3, "used": 0}
    assert (await other.call("GET", "/usage")).json["days"] == []


@pytest.mark.parametrize(
    "query", ["from=x", "from=2026-02-02&to=2026-02-01", "from=2020-01-01&to=2026-01-01"]
)
async def test_days_that_are_none_are_refused(company: Company, query: str) -> None:
    assert (await company.call("GET", f"/usage?{query}")).refusal[0] == 400
    assert (await company.call("GET", f"/statements?{query}")).refusal[0] == 400


async def test_people_set_who_is_told_and_when(company: Company, other: Company) -> None:
    parts = company.shop.parts
    wallet = (await company.shop.wallets(company.client_id))["USD"]
    theirs = (await company.shop.wallets(other.client_id))["USD"]
    usual = (await company.call("GET", "/notice-settings", by=MemberRole.VIEWER)).json
    assert usual == {
        "contacts": [],
        "muted": [],
        "wallets": [{"wallet_id": wallet.id, "currency": "USD", "low_balance": None}],
        "changed_at": None,
    }
    async with parts.db.transaction() as tx:
        await tx.execute(
            "INSERT INTO notice_settings (client_id, brand_name, accent, language, contacts, muted,"
            " changed_at) VALUES ($1, 'Acme', '#112233', 'de', '{}', '{}', now())",
            company.client_id,
        )
    good = {"contacts": ["money@example.com"], "muted": ["order_cancelled"]}
    await company.bearer(FINANCE)
    before = await company.everything()
    for wrong, status in (
        ({"contacts": ["nobody"]}, 400),
        ({"contacts": [f"a{turn}@example.com" for turn in range(11)]}, 400),
        ({"muted": ["WEATHER"]}, 400),
        ({"wallets": [{"wallet_id": wallet.id, "low_balance": "0"}]}, 400),
        ({"wallets": [{"wallet_id": wallet.id, "low_balance": 1.005}]}, 400),
        ({"wallets": [{"wallet_id": wallet.id, "low_balance": None}] * 2}, 400),
        ({"wallets": [{"wallet_id": theirs.id, "low_balance": 5}]}, 404),
        ({"wallets": [{"wallet_id": 999_999_999, "low_balance": 5}]}, 404),
        ({"sender_address": "us@example.com"}, 400),
    ):
        answer = await company.call("PUT", "/notice-settings", good | wrong, by=FINANCE)
        assert answer.status == status, wrong
    assert await company.everything() == before
    asked = good | {"wallets": [{"wallet_id": wallet.id, "low_balance": "2000.50"}]}
    told = (await company.call("PUT", "/notice-settings", asked, by=FINANCE)).json
    assert told["contacts"] == ["money@example.com"]
    assert told["muted"] == ["ORDER_CANCELLED"]
    assert told["wallets"][0]["low_balance"] == 2000.5
    # 1,000.00 is below already: told at once.
    async with parts.db.connection() as connection:
        types = await connection.fetch(
            "SELECT type FROM events WHERE client_id = $1 ORDER BY id", company.client_id
        )
        look = await connection.fetchrow("SELECT brand_name, accent, language FROM notice_settings")
    assert [row[0] for row in types] == ["wallet.credited", "wallet.low_balance"]
    assert tuple(look) == ("Acme", "#112233", "de")
    [row] = await company.audit("client.notice_settings_set")
    assert row["facts"]["login_id"] == company.members[FINANCE]
    assert row["facts"]["contacts"] == {"from": [], "to": ["money@example.com"]}
    gone = {"contacts": [], "muted": [], "wallets": [{"wallet_id": wallet.id, "low_balance": None}]}
    told = (await company.call("PUT", "/notice-settings", gone, by=FINANCE)).json
    assert told["wallets"][0]["low_balance"] is None


async def test_a_statement_is_signed_and_of_this_client_alone(dsn: str, tmp_path: Path) -> None:
    clock = MovedClock()
    async with opened(dsn, tmp_path, clock) as company:
        shop = company.shop
        other = await shop.client(minor=7_700)
        [held] = (await shop.wallets(company.client_id)).values()
        async with shop.parts.db.transaction() as tx:
            await wallets.top_up(tx, [TopUp(held.id, 500)], clock.now())
        path = "/statements?from=2026-03-01&to=2026-03-01"
        today = await company.call("GET", path)
        assert (today.status, today.json["code"]) == (409, "DAY_NOT_OVER")
        clock.at += timedelta(days=1)
        key = await company.key()
        answer = await company.call("GET", path, by=key)
        assert answer.status == 200
        [line] = answer.json["lines"]
        assert line["line"]["client_id"] == company.client_id != other
        told = [line["line"][name] for name in ("opening", "in", "out", "held")]
        assert told == [0, 100_500, 0, 100_500]
        public = documents.public_key_of(statement.signing_key(shop.parts.vault))
        assert documents.tampering(answer.text.encode(), public) == []
        assert documents.tampering(answer.text.replace("100500", "100501").encode(), public)
        as_csv = await company.call("GET", path, by=key, headers={"Accept": "text/csv"})
        assert as_csv.headers["Content-Type"].startswith("text/csv")
        assert documents.tampering(as_csv.text.encode(), public) == []
        rows = list(csv.reader(io.StringIO(as_csv.text)))
        assert rows[0][0] == "STATEMENT"
        whole = await statement.state(shop.parts.db, clock, NOON.date(), NOON.date())
        mine = [each for each in whole.lines if each.client_id == company.client_id]
        assert [documents.digest_of(each) for each in mine] == [line["digest"]]
