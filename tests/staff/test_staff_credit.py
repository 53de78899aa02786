"""Credit above the limit of one person: what a client may owe is given away as a top-up is."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rewards.wallets import service as wallets
from rewards.wallets.model import Wallet
from tests.staff.till import Till, open_till

WHY = {"reason": "they grew"}


class Lender(Till):
    """A till whose wallet is POSTPAID, and may owe 50.00."""

    async def open(self, limit: str, status: int = 201, who: str = "finance") -> Any:
        body = {"currency": "USD", "type": "POSTPAID", "credit_limit": limit, "low_balance": "1"}
        path = f"/clients/{self.client}/wallets"
        return await self.office.ask(who, "POST", path, body, status)

    async def change(self, told: int = 200, who: str = "finance", **body: Any) -> Any:
        return await self.office.ask(who, "PATCH", self.path, WHY | body, told)

    async def raised(self, limit: str, who: str = "finance") -> Any:
        """The request for a credit limit that takes two."""
        return await self.change(202, who, credit_limit=limit)

    async def held(self) -> Wallet:
        async with self.office.shop.parts.db.connection() as connection:
            [wallet] = await wallets.get(connection, [self.wallet])
        assert isinstance(wallet, Wallet)
        return wallet

    async def audited(self, action: str) -> list[Any]:
        return await self.office.shop.parts.db.run(
            lambda tx: tx.fetch(
                "SELECT * FROM audit_entries WHERE action = $1 AND subject_id = $2 ORDER BY id",
                *(action, self.wallet),
            )
        )


@pytest.fixture
async def lender(dsn: str, tmp_path: Path) -> AsyncIterator[Lender]:
    async with open_till(dsn, tmp_path) as till:
        made = Lender(till.office, till.clock, till.client, till.wallet)
        made.wallet = (await made.open("50", who="admin"))["id"]
        made.path = f"/wallets/{made.wallet}"
        yield made


async def test_above_the_limit_credit_rises_once_another_has_agreed(lender: Lender) -> None:
    asked = await lender.raised("150.01")
    assert (asked["kind"], asked["state"]) == ("CREDIT_LIMIT", "REQUESTED")
    assert (asked["amount"], asked["currency"]) == (100.01, "USD")
    assert (asked["subject_kind"], asked["subject_id"]) == ("wallet", lender.wallet)
    assert asked["details"]["credit_limit"] == {"from": "50.00", "to": "150.01"}
    assert asked["reason"] == WHY["reason"]
    await lender.office.work_off()
    assert (await lender.held()).credit_limit_minor == 5_000, "nobody agreed yet"
    await lender.decide(asked["approval_id"])
    await asyncio.gather(lender.office.work_off(), lender.office.work_off())
    await lender.office.work_off()
    assert (await lender.held()).credit_limit_minor == 15_001
    assert (await lender.held()).low_balance_minor == 100
    done = await lender.approval(asked["approval_id"])
    assert (done["state"], done["refused"], done["transaction_id"]) == ("CARRIED_OUT", None, None)
    [row] = await lender.audited("wallet.changed")
    assert row["facts"]["credit_limit_minor"] == {"from": 5_000, "to": 15_001}
    assert row["facts"]["approval_id"] == asked["approval_id"]
    assert row["facts"]["requested_by"] == lender.office.people["finance"]
    # Above what one person moves alone there is a limit again: what two agreed to does not count.
    await lender.change(credit_limit="250.01")


async def test_credit_top_ups_and_corrections_of_a_day_count_together(lender: Lender) -> None:
    await lender.change(credit_limit="90")
    await lender.book("top-up", {"amount": "30"}, 200)
    # Lowering gives nothing back of what was raised, and is never asked.
    await lender.change(credit_limit=None)
    await lender.change(credit_limit="30")
    assert (await lender.raised("30.01"))["amount"] == 0.01
    assert (await lender.book("top-up", {"amount": "0.01"}))["amount"] == 0.01
    # Another person has a limit of their own, and a day later nothing counts.
    await lender.change(who="admin", credit_limit="80")
    lender.clock.ahead += timedelta(hours=24)
    await lender.change(credit_limit="180")
    assert [row["facts"]["credit_limit_minor"] for row in await lender.audited("wallet.changed")][
        -1
    ] == {"from": 8_000, "to": 18_000}


async def test_raises_at_the_same_time_do_not_slip_past_the_limit_together(lender: Lender) -> None:
    told = await asyncio.gather(
        lender.office.status("finance", "PATCH", lender.path, WHY | {"credit_limit": "110"}),
        lender.office.status("finance", "POST", lender.path + "/top-up", {"amount": "60"}),
    )
    assert sorted(told) == [200, 202]


async def test_a_wallet_opened_with_much_credit_has_none_before_another_agrees(
    lender: Lender,
) -> None:
    asked = await lender.open("100.01", 202)
    assert (asked["kind"], asked["amount"]) == ("CREDIT_LIMIT", 100.01)
    lender.wallet = asked["subject_id"]
    held = await lender.held()
    assert (held.type, held.credit_limit_minor, held.low_balance_minor) == ("POSTPAID", 0, 100)
    [row] = await lender.audited("wallet.opened")
    assert row["facts"]["credit_limit_minor"] == 0
    await lender.decide(asked["approval_id"])
    await lender.office.work_off()
    assert (await lender.held()).credit_limit_minor == 10_001
    # What one person is enough for is there at once, and counts for that wallet.
    opened = await lender.open("100")
    lender.wallet, lender.path = opened["id"], f"/wallets/{opened['id']}"
    assert (await lender.held()).credit_limit_minor == 10_000
    [row] = await lender.audited("wallet.opened")
    assert row["facts"]["credit_limit_minor"] == 10_000
    assert await lender.audited("wallet.changed") == []
    await lender.book("top-up", {"amount": "0.01"})


async def test_the_rest_of_a_change_is_made_at_once(lender: Lender) -> None:
    await lender.change(status="FROZEN")
    asked = await lender.change(202, status="ACTIVE", low_balance="7", credit_limit="500")
    held = await lender.held()
    assert (held.status, held.credit_limit_minor, held.low_balance_minor) == ("ACTIVE", 5_000, 700)
    row = (await lender.audited("wallet.changed"))[-1]
    assert set(row["facts"]) == {"status", "low_balance_minor"}
    path = f"/approvals/{asked['approval_id']}"
    withdrawn = await lender.office.ask("finance", "POST", path + "/withdraw")
    assert withdrawn["state"] == "WITHDRAWN"
    again = await lender.raised("500")
    await lender.decide(again["approval_id"], "reject", {"reason": "too much"})
    await lender.office.work_off()
    assert (await lender.held()).credit_limit_minor == 5_000
    # One who asked does not decide.
    own = await lender.raised("500", who="admin")
    told = await lender.office.refused(
        "admin", "POST", f"/approvals/{own['approval_id']}/approve", None, 403
    )
    assert told == "SECOND_PERSON_NEEDED"


async def test_what_is_refused_is_refused_before_anybody_is_asked(lender: Lender) -> None:
    async def refused(told: int = 409, **body: Any) -> str:
        return await lender.office.refused("finance", "PATCH", lender.path, WHY | body, told)

    assert await refused(400, credit_limit="99999999999999") == "INVALID_FIELD"
    assert await refused(status="FROZEN", credit_limit="500") == "WALLET_FROZEN"
    assert await refused(status="CLOSED", credit_limit="51") == "WALLET_CLOSED"
    assert await lender.office.ask("viewer", "GET", "/approvals") == []


@pytest.mark.parametrize("trouble", ["FROZEN", "CLOSED", "changed"])
async def test_what_changed_meanwhile_the_request_says_and_the_limit_stays(
    lender: Lender, trouble: str
) -> None:
    asked = await lender.raised("500")
    assert (
        await lender.office.refused("admin", "PATCH", lender.path, WHY | {"credit_limit": "600"})
        == "APPROVAL_PENDING"
    )
    if trouble == "changed":
        await lender.change(who="admin", credit_limit="60")
        code = "CREDIT_LIMIT_CHANGED"
    else:
        await lender.change(status=trouble)
        code = f"WALLET_{trouble}"
    before = await lender.held()
    await lender.decide(asked["approval_id"])
    await lender.office.work_off()
    told = await lender.approval(asked["approval_id"])
    assert (told["state"], told["refused"], told["transaction_id"]) == ("CARRIED_OUT", code, None)
    assert told["note"].startswith(f"{code}: ")
    assert await lender.held() == before
