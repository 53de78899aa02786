"""Whether there is such a name, reference or thing nobody learns from what is not theirs (T62)."""

import time
from typing import Any

import pytest

from tests.http.calling import Answer
from tests.security import callers
from tests.security.asking import alike, ask, needed
from tests.security.operations import Operation
from tests.security.test_foreign import NOWHERE, by_path
from tests.security.timing import Verdict, judge, of_block
from tests.security.world import World

WRONG = "not the right password"
ORDER = {"product_id": 15, "denomination": 10, "quantity": 1}
# By how much they may differ; after how many blocks of calls one looks, and when nobody knows.
DIFFER_MAX = 0.05
BLOCKS_A_LOOK, BLOCKS_MAX = 300, 6_000


async def tried(world: World, path: str, username: str, password: str) -> Answer:
    """A login, as late after the last one as not to be one too many."""
    world.clock.advance(seconds=callers.BETWEEN_LOGINS_S)
    body = {"username": username, "password": password}
    return await world.api.call(
        "POST", path, body, shown={}, headers={"X-Request-Id": "req_matrix"}
    )


async def test_a_login_does_not_tell_who_there_is(world: World) -> None:
    quiet = await world.client("Quiet")
    await callers.person(world, quiet, "quiet@example.com")
    gone, _ = await callers.hire(world, callers.Role.VIEWER, "went@example.com")
    await world.admin("PATCH", f"/clients/{quiet}", {"status": "SUSPENDED"})
    await world.admin("PATCH", f"/staff/{gone}", {"active": False})
    owner = world.api.card["client"]["username"]
    asked = {
        "/auth/login": [
            (owner, WRONG),
            ("nobody@example.com", WRONG),
            ("quiet@example.com", callers.PASSWORD),
            # The other world's.
            ("admin", world.api.card["staff"]["admin"]["password"]),
        ],
        "/admin/auth/login": [
            ("admin", WRONG),
            ("nobody@example.com", WRONG),
            ("went@example.com", callers.PASSWORD),
            (owner, world.api.card["client"]["password"]),
        ],
    }
    for path, pairs in asked.items():
        heard = [alike(await tried(world, path, *pair)) for pair in pairs]
        assert all(each == heard[0] for each in heard), heard
        assert heard[0][0] == 401


async def test_a_reference_or_a_key_of_anothers_is_as_good_as_new(world: World) -> None:
    """Each client has its own; only the ids and the codes differ."""
    world.api.staff.clear()
    taken = {"ref": "ENUMERATED-1", "headers": {"Idempotency-Key": "enumerated-1"}}
    one = await _bought(world, world.owner, **taken)
    same = await _bought(world, world.stranger, **taken)
    fresh = {"ref": "ENUMERATED-2", "headers": {"Idempotency-Key": "enumerated-2"}}
    other = await _bought(world, world.stranger, **fresh)
    assert one["id"] != same["id"] and same["ref"] == one["ref"]
    assert same.keys() == other.keys()
    told = ("status", "sub_status", "amount", "currency", "product_name")
    assert [same[name] for name in told] == [other[name] for name in told]


async def _bought(
    world: World, shown: callers.Shown, ref: str, headers: dict[str, str]
) -> dict[str, Any]:
    answer = await world.api.call(
        "POST", "/api/v1/orders", {**ORDER, "ref": ref}, shown=shown, headers=headers
    )
    assert answer.status == 200, answer.text
    assert "Idempotent-Replayed" not in answer.headers
    order: dict[str, Any] = answer.json
    return order


def foreign_reads(world: World) -> list[Operation]:
    return [
        each.one
        for one in world.operations
        if not one.staff and one.guard is not None and one.method == "GET"
        for each in by_path(one)
    ]


@pytest.mark.long
async def test_a_foreign_id_is_refused_as_late_as_an_unknown_one(world: World) -> None:
    """Of each read as many blocks as it takes to be sure; `timing.py` says how that is told."""
    hidden = f"/products/{world.ids['product_id']}/visibility/{world.stranger_id}"
    await world.admin("PUT", hidden, {"visible": False})
    for one in foreign_reads(world):
        blocks: list[float] = []
        told = judge(blocks, DIFFER_MAX)
        while told.verdict is Verdict.UNSURE and len(blocks) < BLOCKS_MAX:
            blocks += [await _block(world, one) for _ in range(BLOCKS_A_LOOK)]
            told = judge(blocks, DIFFER_MAX)
        print(f"{one}: {told.share:+.1%} ({told.least:+.1%} to {told.most:+.1%}), {len(blocks)}")
        # Where the truth lies so near to the limit that nobody is sure, the median decides.
        assert told.verdict is not Verdict.DIFFERENT, (one, told)
        assert abs(told.share) < DIFFER_MAX, (one, told)


async def _block(world: World, one: Operation) -> float:
    """How much longer a foreign id takes than an unknown one, of four calls."""
    took_s: dict[str, list[float]] = {"foreign": [], "unknown": []}
    for kind in ("foreign", "unknown", "unknown", "foreign"):
        ids = world.ids if kind == "foreign" else NOWHERE
        began_s = time.perf_counter()
        answer = await ask(world, one, world.stranger, ids, query=needed(one))
        took_s[kind].append(time.perf_counter() - began_s)
        assert answer.status == 404, (one, answer.text)
    return of_block(took_s["foreign"], took_s["unknown"])
