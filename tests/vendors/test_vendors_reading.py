"""What workers read from vendors: balances and catalogues, each vendor for itself."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rewards.infra.db import Database
from rewards.vendors.account import AccountStatus
from rewards.vendors.simulators.book import SimProduct
from rewards.vendors.simulators.faults import Fault, Scripted
from tests.vendors.office import PRODUCTS, Office, opened, simulator

OFFERS = (
    "SELECT sku, min_minor, max_minor, fixed_minor, stock, active FROM vendor_offers ORDER BY sku"
)
READINGS = (
    "SELECT vendor_id, what, read_at IS NOT NULL AS once, problem FROM vendor_reads ORDER BY 1"
)
IDLE = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND state LIKE 'idle in transaction%'
"""


@pytest.fixture
async def office(db: Database, tmp_path: Path) -> AsyncIterator[Office]:
    async with opened(db, tmp_path) as made:
        yield made


async def test_each_active_vendor_is_asked_and_one_that_fails_is_alone(office: Office) -> None:
    fine, down, paused = simulator(), simulator(), simulator()
    async with fine.serve() as a, down.serve() as b, paused.serve() as c:
        first = await office.add(a, "fine")
        second = await office.add(b, "down")
        third = await office.add(c, "paused")
        await office.change(third.id, status=AccountStatus.PAUSED)
        down.script.add([Scripted(Fault.ERROR_BEFORE)])
        await office.tasks.read_balances()
        kept = await office.rows(
            "SELECT vendor_id, currency, balance_minor FROM vendor_balances ORDER BY currency"
        )
        assert [(row["vendor_id"], row["currency"]) for row in kept] == [
            (first.id, "JPY"),
            (first.id, "USD"),
        ]
        assert {row["balance_minor"] for row in kept} == {fine.book.balance_minor}
        good, bad = await office.rows(READINGS)
        assert good == {"vendor_id": first.id, "what": "BALANCES", "once": True, "problem": None}
        assert (bad["vendor_id"], bad["once"]) == (second.id, False)
        assert bad["problem"] == "the vendor failed with 503"
        await office.tasks.read_balances()
        assert [row["problem"] for row in await office.rows(READINGS)] == [None, None]
        assert paused.book.calls.total() == 0


async def test_a_catalogue_is_kept_whole_and_what_is_gone_goes(office: Office) -> None:
    shop = simulator()
    async with shop.serve() as url:
        account = await office.add(url)
        await office.tasks.sync([account.id])
        assert await office.rows(OFFERS) == [
            {"sku": "AMZ-25", "min_minor": 2500, "max_minor": 2500, "fixed_minor": [2500]}
            | {"stock": None, "active": True},
            {"sku": "ANY_YEN", "min_minor": 100, "max_minor": 50000, "fixed_minor": []}
            | {"stock": None, "active": True},
        ]
        del shop.book.products["AMZ-25"]
        shop.book.products["NEW"] = SimProduct("NEW", "New", "USD", 1, 9, (1, 5, 9), stock=3)
        await office.tasks.sync([account.id, account.id])
        assert [row["sku"] for row in await office.rows(OFFERS)] == ["ANY_YEN", "NEW"]
        assert shop.book.calls["catalogue"] == 2


@pytest.mark.parametrize("fault", [Fault.HTML, Fault.ERROR_AFTER, Fault.GARBAGE, Fault.THROTTLE])
async def test_half_a_catalogue_changes_nothing(office: Office, fault: Fault) -> None:
    many = [SimProduct(f"SKU-{n:04d}", "Many", "USD", 100, 200) for n in range(250)]
    shop = simulator(*many)
    async with shop.serve() as url:
        account = await office.add(url)
        await office.tasks.sync([account.id])
        before = await office.rows("SELECT * FROM vendor_offers ORDER BY sku")
        assert len(before) == 250
        shop.book.products["SKU-0000"] = SimProduct("SKU-0000", "Other", "USD", 1, 2)
        # The second page of three.
        shop.script.add([Scripted(fault, "catalogue", skip=1)])
        await office.tasks.sync([account.id])
        assert await office.rows("SELECT * FROM vendor_offers ORDER BY sku") == before
        [reading] = await office.rows(
            "SELECT problem, read_at FROM vendor_reads WHERE what = 'CATALOGUE'"
        )
        assert reading["problem"]
        assert reading["read_at"] == before[0]["read_at"]


@pytest.mark.parametrize(
    "wrong",
    [
        SimProduct("WRONG", "No money", "XXQ", 1, 2),
        SimProduct("WRONG", "Nothing", "USD", 0, 2),
        SimProduct("WRONG", "Upside down", "USD", 5, 2),
        SimProduct("WRONG", "Too much", "USD", 1, 10**19),
        SimProduct("WRONG", "Below nothing", "USD", 1, 2, (-1,)),
        SimProduct("WRONG", "Too many", "USD", 1, 2, stock=2**40),
        SimProduct("WRONG", "Nul \x00", "USD", 1, 2),
        SimProduct("W" * 201, "Long", "USD", 1, 2),
        SimProduct("", "Nameless", "USD", 1, 2),
    ],
    ids=lambda product: product.name,
)
async def test_a_line_without_sense_is_left_out_alone(office: Office, wrong: SimProduct) -> None:
    async with simulator(*PRODUCTS, wrong).serve() as url:
        account = await office.add(url)
        await office.tasks.sync([account.id])
    assert [row["sku"] for row in await office.rows(OFFERS)] == ["AMZ-25", "ANY_YEN"]


async def test_every_active_vendor_gets_a_job_of_its_own_every_day(office: Office) -> None:
    first = await office.add("http://127.0.0.1:9", "first")
    paused = await office.add("http://127.0.0.1:9", "paused")
    await office.change(paused.id, status=AccountStatus.PAUSED)
    for _ in range(2):
        await office.tasks.ask_for_syncs()
    queued = await office.rows(
        "SELECT entrypoint, convert_from(payload, 'UTF8') AS p FROM pgqueuer"
    )
    assert queued == [{"entrypoint": "vendors.sync", "p": f'{{"vendor_id":{first.id}}}'}]


async def test_no_transaction_is_open_while_a_vendor_thinks(office: Office) -> None:
    shop = simulator()
    seen: list[int] = []
    plain = shop.balance

    async def looking(request: object) -> object:
        seen.append((await office.rows(IDLE))[0]["count"])
        return await plain(request)  # type: ignore[arg-type]

    shop.balance = looking  # type: ignore[method-assign,assignment]
    async with shop.serve() as url:
        account = await office.add(url)
        await office.tasks.read_balances()
        assert (await office.accounts.check(account.id)).problem is None
    assert seen == [0, 0]
