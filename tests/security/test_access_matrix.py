"""Every operation of both documents x every kind of caller, taken from the route objects (T45)."""

from collections import Counter
from collections.abc import Collection
from typing import Any

import pytest

from rewards.clients.auth import Requires as ClientGuard
from rewards.clients.model import ALL_SCOPES, KEY_SCOPES, Scope
from rewards.clients.model_members import ROLE_SCOPES, MemberRole
from rewards.staff.auth import Requires as StaffGuard
from rewards.staff.model import PERMISSIONS, Permission, Role
from tests.http.calling import Answer
from tests.security import callers
from tests.security.asking import all_of, ask, lasting
from tests.security.operations import (
    OPEN,
    OPEN_PAGES,
    PARAMETER,
    ROOMS,
    Operation,
    Route,
    routes,
)
from tests.security.world import UNKNOWN, World

NOBODY = {
    "error": "UnauthorizedAccess",
    "message": "User is not authorised to perform this action",
    "code": "UNAUTHORIZED",
    "request_id": "req_matrix",
}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
FORBIDDEN = "Insufficient permissions"
# An API key has no session to end.
BY_TOKEN_ALONE = {"logout"}
# Whoever is told no more by their token afterwards: each is asked with a login of its own.
LEAVING = {"logout", "endMySession"}
# It opens no operation: it decides whether orders come with their codes.
SHOWS_CODES = {Scope.VOUCHERS_READ}
# What everybody may who is known, whatever else they may: with what is their own.
FREE = {"logout", "getMe", "changeMyPassword", "endMySession"}
FREE_OF_STAFF = {
    *("staffLogout", "getStaffMe", "changeOwnPassword", "proveMyself"),
    *("listOwnSessions", "endOwnSession", "endOtherSessions"),
    *("beginSecondFactor", "confirmSecondFactor", "removeSecondFactor"),
}


async def test_every_route_has_one_guard_or_stands_open_for_a_reason(world: World) -> None:
    known = list(routes(world.app))
    api = [route for route in known if not route.room]
    assert {route.key for route in api if not route.guards} == set(OPEN)
    for route in known:
        assert len(route.guards) <= 1, route
        assert all(isinstance(guard, ClientGuard | StaffGuard) for guard in route.guards), route
        for guard in route.guards:
            # Nobody's guard stands on a route of the other world.
            assert isinstance(guard, StaffGuard) == route.path.startswith("/admin"), route
    documented = {(one.method, one.path) for one in world.operations}
    assert {route.key for route in known if route.guards} <= documented


async def test_a_stranger_sees_no_page_and_sends_no_form(world: World) -> None:
    """Nothing on a page's route is guarded but by what it asks the API: so each is tried."""
    pages = [route for route in routes(world.app) if route.room]
    opened = [route for route in pages if (route.method, _within_room(route)) in OPEN_PAGES]
    assert {route.room for route in pages} == {route.room for route in opened} <= set(ROOMS)
    before = await world.api.everything()
    for route in pages:
        path = PARAMETER.sub(str(UNKNOWN), route.path)
        answer = await world.api.call(route.method, path, shown={}, headers=FORM)
        if route in opened:
            assert answer.status in (200, 400, 403, 404), (route, answer.status)
        else:
            # To the way in; a form that is not of this browser's session is refused as it is.
            away = answer.status in (302, 303) and "/sign-in" in answer.headers["Location"]
            assert away or (route.method == "POST" and answer.status == 403), (route, answer)
            assert not away or not answer.text, route
    assert await world.api.everything() == before


def _within_room(route: Route) -> str:
    return route.path.removeprefix(route.room or "") or "/"


async def test_every_permission_and_every_scope_opens_something(world: World) -> None:
    guards = [one.guard for one in world.operations]
    permissions = {guard.permission for guard in guards if isinstance(guard, StaffGuard)}
    scopes = {guard.scope for guard in guards if isinstance(guard, ClientGuard)}
    assert permissions - {None} == set(Permission)
    assert scopes - {None} | SHOWS_CODES == ALL_SCOPES
    assert not scopes & SHOWS_CODES
    # What no key can be given opens nothing but what is for people, and all of that.
    of_clients = [one for one in world.operations if isinstance(one.guard, ClientGuard)]
    in_person = {_scope(one) for one in of_clients if one.in_person}
    assert in_person - {None} == ALL_SCOPES - KEY_SCOPES - SHOWS_CODES
    assert not in_person & {_scope(one) for one in of_clients if not one.in_person} - {None}
    free = {one.operation_id for one in world.operations if _of_all(one)}
    assert free == FREE | FREE_OF_STAFF


def _of_all(one: Operation) -> bool:
    """Whether whoever is known may do it, whatever else they may."""
    if isinstance(one.guard, StaffGuard):
        return one.guard.permission is None
    return one.guard is not None and one.guard.scope is None


@pytest.mark.parametrize("side", ["client", "staff"])
async def test_whom_nobody_knows_is_refused_everywhere_and_alike(world: World, side: str) -> None:
    staff = side == "staff"
    kinds = await (callers.staff_nobody_knows if staff else callers.clients_nobody_knows)(world)
    guarded = [one for one in world.operations if one.guard is not None and one.staff is staff]
    before = await world.api.everything()
    asked = [(who, one) for who in kinds for one in guarded]
    heard = await all_of(ask(world, one, kinds[who]) for who, one in asked)
    assert await world.api.everything() == before
    wrong = [
        (who, one, answer.status, answer.text)
        for (who, one), answer in zip(asked, heard, strict=True)
        if answer.status != 401 or answer.json != NOBODY
    ]
    assert not wrong, wrong
    assert len({tuple(sorted(lasting(answer).items())) for answer in heard}) == 1
    print(f"{len(guarded)} operations x {len(kinds)} strangers = {len(heard)} refusals")


