"""Accounts as processes know them: one adapter each, changed and paused within a second."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from rewards.core.errors import Unavailable
from rewards.infra.db import Database
from rewards.infra.settings import Settings
from rewards.vendors.account import AccountStatus
from rewards.vendors.model import (
    Delivered,
    Line,
    NotKnown,
    Refused,
    VendorNotFound,
)
from rewards.vendors.recorder import DatabaseRecorder
from rewards.vendors.simulators.faults import Fault, Scripted
from rewards.vendors.wire import Exchange, asking_about
from tests.vendors.contract import purchase_of
from tests.vendors.office import SECRET, Office, opened, simulator

LINE = Line("AMZ-25", 2_500, "USD", 1)
WITHIN_A_SECOND = 1.0
ADD_PURCHASE = """
INSERT INTO vendor_orders (vendor_id, key, purpose, subject_id, sku, face_minor, currency, quantity,
    state, next_at, window_ends_at, created_at, settled_at)
VALUES ($1, $2, 'ORDER', $3, 'AMZ-25', 2500, 'USD', 1, $4, now(), now(), now(),
    CASE WHEN $4 = 'REFUSED' THEN now() END) RETURNING id
"""


@pytest.fixture
async def office(db: Database, tmp_path: Path) -> AsyncIterator[Office]:
    async with opened(db, tmp_path) as made:
        yield made


async def purchase(office: Office, vendor_id: int, key: str, state: str = "UNKNOWN") -> int:
    subject = len(await office.rows("SELECT FROM vendor_orders")) + 1
    [row] = await office.rows(ADD_PURCHASE, vendor_id, key, subject, state)
    return int(row["id"])


@pytest.mark.usefixtures("buys_by_hand")
async def test_an_account_gives_its_adapter_and_what_is_said_is_kept(office: Office) -> None:
    async with simulator().serve() as url:
        account = await office.add(url)
        vendor = await office.accounts.vendor(account.id)
        number = await purchase(office, account.id, "one")
        with asking_about(number):
            done = await vendor.place(vendor.key(uuid4()), LINE)
        await vendor.balances()
    assert isinstance(done, Delivered)
    first, second = await office.rows("SELECT * FROM vendor_exchanges ORDER BY id")
    assert (first["vendor_id"], first["vendor_order_id"], first["call"]) == (
        account.id,
        number,
        "place",
    )
    assert (first["status"], first["problem"]) == (201, None)
    assert (second["vendor_order_id"], second["call"]) == (None, "balance")
    told = str(await office.rows("SELECT * FROM vendor_exchanges"))
    for secret in (SECRET, *done.cards[0].fields.values()):
        assert secret not in told


async def test_many_who_ask_at_once_share_one_adapter(office: Office) -> None:
    account = await office.add("http://127.0.0.1:9")
    # The news of it may otherwise come in between two of them.
    office.accounts.expire()
    got = await asyncio.gather(*(office.accounts.vendor(account.id) for _ in range(20)))
    assert len({id(vendor) for vendor in got}) == 1


async def test_no_account_has_no_adapter(office: Office) -> None:
    with pytest.raises(VendorNotFound):
        await office.accounts.vendor(1)


@pytest.mark.usefixtures("buys_by_hand")
async def test_a_paused_account_buys_nothing_in_any_process_and_reads_on(
    office: Office, db: Database, tmp_path: Path
) -> None:
    shop = simulator()
    async with opened(db, tmp_path) as other, shop.serve() as url:
        account = await office.add(url)
        key = str(uuid4())
        assert isinstance(
            await (await other.accounts.vendor(account.id)).place(key, LINE), Delivered
        )
        await office.change(account.id, status=AccountStatus.PAUSED)
        await asyncio.sleep(WITHIN_A_SECOND)
        vendor = await other.accounts.vendor(account.id)
        refused = await vendor.place(str(uuid4()), LINE)
        assert isinstance(refused, Refused)
        assert refused.transient
        assert shop.book.calls["place"] == 1
        assert isinstance(await vendor.read(purchase_of(key, LINE)), Delivered)
        await office.change(account.id, status=AccountStatus.ACTIVE)
        await asyncio.sleep(WITHIN_A_SECOND)
        again = await (await other.accounts.vendor(account.id)).place(str(uuid4()), LINE)
        assert isinstance(again, Delivered)


async def test_a_changed_account_is_another_adapter_with_the_same_limits(office: Office) -> None:
    old, new = simulator(), simulator()
    async with old.serve() as old_url, new.serve() as new_url:
        account = await office.add(old_url)
        await (await office.accounts.vendor(account.id)).balances()
        throttle = office.accounts._throttles[account.id]
        await office.change(account.id, config={"base_url": new_url}, secrets={"api_key": SECRET})
        office.accounts.expire()
        await (await office.accounts.vendor(account.id)).balances()
    assert (old.book.calls["balance"], new.book.calls["balance"]) == (1, 1)
    assert office.accounts._throttles[account.id] is throttle


async def test_no_account_is_trusted_when_nobody_can_say_whether_it_changed(
    office: Office,
) -> None:
    account = await office.add("http://127.0.0.1:9")
    await office.accounts.vendor(account.id)
    office.accounts.expire()
    await office.db.close()
    with pytest.raises(Unavailable):
        await office.accounts.vendor(account.id)


@pytest.mark.parametrize("fault", [Fault.THROTTLE, Fault.HTML, Fault.ERROR_BEFORE, Fault.GARBAGE])
async def test_a_check_tells_what_is_wrong_and_keeps_nothing(office: Office, fault: Fault) -> None:
    shop = simulator()
    async with shop.serve() as url:
        account = await office.add(url)
        shop.script.add([Scripted(fault)])
        checked = await office.accounts.check(account.id)
        assert checked.problem
        assert SECRET not in checked.problem
        assert await office.rows("SELECT * FROM vendor_balances") == []
        fine = await office.accounts.check(account.id)
    assert (fine.problem, len(fine.balances)) == (None, 2)
    assert len(await office.rows("SELECT * FROM vendor_balances")) == 2


def exchange(**facts: object) -> Exchange:
    usual: dict[str, object] = {
        "call": "place",
        "method": "POST",
        "path": "/orders",
        "request": "{}",
        "status": 200,
        "answer": "{}",
        "problem": None,
        "took_ms": 5,
        "purchase_id": None,
    }
    return Exchange(**(usual | facts))  # type: ignore[arg-type]


@pytest.mark.parametrize("answer", ["a\x00b", "\ud800", "x" * 10_000])
async def test_a_note_that_cannot_be_written_costs_nothing_but_the_note(
    office: Office, answer: str
) -> None:
    recorder = DatabaseRecorder(office.db, office.clock, 1)
    await recorder.record(exchange(answer=answer))
    await recorder.record(exchange())
    kept = await office.rows("SELECT answer FROM vendor_exchanges ORDER BY id")
    assert kept[-1] == {"answer": "{}"}


async def test_a_note_that_no_database_takes_raises_nothing(dsn: str, office: Office) -> None:
    gone = await Database.connect(dsn, Settings())
    await gone.close()
    await DatabaseRecorder(gone, office.clock, 1).record(exchange())
    assert await office.rows("SELECT * FROM vendor_exchanges") == []


async def test_old_exchanges_go_and_evidence_of_an_open_purchase_stays(office: Office) -> None:
    account = await office.add("http://127.0.0.1:9")
    open_id = await purchase(office, account.id, "open")
    done_id = await purchase(office, account.id, "done", "REFUSED")
    old = office.clock.now() - timedelta(days=91)
    for purchase_id in (None, open_id, done_id):
        for at in (old, office.clock.now()):
            await office.rows(
                "INSERT INTO vendor_exchanges (vendor_id, vendor_order_id, call, method, path,"
                " took_ms, at) VALUES ($1, $2, 'read', 'GET', '/', 1, $3)",
                *(account.id, purchase_id, at),
            )
    assert await office.tasks.forget_exchanges() == 2
    assert await office.tasks.forget_exchanges() == 0
    left = await office.rows("SELECT vendor_order_id FROM vendor_exchanges WHERE at = $1", old)
    assert left == [{"vendor_order_id": open_id}]
    assert len(await office.rows("SELECT FROM vendor_exchanges")) == 4


async def test_reading_back_what_was_never_placed_is_not_known(office: Office) -> None:
    async with simulator().serve() as url:
        account = await office.add(url)
        vendor = await office.accounts.vendor(account.id)
        read = await vendor.read(purchase_of(str(uuid4()), LINE))
    assert isinstance(read, NotKnown)
