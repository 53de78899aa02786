"""Every act of staff leaves a row of the audit trail: found by trying each, named nowhere here."""

import os
from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.conftest import with_database
from tests.security.asking import ask, example
from tests.security.world import World, open_world

# They ask or look, and change nothing of ours.
NO_ACT = {"checkVendor"}
# They answer for each order, and here each of them is refused.
FOR_EACH = {"approveVendorFulfilments", "cancelOrders", "retryOrders"}
# What the document's example leaves to the place it is tried at.
BODIES = {
    "addLogin": {"username": "buyer3@example.com", "password": "a quiet password"},
    "createStaff": {"username": "carla@example.com", "role": "viewer", "password": "a quiet one!"},
    "orderStock": {"product_id": 1, "denomination": 25, "quantity": 1, "reason": "Runs out"},
}
# Of those that one admin can do in one world; the others need a second person, or a fault.
SUCCEED_MIN = 36
ROWS = "SELECT count(*) FROM audit_entries"


@pytest.fixture
async def own_world(
    server_dsn: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """A world that nobody needs afterwards."""
    name = f"rewards_acts_{os.getpid()}"
    admin = await asyncpg.connect(server_dsn)
    await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    dsn, home = with_database(server_dsn, name), tmp_path_factory.mktemp("acts")
    async with open_world(dsn, home) as opened:
        yield opened
    await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await admin.close()


async def test_whatever_staff_change_is_in_the_trail(own_world: World) -> None:
    world, done, silent = own_world, set(), set()
    acts = [one for one in world.operations if one.staff and one.method != "GET"]
    # What takes something away comes after what needs it.
    for one in sorted(acts, key=lambda act: ("logout" in act.path, act.method == "DELETE")):
        if one.guard is None or one.operation_id in NO_ACT | FOR_EACH:
            continue
        before = await _rows(world)
        body = BODIES.get(one.operation_id, example(one))
        answer = await ask(world, one, await world.api.as_staff(), world.ids, body=body)
        written = await _rows(world) - before
        if answer.status < 300:
            done.add(one.operation_id)
            silent |= set() if written else {one.operation_id}
        else:
            # A refusal is none; nor does it say that somebody tried.
            assert written == 0, (one, answer.text)
    refused = sorted(one.operation_id for one in acts if one.operation_id not in done)
    print(f"{len(done)} acts, each in the trail; refused here: {', '.join(refused)}")
    assert not silent, silent
    assert len(done) >= SUCCEED_MIN


async def _rows(world: World) -> int:
    async with world.api.parts.db.connection() as connection:
        count: int = await connection.fetchval(ROWS)
    return count