async def test_a_key_does_what_its_scopes_say_and_nothing_else(world: World) -> None:
    keys = await callers.narrow_keys(world)
    guarded = [one for one in world.operations if isinstance(one.guard, ClientGuard)]
    assert any(one.in_person for one in guarded)
    before = await world.api.everything()
    pairs = [(who, one) for who in keys for one in guarded]
    barred = [(who, one) for who, one in pairs if one.in_person or not _within(one, keys[who][0])]
    heard = await all_of(_knock(world, one, keys[who][1]) for who, one in barred)
    assert await world.api.everything() == before
    _all_forbidden(barred, heard)
    let_in = [pair for pair in pairs if pair not in barred]
    heard = await all_of(ask(world, one, keys[who][1]) for who, one in let_in)
    _none_forbidden(let_in, heard, BY_TOKEN_ALONE)
    print(f"{len(barred)} forbidden, {len(let_in)} let in")


async def test_each_of_a_clients_people_does_what_their_role_grants_and_nothing_else(
    world: World,
) -> None:
    people = await callers.every_member(world)
    guarded = [one for one in world.operations if isinstance(one.guard, ClientGuard)]
    pairs = [(role, one) for role in MemberRole for one in guarded]
    before = await world.api.everything()
    barred = [(role, one) for role, one in pairs if not _within(one, ROLE_SCOPES[role])]
    heard = await all_of(_knock(world, one, people[role]) for role, one in barred)
    assert await world.api.everything() == before
    _all_forbidden(barred, heard)
    let_in = [pair for pair in pairs if pair not in barred]
    staying = [pair for pair in let_in if pair[1].operation_id not in LEAVING]
    heard = await all_of(ask(world, one, people[role]) for role, one in staying)
    _none_forbidden(staying, heard)
    for role, one in [pair for pair in let_in if pair not in staying]:
        name = f"one-{role}@shop.example"
        shown = await callers.log_in(world, "/auth/login", name)
        assert (await ask(world, one, shown)).status == 200, (role, one)
        assert (await ask(world, one, shown)).status == 401, (role, one)
    # A role of each kind is tried: one that is barred from nothing, and others.
    assert {role for role, _ in barred} == set(MemberRole) - {MemberRole.OWNER}
    print(f"{len(barred)} forbidden, {len(let_in)} let in")


async def _knock(world: World, one: Operation, shown: callers.Shown) -> Answer:
    """With a body that whoever reads it refuses: the guard comes first."""
    body = {"unread": True} if "requestBody" in one.told else None
    return await ask(world, one, shown, body=body)


def _scope(one: Operation) -> str | None:
    assert isinstance(one.guard, ClientGuard)
    return one.guard.scope


def _within(one: Operation, scopes: frozenset[str]) -> bool:
    return _scope(one) is None or _scope(one) in scopes


async def test_each_role_does_what_the_table_grants_and_nothing_else(world: World) -> None:
    people = await callers.every_role(world)
    guarded = [one for one in world.operations if isinstance(one.guard, StaffGuard)]
    pairs = [(role, one) for role in Role for one in guarded if not _of_all(one)]
    before = await world.api.everything()
    barred = [(role, one) for role, one in pairs if _needs(one) not in PERMISSIONS[role]]
    heard = await all_of(_knock(world, one, people[role]) for role, one in barred)
    assert await world.api.everything() == before
    _all_forbidden(barred, heard)
    let_in = [pair for pair in pairs if pair not in barred]
    heard = await all_of(ask(world, one, people[role]) for role, one in let_in)
    _none_forbidden(let_in, heard)
    print(f"{len(barred)} forbidden, {len(let_in)} let in")


def _needs(one: Operation) -> Permission:
    assert isinstance(one.guard, StaffGuard) and one.guard.permission is not None
    return one.guard.permission


def _all_forbidden(asked: list[Any], heard: list[Answer]) -> None:
    """Refused in the contract's form, with no word but which permission it takes."""
    headers = set()
    for (who, one), answer in zip(asked, heard, strict=True):
        assert answer.status == 403, (who, one, answer.text)
        told = {"error": "Forbidden", "message": FORBIDDEN, "code": "FORBIDDEN"}
        if isinstance(one.guard, StaffGuard):
            told |= {"details": {"permission": _needs(one)}}
        assert answer.json == told | {"request_id": "req_matrix"}, (who, one)
        headers.add(frozenset(lasting(answer)))
    assert len(headers) == 1


def _none_forbidden(
    asked: list[Any], heard: list[Answer], nobody: Collection[str] = frozenset()
) -> None:
    """`nobody`: operations that know none of those who asked."""
    statuses: Counter[int] = Counter()
    for (who, one), answer in zip(asked, heard, strict=True):
        assert (answer.status == 401) is (one.operation_id in nobody), (who, one, answer.text)
        assert answer.status not in (403, 405, 500, 503), (who, one, answer.text)
        statuses[answer.status] += 1
        if answer.status >= 400:
            assert answer.refusal[0] == answer.status
    assert statuses[200] and statuses[404]
