"""Browsers without a script at the console and the portal of a world, and every form there is."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager

import aiohttp

from rewards.clients.model_members import MemberRole
from rewards.staff.model import Role
from tests.console.desk import Visitor
from tests.http.calling import STAY
from tests.security import callers
from tests.security.operations import ROOMS, Route, routes
from tests.security.world import World

CONSOLE, PORTAL = ROOMS
# What pages call that the API's paths name otherwise, or what is one of several.
SAME = {
    "purchase_id": "vendor_order_id",
    "key_id": "credential_id",
    "hook_id": "webhook_id",
    "line_id": "transaction_id",
    "search_id": "saved_search_id",
}
CHOSEN = {"adapter": "sandbox", "act": "none", "name": "none.css", "rest": "nowhere"}
SEEN = "SELECT max(id) FROM staff_sessions"


def pages(world: World, method: str) -> Iterator[Route]:
    """Every route of both rooms that takes this method."""
    for route in routes(world.app):
        if route.room and route.method == method:
            yield route


def place_of(world: World, route: Route, ids: Mapping[str, object] = CHOSEN) -> str:
    """The route's path with what the world has of each kind."""
    known = world.ids | {name: world.ids[other] for name, other in SAME.items()} | dict(ids)
    return route.path.format_map(known)


@asynccontextmanager
async def at(world: World, room: str) -> AsyncIterator[Visitor]:
    """A browser of nobody yet."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        yield Visitor(world.api.url, session, room=room)


async def enter(world: World, visitor: Visitor, name: str, password: str) -> str:
    """Sign in, once, where nobody counts when it was last seen; the token of their forms."""
    world.clock.advance(seconds=callers.BETWEEN_LOGINS_S)
    page = await visitor.sign_in(name, password)
    assert page.status == 200, page.said
    assert "/sign-in" not in page.url
    if visitor.room == CONSOLE:
        async with world.api.parts.db.connection() as connection:
            await connection.execute(STAY, await connection.fetchval(SEEN))
    return page.csrf


async def first(world: World, visitor: Visitor) -> str:
    """Whoever may most, signed in."""
    who = world.api.card["staff"]["admin"] if visitor.room == CONSOLE else world.api.card["client"]
    return await enter(world, visitor, who["username"], who["password"])


async def least(world: World, visitor: Visitor, name: str) -> str:
    """Somebody new who may only look, signed in."""
    if visitor.room == CONSOLE:
        await callers.hire(world, Role.VIEWER, name)
    else:
        await callers.person(world, world.ids["client_id"], name, MemberRole.VIEWER)
    return await enter(world, visitor, name, callers.PASSWORD)
