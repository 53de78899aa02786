"""What is another's is as unknown as what is nowhere: by path, by query and by body (D13, T45)."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rewards.clients.auth import Requires as ClientGuard
from tests.http.calling import Answer
from tests.security import callers
from tests.security.asking import alike, all_of, ask, example, needed
from tests.security.operations import Operation
from tests.security.world import UNKNOWN, World

# Of everybody's: a client asks for them by number, and none is foreign.
SHARED = {"category_id", "subcategory_id"}
# What names something that has an owner, in a query or a body.
WHOSE = {"wallet_id", "order_id", "product_id", "credential_id"}
NOWHERE: dict[str, Any] = defaultdict(lambda: UNKNOWN)
# Whose a thing is the path says: staff name the client, and the thing must be that client's.
OWNED = {"credential_id", "login_id", "webhook_id", "delivery_id"}


@dataclass(frozen=True)
class Named:
    """An operation, and where in its request a thing is named: path, query or body."""

    one: Operation
    where: str
    name: str = ""


def by_path(one: Operation) -> list[Named]:
    return [Named(one, "path")] if set(one.parameters) - SHARED else []


def by_query(one: Operation) -> list[Named]:
    if one.method != "GET" or set(one.parameters) - SHARED:
        return []
    return [Named(one, "query", name) for name in one.queries if name in WHOSE]


def by_body(one: Operation) -> list[Named]:
    return [Named(one, "body", name) for name in one.fields if name in WHOSE]


async def ask_for(
    world: World, each: Named, ids: Mapping[str, Any], signed_in: callers.Shown
) -> Answer:
    """The stranger asks for it, by key or in person."""
    one = each.one
    number = ids[each.name] if each.name else 0
    body, query = example(one), needed(one)
    if each.where == "query":
        query = f"?{each.name}={number}"
    if each.where == "body":
        # Of a product that all may see.
        body = {**(body or {}), "product_id": 15, each.name: number}
        body = {name: body[name] for name in body if name in one.fields}
        ids = {**ids, "product_id": 15}
    if "current_password" in one.fields:
        body = {**body, "current_password": callers.PASSWORD}
    shown = signed_in if one.in_person else world.stranger
    return await ask(world, one, shown, ids, query=query, body=body)


async def test_what_is_another_clients_is_as_unknown_as_what_is_nowhere(world: World) -> None:
    """By path, by query and by body: the same status, headers and body (D13)."""
    path = f"/products/{world.ids['product_id']}/visibility/{world.stranger_id}"
    await world.admin("PUT", path, {"visible": False})
    signed_in = await callers.person(world, world.stranger_id, "foreign@example.com")
    mine = [one for one in world.operations if isinstance(one.guard, ClientGuard)]
    asked = [twin for one in mine for twin in (*by_path(one), *by_query(one), *by_body(one))]
    before = await world.api.everything()
    foreign = await all_of(ask_for(world, each, world.ids, signed_in) for each in asked)
    unknown = await all_of(ask_for(world, each, NOWHERE, signed_in) for each in asked)
    assert await world.api.everything() == before
    for each, one, other in zip(asked, foreign, unknown, strict=True):
        assert alike(one) == alike(other), each
        assert one.status == (200 if each.where == "query" else 404), (each, one.text)
    # To its owner each of them is there.
    read = [one for one in mine if one.method == "GET" and set(one.parameters) - SHARED]
    known = await callers.whoever_may(world)
    own = await all_of(ask(world, one, known(one), world.ids, query=needed(one)) for one in read)
    assert {answer.status for answer in own} == {200}, own
    print(f"{len(asked)} names in {len(mine)} operations, {len(read)} read by their owner")


async def test_what_is_another_clients_is_unknown_under_a_client_that_staff_name(
    world: World,
) -> None:
    shown = await world.api.as_staff()
    named = [one for one in world.operations if one.staff and {"client_id"} < set(one.parameters)]
    owned = [one for one in named if OWNED & set(one.parameters)]
    strangers = {"client_id": world.stranger_id}
    before = await world.api.everything()
    theirs = {**world.ids, **strangers}
    nowhere = {**dict.fromkeys(world.ids, UNKNOWN), **strangers}
    foreign = await all_of(ask(world, one, shown, theirs, body=example(one)) for one in owned)
    unknown = await all_of(ask(world, one, shown, nowhere, body=example(one)) for one in owned)
    assert await world.api.everything() == before
    for each, one, other in zip(owned, foreign, unknown, strict=True):
        assert alike(one) == alike(other), each
        assert one.status == 404, (each, one.text)
    assert len(owned) >= len(OWNED) * 2


async def test_whatever_a_path_can_name_is_there_for_those_who_may(world: World) -> None:
    """Else the tests above would compare nothing with nothing."""
    shown = await world.api.as_staff()
    reads = [one for one in world.operations if one.staff and one.method == "GET"]
    heard = await all_of(ask(world, one, shown, world.ids, query=needed(one)) for one in reads)
    assert {answer.status for answer in heard} == {200}, [
        (one, answer.text) for one, answer in zip(reads, heard, strict=True) if answer.status != 200
    ]
    named = {name for one in world.operations for name in one.parameters}
    assert named <= set(world.ids), "the world lacks something that a path names"
