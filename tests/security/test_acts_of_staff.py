"""Every act of staff leaves a row of the trail that says who, from where and why: each is done."""

from collections.abc import Mapping
from typing import Any

from tests.http.calling import Answer
from tests.security.acts import FORM, PREPARED, Try, admin
from tests.security.asking import ask, example
from tests.security.callers import Shown
from tests.security.operations import Operation
from tests.security.world import World

# They ask or look, and change nothing of ours.
NO_ACT = {"checkVendor": "asks a vendor whether it answers"}
# What the document's example leaves to the place it is tried at.
BODIES = {
    "addLogin": {"username": "buyer3@example.com", "password": "a quiet password"},
    "createStaff": {"username": "carla@example.com", "role": "viewer", "password": "a quiet one!"},
    # What the world's vendor offers.
    "orderStock": {"product_id": 6, "denomination": 5, "quantity": 1, "reason": "Runs out"},
}
ROWS = "SELECT * FROM audit_entries WHERE request_id = $1"


async def test_whatever_staff_change_is_in_the_trail(own_world: World) -> None:
    """Each changing operation of the document succeeds once, and is told of as what it was."""
    world = own_world
    acts = {one.operation_id: one for one in world.operations if one.staff and _changes(one)}
    assert set(PREPARED) | set(BODIES) <= set(acts)
    wrong = []
    for name in sorted(acts, key=lambda name: _turn(acts[name])):
        one, prepared = acts[name], PREPARED.get(name)
        wanted = await prepared(world) if prepared else Try(body=BODIES.get(name))
        who, shown = wanted.who or await admin(world)
        body = None if wanted.file else wanted.body or example(one)
        answer = await _do(world, one, wanted, shown, body)
        if answer.status >= 300:
            wrong.append((name, answer.status, answer.text))
            continue
        told = [dict(row) for row in await _rows(world, f"req_{name}")]
        wrong += [(name, why) for why in _lacks(told, who, body)]
    assert not wrong, "\n".join(map(str, wrong))


def _changes(one: Operation) -> bool:
    return one.method != "GET" and one.operation_id not in NO_ACT


def _turn(one: Operation) -> tuple[bool, bool]:
    """What takes something away comes after what needs it."""
    return one.operation_id not in PREPARED, one.method == "DELETE"


async def _do(world: World, one: Operation, wanted: Try, shown: Shown, body: Any) -> Answer:
    ids = {**world.ids, **wanted.ids}
    headers = {"X-Request-Id": f"req_{one.operation_id}"}
    if wanted.file is None:
        return await ask(world, one, shown, ids, body=body, headers=headers)
    headers["Content-Type"] = FORM
    return await world.api.call("POST", one.at(ids), raw=wanted.file, headers=headers, shown=shown)


def _lacks(rows: list[dict[str, Any]], who: int, body: Any) -> list[str]:
    """What the trail does not say of an act that it must."""
    if not rows:
        return ["is not in the trail"]
    found = []
    for row in rows:
        if (row["actor_kind"], row["actor_id"]) != ("STAFF", who):
            found.append(f"{row['action']} by {row['actor_kind']} {row['actor_id']}, not {who}")
        if row["address"] != "127.0.0.1":
            found.append(f"{row['action']} from {row['address']}")
    reason = body.get("reason") if isinstance(body, Mapping) else None
    if reason and reason not in [row["reason"] for row in rows]:
        found.append(f"without its reason: {[(row['action'], row['reason']) for row in rows]}")
    return found


async def _rows(world: World, request_id: str) -> list[Any]:
    async with world.api.parts.db.connection() as connection:
        found: list[Any] = await connection.fetch(ROWS, request_id)
    return found
