"""Units: how they enter, what makes one a duplicate, and who wins when two move the same one."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

import pytest

from rewards.catalog.model import ShelfKey
from rewards.infra.crypto import SealBroken, Vault
from rewards.infra.db import Database, Tx
from rewards.infra.settings import Settings
from rewards.inventory import model, service, units
from rewards.inventory.model import (
    BatchSource,
    BlockReason,
    DuplicateUnit,
    Need,
    NewUnit,
    UnitState,
)
from tests.counting import statements
from tests.inventory.stock_builder import NOW, SHELF, Stock

STATES = (UnitState.AVAILABLE, UnitState.ALLOCATED, UnitState.DELIVERED, UnitState.BLOCKED)


async def test_units_of_every_state_enter_and_open(stock: Stock) -> None:
    for state in STATES:
        unit_ids = await stock.add([stock.new(), stock.new(days=9)], state)
        assert await stock.states(unit_ids) == [state, state]
        async with stock.db.connection() as connection:
            stored = await service.read_units(connection, unit_ids)
        opened = await service.open_units(stock.vault, [unit for unit in stored if unit])
        assert opened == [stock.codes[unit_id] for unit_id in unit_ids]
    assert await stock.breaches() == {}


async def test_adding_is_two_statements_however_many(stock: Stock) -> None:
    batch_id = await stock.batch()
    new = [stock.new() for _ in range(500)]
    async with stock.db.transaction() as tx:
        with statements(tx) as sent:
            await service.add_units(tx, stock.vault, batch_id, new, UnitState.AVAILABLE, NOW)
            assert await service.add_units(tx, stock.vault, batch_id, [], STATES[0], NOW) == []
    assert len(sent) == 2


async def test_duplicates_come_back_as_values_in_their_places(stock: Stock) -> None:
    old = stock.new()
    await stock.add([old])
    batch_id = await stock.batch("SANDBOX")
    fresh, spaced = stock.new(), NewUnit(SHELF, {"code": "AB 12-34", "pin": "1"})
    twin = NewUnit(SHELF, {"code": "AB1234", "pin": "2"})
    elsewhere = NewUnit(ShelfKey(7, 2500, "USD"), dict(old.fields))
    async with stock.db.transaction() as tx:
        offered = [old, fresh, spaced, fresh, twin, elsewhere]
        added = await service.add_units(
            tx, stock.vault, batch_id, offered, UnitState.AVAILABLE, NOW
        )
    assert [isinstance(one, int) for one in added] == [False, True, True, False, False, True]
    assert all(isinstance(added[at], DuplicateUnit) for at in (0, 3, 4))
    assert "CANARY" not in repr(added)
    assert await stock.breaches() == {}


async def test_minted_units_come_back_sealed_and_never_see_the_shelf(stock: Stock) -> None:
    batch_id = await stock.batch("SANDBOX")
    new = [stock.new(days=3), stock.new()]
    async with stock.db.transaction() as tx:
        one, two, again = await service.mint(tx, stock.vault, batch_id, [*new, new[0]], NOW)
    assert not isinstance(one, DuplicateUnit)
    assert not isinstance(two, DuplicateUnit)
    assert isinstance(again, DuplicateUnit)
    assert (one.expires_at, two.expires_at) == (new[0].expires_at, None)
    opened = await service.open_units(stock.vault, [one, two])
    assert opened == [dict(unit.fields) for unit in new]
    assert await stock.states([one.unit_id, two.unit_id]) == ["DELIVERED"] * 2
    assert await stock.breaches() == {}


async def test_the_same_codes_from_two_sides_at_once_are_stored_once(stock: Stock) -> None:
    batches = [await stock.batch("SANDBOX") for _ in range(4)]
    new = [stock.new() for _ in range(300)]
    orders = [new, new[:150], new[150:], new]

    async def add(batch_id: int, mine: Sequence[NewUnit]) -> int:
        async def work(tx: Tx) -> int:
            added = await service.add_units(
                tx, stock.vault, batch_id, mine, UnitState.AVAILABLE, NOW
            )
            return sum(isinstance(one, int) for one in added)

        return await stock.db.run(work)

    stored = await asyncio.gather(*(add(b, o) for b, o in zip(batches, orders, strict=True)))
    assert sum(stored) == 300
    assert await stock.breaches() == {}


async def test_no_code_is_in_the_tables_in_the_clear(stock: Stock) -> None:
    await stock.add([stock.new() for _ in range(20)])
    shown = repr(await stock.dump())
    assert "CANARY" not in shown
    assert b"CANARY".hex() not in shown


async def test_a_seal_moved_to_another_unit_does_not_open(stock: Stock) -> None:
    one, two = await stock.fill(2)
    async with stock.db.transaction() as tx:
        await tx.execute(
            "UPDATE units SET sealed = (SELECT sealed FROM units WHERE id = $1) WHERE id = $2",
            one,
            two,
        )
        stored = await service.read_units(tx, [one, two])
    good, moved = (unit for unit in stored if unit)
    assert await service.open_units(stock.vault, [good]) == [stock.codes[one]]
    with pytest.raises(SealBroken):
        await service.open_units(stock.vault, [moved])


async def test_unknown_units_read_as_none_and_move_nowhere(stock: Stock) -> None:
    async with stock.db.transaction() as tx:
        assert await service.read_units(tx, [99, 98]) == [None, None]
        assert await service.read_units(tx, []) == []
        assert await service.revoke(tx, [99]) == [False]
        assert await service.block(tx, [99], BlockReason.STAFF, NOW) == [False]
        assert await service.unblock(tx, [99]) == [False]
        assert await service.release(tx, [99]) == [False]
        assert await service.deliver(tx, [99]) == [None]


class KilledError(Exception):
    """Stands for the end of the process."""


# What each act does to a unit in each state; everything else leaves it alone.
MOVES = {
    ("deliver", "ALLOCATED"): "DELIVERED",
    ("complete", "DELIVERED"): "COMPLETED",
    ("revoke", "ALLOCATED"): "REVOKED",
    ("revoke", "DELIVERED"): "REVOKED",
    ("revoke", "COMPLETED"): "REVOKED",
    ("release", "ALLOCATED"): "AVAILABLE",
    ("block", "AVAILABLE"): "BLOCKED",
    ("unblock", "BLOCKED"): "AVAILABLE",
}
ACTS = ("deliver", "complete", "revoke", "release", "block", "unblock")


async def act(db: Database, name: str, unit_ids: Sequence[int]) -> list[bool]:
    async def work(tx: Tx) -> list[bool]:
        if name == "block":
            return await service.block(tx, unit_ids, BlockReason.STAFF, NOW)
        done = await getattr(service, name)(tx, unit_ids)
        return [bool(one) for one in done]

    return await db.run(work)


async def one_of_each(stock: Stock) -> dict[str, int]:
    ids: dict[str, int] = {}
    for state in STATES:
        [ids[state]] = await stock.add([stock.new()], state)
    [ids["COMPLETED"], ids["REVOKED"]] = await stock.add(
        [stock.new(), stock.new()], UnitState.DELIVERED
    )
    assert await act(stock.db, "complete", [ids["COMPLETED"]]) == [True]
    assert await act(stock.db, "revoke", [ids["REVOKED"]]) == [True]
    return ids


@pytest.mark.parametrize("name", ACTS)
async def test_each_act_moves_the_states_it_may_and_no_other(stock: Stock, name: str) -> None:
    ids = await one_of_each(stock)
    assert await stock.states(list(ids.values())) == list(ids)
    won = await act(stock.db, name, list(ids.values()))
    assert won == [(name, state) in MOVES for state in ids]
    after = await stock.states(list(ids.values()))
    assert after == [MOVES.get((name, state), state) for state in ids]
    assert await stock.breaches() == {}
    before = await stock.dump()
    assert not any(await act(stock.db, name, list(ids.values())))
    assert await stock.dump() == before


@pytest.mark.parametrize("name", ["complete", "revoke"])
async def test_of_many_who_do_the_same_one_wins(stock: Stock, name: str) -> None:
    unit_ids = await stock.add([stock.new() for _ in range(20)], UnitState.DELIVERED)
    orders = [unit_ids, unit_ids[::-1], unit_ids[10:] + unit_ids[:10]] * 3
    won = await asyncio.gather(*(act(stock.db, name, order) for order in orders))
    winners = [
        i for o, w in zip(orders, won, strict=True) for i, ok in zip(o, w, strict=True) if ok
    ]
    assert sorted(winners) == unit_ids


async def test_a_released_unit_waits_for_the_pump(stock: Stock) -> None:
    unit_ids = await stock.add([stock.new()], UnitState.ALLOCATED)
    assert await act(stock.db, "release", unit_ids) == [True]
    async with stock.db.transaction() as tx:
        assert await service.allocate(tx, [Need(SHELF, 1)], NOW) == [[]]


async def test_an_unblocked_unit_waits_for_the_pump(stock: Stock) -> None:
    unit_ids = await stock.fill(1)
    await act(stock.db, "block", unit_ids)
    await act(stock.db, "unblock", unit_ids)
    async with stock.db.transaction() as tx:
        assert await service.depth(tx, [SHELF], NOW) == [0]
        assert await tx.fetchval("SELECT count(*) FROM shelf WHERE NOT loaded") == 1


async def test_rotation_seals_everything_anew_however_often_it_is_interrupted(
    stock: Stock, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T59 in small: sales and openings go on while units move to the new key."""
    monkeypatch.setattr("rewards.inventory.batches.RESEAL_UNITS", 20)
    unit_ids = await stock.fill(300)
    old = vault.active_header(units.PLACE)
    await vault.rotate_data_key("units")
    real, calls = vault.seal, 0

    def failing(place: str, subject_id: int, plaintext: bytes) -> bytes:
        nonlocal calls
        calls += 1
        if calls % 47 == 0:
            raise KilledError
        return real(place, subject_id, plaintext)

    monkeypatch.setattr(vault, "seal", failing)
    done = interrupted = 0
    for _ in range(100):
        async with stock.db.transaction() as tx:
            [[unit]] = await service.allocate(tx, [Need(SHELF, 1)], NOW)
        opened = await service.open_units(vault, [unit])
        assert opened == [stock.codes[unit.unit_id]]
        try:
            done = await service.reseal(stock.db, vault)
        except KilledError:
            interrupted += 1
            continue
        if not done:
            break
    assert interrupted >= 5
    async with stock.db.connection() as connection:
        stored = await service.read_units(connection, unit_ids)
    assert not [unit for unit in stored if unit and unit.sealed.startswith(old)]
    opened = await service.open_units(vault, [unit for unit in stored if unit])
    assert opened == [stock.codes[unit_id] for unit_id in unit_ids]
    assert await stock.breaches() == {}


