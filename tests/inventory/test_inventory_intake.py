"""Imports: what ends in stock, what in the report, and what a kill half-way leaves."""

import asyncio
import io
import json
import random
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

import pytest

from rewards.infra.crypto import Vault
from rewards.infra.db import Database
from rewards.inventory import files, intake, service
from rewards.inventory.model import (
    Batch,
    BatchClosed,
    BatchNotFound,
    BatchState,
    Reject,
    UnitState,
)
from tests import processes
from tests.inventory import stock_files
from tests.inventory.stock_builder import NOW, SHELF, Shop, StandingClock, Stock
from tests.inventory.test_inventory_files import GOOD, HEADER, csv_of
from tests.inventory.test_inventory_workbooks import xlsx

CLOCK = StandingClock()
IMPORTED_WITHIN_S = 900.0
TWICE = "the product has this code already"


def row(code: object, **changes: str) -> list[str]:
    return [changes.get(name, str(code) if name == "code" else value) for name, value in SAMPLE]


SAMPLE = list(zip(HEADER, GOOD, strict=True))


async def open_import(db: Database) -> int:
    async with db.transaction() as tx:
        return await service.open_import(tx, "stock.csv", NOW, staff_id=3)


async def run(stock: Stock, file: BinaryIO | bytes, shop: Shop | None = None) -> Batch:
    file = io.BytesIO(file) if isinstance(file, bytes) else file
    batch_id = await open_import(stock.db)
    return await service.run_import(stock.db, stock.vault, shop or Shop(), CLOCK, batch_id, file)


async def rejects(stock: Stock, batch: Batch) -> list[Reject]:
    async with stock.db.connection() as connection:
        return await service.read_rejects(connection, batch.batch_id)


def counts(batch: Batch) -> tuple[int, int, int, int]:
    return batch.rows_read, batch.loaded, batch.duplicate, batch.invalid


async def test_a_file_becomes_waiting_units_and_a_report(stock: Stock) -> None:
    lines = [row("A-1"), row("A-2", pin=""), row("A-3"), row("A 1"), ["what"], row("A-4")]
    batch = await run(stock, csv_of(*lines))
    assert (batch.state, batch.error, batch.staff_id) == (BatchState.DONE, None, 3)
    assert counts(batch) == (6, 3, 1, 2)
    assert await rejects(stock, batch) == [
        Reject(3, "INVALID", "pin: missing"),
        Reject(5, "DUPLICATE", TWICE),
        Reject(6, "INVALID", "fewer cells than the header has"),
    ]
    async with stock.db.connection() as connection:
        units = await service.batch_units(connection, batch.batch_id)
        stored = await service.read_units(connection, [unit_id for unit_id, _ in units])
        assert await service.depth(connection, [SHELF], NOW) == [0]
        cost = await connection.fetchval("SELECT sum(cost_minor) FROM units")
    assert [state for _, state in units] == [UnitState.AVAILABLE] * 3
    opened = await service.open_units(stock.vault, [unit for unit in stored if unit])
    assert opened == [{"code": f"A-{n}", "pin": "0042"} for n in (1, 3, 4)]
    assert cost == 3 * 2450
    assert await stock.breaches() == {}


async def test_the_same_file_again_is_all_duplicates(stock: Stock) -> None:
    data = csv_of(*(row(f"A-{n}") for n in range(20)))
    first, second = await run(stock, data), await run(stock, data)
    assert counts(first) == (20, 20, 0, 0)
    assert counts(second) == (20, 0, 20, 0)
    mixed = await run(stock, csv_of(row("A-5"), row("B-1"), row("B-1")))
    assert counts(mixed) == (3, 1, 2, 0)
    assert await stock.breaches() == {}


async def test_a_workbook_is_imported_like_a_csv(stock: Stock) -> None:
    data = xlsx([list(HEADER), *(list(row(f"A-{n}")) for n in range(5)), list(row("A-1"))])
    batch = await run(stock, data)
    assert counts(batch) == (6, 5, 1, 0)
    assert await rejects(stock, batch) == [Reject(7, "DUPLICATE", TWICE)]
    assert counts(await run(stock, csv_of(row("A-3"), row("A-9")))) == (2, 1, 1, 0)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "the file is empty"),
        (csv_of().replace(b"code", b"CANARY"), "column 5 of the header is none of"),
        (csv_of(GOOD).decode().encode("utf-16"), "the file is not UTF-8 text"),
        (b'"\n', "the header has quotes that do not match"),
        (xlsx([list(HEADER), list(GOOD)], formula=True), "a formula in row 2, column 5"),
    ],
)
async def test_a_file_that_cannot_be_read_leaves_a_failed_batch(
    stock: Stock, data: bytes, error: str
) -> None:
    batch = await run(stock, data)
    assert batch.state is BatchState.FAILED
    assert batch.error is not None
    assert batch.error.startswith(error)
    assert "CANARY" not in batch.error
    assert counts(batch) == (0, 0, 0, 0)
    assert await stock.breaches() == {}


