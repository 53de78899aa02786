"""Runs and drift as staff see them; explaining a drift changes that drift and nothing else."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rewards.reconciliation.model import day_of
from rewards.reconciliation.tasks import Reconciling
from rewards.staff.model import Role
from tests.market import Adapters, MovedClock
from tests.staff.office import Office, open_office

RUNS, DRIFTS = "/reconciliation/runs", "/reconciliation/drifts"
WHY = {"reason": "booked by hand after the outage, see the note of the bank"}


@pytest.fixture
async def office(dsn: str, tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(dsn, tmp_path) as opened:
        yield opened


async def reconcile(office: Office) -> None:
    shop = office.shop
    ahead = MovedClock(timedelta(hours=36))
    reconciling = Reconciling(shop.parts.db, Adapters(), ahead)
    for run in await reconciling.open(day_of(shop.now), again=True):
        await reconciling.work(run.id)


async def drifted(office: Office, orders: int = 1) -> list[int]:
    """Orders whose debit the ledger has otherwise; the day is reconciled."""
    shop = office.shop
    product = await shop.product()
    client = await shop.client(minor=1_000_000)
    await shop.stock(product, orders)
    placed = [(await shop.place_one(shop.ask(client, product))).order for _ in range(orders)]
    async with shop.parts.db.transaction() as tx:
        await tx.execute("SET LOCAL session_replication_role = replica")
        await tx.execute(
            "UPDATE ledger_entries SET amount_minor = amount_minor + sign(amount_minor)"
            " WHERE transfer_id = ANY($1::bigint[])",
            [order.transaction_id for order in placed],
        )
    await reconcile(office)
    return [order.id for order in placed]


async def listed(office: Office, query: str = "", who: str = "viewer") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await office.ask(who, "GET", DRIFTS + query)
    return found


async def test_runs_and_drift_are_listed_with_both_sides(office: Office) -> None:
    [order_id] = await drifted(office)
    [run] = await office.ask("viewer", "GET", RUNS)
    day = str(day_of(office.shop.now))
    assert (run["day"], run["vendor_id"], run["state"]) == (day, None, "DONE")
    assert (run["orders"], run["reconciled"], run["units"]) == (1, 0, 1)
    [drift] = await listed(office)
    assert (drift["kind"], drift["subject_kind"]) == ("LEDGER_DIFFERS", "order")
    assert (drift["subject"], drift["run_id"], drift["state"]) == (str(order_id), run["id"], "OPEN")
    assert drift["theirs"]["amount_minor"] == drift["ours"]["amount_minor"] + 1


async def test_drift_is_found_by_filters_a_page_at_a_time(office: Office) -> None:
    await drifted(office, 3)
    day = day_of(office.shop.now)
    for query, count in (
        (f"?day={day}&state=open&kind=ledger_differs", 3),
        (f"?day={day - timedelta(days=1)}", 0),
        ("?state=EXPLAINED", 0),
        ("?kind=UNIT_DIFFERS", 0),
        ("?vendor_id=7", 0),
    ):
        assert len(await listed(office, query)) == count, query
    newest = await listed(office, "?limit=2")
    rest = await listed(office, f"?limit=2&cursor={newest[-1]['id']}")
    assert [one["id"] for one in newest + rest] == [3, 2, 1]
    for query, code in (
        ("?day=yesterday", "Invalid Day: format"),
        ("?state=lost", "Invalid State: oneof"),
        ("?vendor_id=0", "Invalid VendorId: min"),
    ):
        told = await office.ask("viewer", "GET", DRIFTS + query, status=400)
        assert told["message"] == code
    assert len(await office.ask("viewer", "GET", f"{RUNS}?day={day}")) == 1
    assert await office.ask("viewer", "GET", f"{RUNS}?day={day - timedelta(days=1)}") == []


async def test_a_person_explains_and_nothing_is_repaired(office: Office) -> None:
    await drifted(office)
    [drift] = await listed(office)
    before = await office.shop.everything()
    told = await office.ask("finance", "POST", f"{DRIFTS}/{drift['id']}/explain", WHY)
    assert (told["state"], told["note"]) == ("EXPLAINED", WHY["reason"])
    assert told["explained_by"] == office.people["finance"]
    assert (told["ours"], told["theirs"]) == (drift["ours"], drift["theirs"])
    after = await office.shop.everything()
    [fact] = set(after.pop("audit_entries")) - set(before.pop("audit_entries"))
    assert "reconciliation.drift_explained" in fact[0]
    assert WHY["reason"] in fact[0]
    assert after == before
    # Looked at again it is the same finding, and stays explained.
    await reconcile(office)
    assert await listed(office) == [told]


async def test_what_may_not_be_explained_changes_nothing(office: Office) -> None:
    await drifted(office)
    [drift] = await listed(office)
    path = f"{DRIFTS}/{drift['id']}/explain"
    assert await office.refused("finance", "POST", path, {}, 400) == "INVALID_FIELD"
    assert await office.refused("finance", "POST", path, {"reason": " "}, 400) == "INVALID_FIELD"
    unknown = f"{DRIFTS}/999/explain"
    assert await office.refused("finance", "POST", unknown, WHY, 404) == "DRIFT_NOT_FOUND"
    for role in (Role.VIEWER, Role.SUPPORT, Role.OPERATIONS):
        assert await office.refused(str(role), "POST", path, WHY, 403) == "FORBIDDEN"
    assert await listed(office) == [drift]
    await office.ask("finance", "POST", path, WHY)
    assert await office.refused("finance", "POST", path, WHY) == "DRIFT_EXPLAINED"