async def test_a_blocked_batch_leaves_the_shelf_and_comes_back(stock: Stock) -> None:
    batch_id = await stock.batch("VENDOR")
    mine = await stock.add([stock.new() for _ in range(5)], batch_id=batch_id)
    others = await stock.fill(2)
    async with stock.db.transaction() as tx:
        await service.block(tx, mine[:1], BlockReason.STAFF, NOW)
        [[sold]] = await service.allocate(tx, [Need(SHELF, 1)], NOW)
    assert await service.block_batch(stock.db, batch_id, NOW) in (3, 4)
    assert await service.block_batch(stock.db, batch_id, NOW) == 0
    async with stock.db.transaction() as tx:
        assert await service.depth(tx, [SHELF], NOW) == [2 - (sold.unit_id in others)]
        held = await service.batch_units(tx, batch_id, [UnitState.DELIVERED])
    assert [unit_id for unit_id, _ in held] == [i for i in mine if i == sold.unit_id]
    back = await service.unblock_batch(stock.db, batch_id, NOW)
    assert back == sum(state == "AVAILABLE" for state in await stock.states(mine))
    assert await stock.states(mine[:1]) == ["BLOCKED"], "blocked for a reason of its own"
    assert await stock.breaches() == {}


async def test_a_recalled_batch_stays_off(stock: Stock) -> None:
    batch_id = await stock.batch("VENDOR")
    await stock.add([stock.new() for _ in range(3)], batch_id=batch_id)
    assert await service.block_batch(stock.db, batch_id, NOW, recall=True) == 3
    before = await stock.dump()
    with pytest.raises(model.BatchClosed):
        await service.unblock_batch(stock.db, batch_id, NOW)
    with pytest.raises(model.BatchClosed):
        await service.block_batch(stock.db, batch_id, NOW)
    with pytest.raises(model.BatchNotFound):
        await service.block_batch(stock.db, 999, NOW)
    assert await stock.dump() == before