async def test_an_import_needs_a_batch_that_is_importing(stock: Stock) -> None:
    batch = await run(stock, csv_of(GOOD))
    before = await stock.dump()
    for batch_id, refusal in ((batch.batch_id, BatchClosed), (999, BatchNotFound)):
        with pytest.raises(refusal):
            await service.run_import(
                stock.db, stock.vault, Shop(), CLOCK, batch_id, io.BytesIO(csv_of(GOOD))
            )
    assert await stock.dump() == before


async def test_progress_is_visible_while_it_runs(
    stock: Stock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "CHUNK_ROWS", 10)
    seen: list[int] = []
    batch_id = await open_import(stock.db)
    file = io.BytesIO(csv_of(*(row(f"A-{n}") for n in range(200))))
    task = asyncio.create_task(
        service.run_import(stock.db, stock.vault, Shop(), CLOCK, batch_id, file)
    )
    while not task.done():
        seen.append((await service.read_batch(stock.db, batch_id)).rows_read)
        await asyncio.sleep(0.005)
    assert counts(await task) == (200, 200, 0, 0)
    assert seen == sorted(seen)
    assert len(set(seen)) > 3
    assert all(count % 10 == 0 for count in seen)


class Killed(BaseException):
    """Ends an import where a killed process would."""


async def test_a_killed_import_is_given_up_and_run_again(
    stock: Stock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "CHUNK_ROWS", 10)
    data = csv_of(*(row(f"A-{n}") for n in range(100)))
    batch_id = await open_import(stock.db)
    real = intake._store
    stored = 0

    async def store_four(*given: object) -> None:
        nonlocal stored
        if stored == 4:
            raise Killed
        await real(*given)  # type: ignore[arg-type]
        stored += 1

    async def no_farewell(*given: object) -> None:
        """A killed process tidies nothing up."""

    with monkeypatch.context() as patch:
        patch.setattr(intake, "_store", store_four)
        patch.setattr(intake, "_finish", no_farewell)
        with pytest.raises(Killed):
            await service.run_import(
                stock.db, stock.vault, Shop(), CLOCK, batch_id, io.BytesIO(data)
            )
    half = await service.read_batch(stock.db, batch_id)
    assert (half.state, counts(half)) == (BatchState.IMPORTING, (40, 40, 0, 0))
    async with stock.db.transaction() as tx:
        assert await service.fail_dead_imports(tx, NOW + timedelta(minutes=4)) == []
        assert await service.fail_dead_imports(tx, NOW + timedelta(minutes=6)) == [batch_id]
    half = await service.read_batch(stock.db, batch_id)
    assert (half.state, half.error) == (BatchState.FAILED, intake.INTERRUPTED)
    assert counts(await run(stock, data)) == (100, 60, 40, 0)
    assert await stock.breaches() == {}


async def test_an_import_that_was_given_up_stops_at_its_next_chunk(
    stock: Stock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "CHUNK_ROWS", 10)
    batch_id = await open_import(stock.db)
    real = files.rows

    def slow(file: BinaryIO) -> Iterator[files.Row]:
        for number, cells in real(file):
            if number == 40:
                asyncio.run_coroutine_threadsafe(give_up(), loop).result(10)
            yield number, cells

    async def give_up() -> None:
        async with stock.db.transaction() as tx:
            await service.fail_dead_imports(tx, NOW + timedelta(hours=1))

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(files, "rows", slow)
    data = csv_of(*(row(f"A-{n}") for n in range(100)))
    with pytest.raises(BatchClosed):
        await service.run_import(stock.db, stock.vault, Shop(), CLOCK, batch_id, io.BytesIO(data))
    batch = await service.read_batch(stock.db, batch_id)
    assert batch.state is BatchState.FAILED
    assert batch.rows_read in (20, 30)
    assert await stock.breaches() == {}