async def test_batches_are_listed_newest_first(stock: Stock) -> None:
    async with stock.db.transaction() as tx:
        ids = [await service.open_batch(tx, BatchSource.VENDOR, f"b{n}", NOW) for n in range(3)]
        listed = await service.list_batches(tx, limit=2)
        rest = await service.list_batches(tx, before_id=listed[-1].batch_id)
    assert [batch.batch_id for batch in listed + rest] == ids[::-1]


async def test_a_key_that_is_newer_than_the_resealers_is_learned_while_nothing_is_held(
    dsn: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its only connection is free when it reads the keys; what is sealed newest stays so."""
    async with AsyncExitStack() as stack:
        mine, others = [await Database.connect(dsn, settings, size=1) for _ in range(2)]
        for db in (mine, others):
            stack.push_async_callback(db.close)
        vault = await Vault.open_database(mine, settings)
        other = Stock(others, await Vault.open_database(others, settings))
        unit_ids = await other.fill(10)
        real, calls = vault.refresh, 0

        async def overtaken() -> None:
            nonlocal calls
            calls += 1
            await real()
            if calls == 1:
                await other.vault.rotate_data_key("units")
                unit_ids.extend(await other.fill(10))

        monkeypatch.setattr(vault, "refresh", overtaken)
        assert await service.reseal(mine, vault) == 10
        newest = other.vault.active_header(units.PLACE)
        async with mine.connection() as connection:
            stored = await service.read_units(connection, unit_ids)
        assert all(unit and unit.sealed.startswith(newest) for unit in stored)