async def test_an_error_half_way_marks_the_batch_failed(
    stock: Stock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "CHUNK_ROWS", 10)
    monkeypatch.setattr(intake, "ROWS_MAX", 25)
    batch = await run(stock, csv_of(*(row(f"A-{n}") for n in range(100))))
    assert (batch.state, batch.error) == (BatchState.FAILED, "the file has more than 25 rows")
    assert counts(batch) == (20, 20, 0, 0)
    assert await stock.breaches() == {}


async def test_two_imports_of_the_same_codes_share_them(stock: Stock) -> None:
    codes = [row(f"A-{n}") for n in range(3000)]
    one, two = await asyncio.gather(run(stock, csv_of(*codes)), run(stock, csv_of(*codes[::-1])))
    assert one.loaded + two.loaded == 3000
    assert one.duplicate + two.duplicate == 3000
    assert await stock.breaches() == {}


async def test_four_thousand_random_rows_add_up(stock: Stock) -> None:
    rng = random.Random(13)
    values = {
        "product_id": ["6", "6", "6", "6", "9", "", "x"],
        "denomination": ["25", "25", "50", "75.5", "26", "-1", "nan", "25.001"],
        "currency": ["USD", "USD", "USD", "EUR", ""],
        "expires_at": ["", "2030-01-01", "2030-01-01T10:00:00Z", "2020-01-01", "soon"],
        "pin": ["1", "22", "333", "4444", "", "\0", '"', "=1"],
        "cost": ["", "1", "1.11", "2", "x"],
    }
    codes = [f"CANARY-{n}" for n in range(300)] + ["", "=CANARY", '"CANARY', "CAN\u200bARY"]
    lines = [
        [rng.choice(codes) if name == "code" else rng.choice(values[name]) for name in HEADER]
        for _ in range(4000)
    ]
    batch = await run(stock, csv_of(*lines))
    assert batch.state is BatchState.DONE
    assert batch.rows_read == 4000 == batch.loaded + batch.duplicate + batch.invalid
    assert batch.loaded > 100
    assert batch.duplicate > 10
    async with stock.db.connection() as connection:
        told = await service.read_rejects(connection, batch.batch_id, limit=10_000)
        page = await service.read_rejects(connection, batch.batch_id, told[9].row_number, 5)
    assert len(told) == batch.duplicate + batch.invalid
    assert page == told[10:15]
    assert "CANARY" not in repr(told)
    assert await stock.breaches() == {}


async def growth_kib(dsn: str, home: Path, file: Path, rows: int) -> int:
    """How much memory a process needed at its highest to import the file."""
    arguments = [sys.executable, "-m", "tests.inventory.import_process", dsn, str(home), str(file)]
    importing = await processes.start(arguments)
    assert await importing.wait(IMPORTED_WITHIN_S) == 0, importing.output()
    said = json.loads(importing.output().splitlines()[-1])
    assert (said["loaded"], said["error"]) == (rows, None)
    return int(said["growth_kib"])


ALLOCATOR_KIB = 2_048


@pytest.mark.parametrize("write", [stock_files.write_csv, stock_files.write_xlsx])
@pytest.mark.parametrize(
    ("few", "many"), [(20_000, 100_000), pytest.param(100_000, 1_000_000, marks=pytest.mark.long)]
)
async def test_many_rows_need_no_more_memory_than_few(
    dsn: str, tmp_path: Path, few: int, many: int, write: Callable[[Path, range], Path]
) -> None:
    grown = []
    for numbers in (range(few), range(few, few + many)):
        file = write(tmp_path / f"{len(numbers)}", numbers)
        grown.append(await growth_kib(dsn, tmp_path, file, len(numbers)))
    print(f"{few} rows: {grown[0]} KiB, {many} rows: {grown[1]} KiB")
    # Of what is a few MiB, the allocator's pieces are no small part.
    assert grown[1] <= 1.2 * grown[0] + ALLOCATOR_KIB


async def test_the_data_key_learns_how_much_it_sealed(stock: Stock, vault: Vault) -> None:
    await run(stock, csv_of(*(row(f"A-{n}") for n in range(30))))
    async with stock.db.connection() as connection:
        seals = await connection.fetchval("SELECT seals FROM data_keys WHERE purpose = 'units'")
    assert seals == 30
