"""Whoever may knock at a route: what each shows, made the way they would come by it."""

from collections.abc import Callable, Mapping

from rewards.clients.model import KEY_SCOPES
from rewards.clients.model_members import MemberRole
from rewards.staff.model import Role
from tests.security.operations import Operation
from tests.security.world import World

Shown = Mapping[str, str]
PASSWORD = "a quiet password"
# Between logins the clock is moved: an address has ten a minute.
BETWEEN_LOGINS_S = 7
# Longer than any token lives.
TOO_LATE_DAYS = 8


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def log_in(world: World, path: str, username: str, password: str = PASSWORD) -> Shown:
    world.clock.advance(seconds=BETWEEN_LOGINS_S)
    body = {"username": username, "password": password}
    answer = await world.api.call("POST", path, body, shown={})
    assert answer.status == 200, answer.text
    return bearer(answer.json["access_token"])


async def hire(world: World, role: Role, name: str) -> tuple[int, Shown]:
    """A member of staff who is logged in, and their id."""
    new = {"username": name, "role": role, "password": PASSWORD}
    made = await world.admin("POST", "/staff", new, 201)
    return made["id"], await log_in(world, "/admin/auth/login", name)


async def person(
    world: World, client_id: int, name: str, role: MemberRole = MemberRole.OWNER
) -> Shown:
    """Somebody of a client's, logged in."""
    new = {"username": name, "password": PASSWORD, "role": role}
    await world.admin("POST", f"/clients/{client_id}/logins", new, 201)
    return await log_in(world, "/auth/login", name)


async def owner_in_person(world: World) -> Shown:
    """The owner's first person, freshly logged in: no token lives as long as the world."""
    client = world.api.card["client"]
    return await log_in(world, "/auth/login", client["username"], client["password"])


async def whoever_may(world: World) -> Callable[[Operation], Shown]:
    """Who asks for an operation and is let in: an admin, the owner's key, the owner in person."""
    signed_in = await owner_in_person(world)
    staff = await world.api.as_staff()

    def shown(one: Operation) -> Shown:
        if one.staff:
            return staff
        return signed_in if one.in_person else world.owner

    return shown


async def clients_nobody_knows(world: World) -> dict[str, Shown]:
    """Each must be refused with 401 on every client's route, and all of them alike."""
    token = await person(world, world.stranger_id, "late@example.com")
    _, staff = await hire(world, Role.ADMIN, "late-admin@example.com")
    known: dict[str, Shown] = {"expired token": token, "staff's expired token": staff}
    world.clock.advance(days=TOO_LATE_DAYS)
    world.api.staff.clear()
    suspended = await world.client("Suspended")
    elsewhere = await world.client("Elsewhere", allowed_ips=["192.0.2.1"])
    leaver = await world.client("Leaver")
    ended = await world.issue(leaver)
    known |= {
        "key of a suspended client": await world.key_of(suspended),
        "token of a suspended client": await person(world, suspended, "suspended@example.com"),
        "key of a foreign address": await world.key_of(elsewhere),
        "revoked key": {"X-API-Key": ended["api_key"], "X-API-Secret": ended["api_secret"]},
        "token that logged out": await person(world, leaver, "leaver@example.com"),
        "staff's token": (await hire(world, Role.ADMIN, "visitor@example.com"))[1],
        **_made_up(dict(world.stranger)),
    }
    await world.admin("PATCH", f"/clients/{suspended}", {"status": "SUSPENDED"})
    await world.admin("POST", f"/clients/{leaver}/credentials/{ended['id']}/revoke")
    out = await world.api.call("POST", "/auth/logout", shown=known["token that logged out"])
    assert out.status == 200, out.text
    return known


def _made_up(key: dict[str, str]) -> dict[str, Shown]:
    """A key that is nearly right, and what is none."""
    name, secret = key["X-API-Key"], key["X-API-Secret"]
    return {
        "nobody": {},
        "garbage": bearer("a.b.c"),
        "token without a scheme": {"Authorization": "a.b.c"},
        "another scheme": {"Authorization": "Basic YTpi"},
        "key without its secret": {"X-API-Key": name},
        "key with another secret": {"X-API-Key": name, "X-API-Secret": secret[:-1] + "~"},
        "secret without its key": {"X-API-Secret": secret},
        "key that nobody has": {"X-API-Key": name[:-4] + "0000", "X-API-Secret": secret},
        "key and token": {**key, **bearer("a.b.c")},
    }


async def staff_nobody_knows(world: World) -> dict[str, Shown]:
    """Each must be refused with 401 on every staff route, and all of them alike."""
    _, late = await hire(world, Role.ADMIN, "expires@example.com")
    world.clock.advance(days=TOO_LATE_DAYS)
    world.api.staff.clear()
    gone_id, gone = await hire(world, Role.ADMIN, "gone@example.com")
    new_id, renewed = await hire(world, Role.ADMIN, "renewed@example.com")
    _, left = await hire(world, Role.ADMIN, "left@example.com")
    good = (await world.api.as_staff())["Authorization"]
    await world.admin("PATCH", f"/staff/{gone_id}", {"active": False})
    await world.admin("PATCH", f"/staff/{new_id}", {"password": "another quiet password"})
    out = await world.api.call("POST", "/admin/auth/logout", shown=left)
    assert out.status == 204, out.text
    head, dot, _ = good.rpartition(".")
    return {
        "nobody": {},
        "garbage": bearer("a.b.c"),
        "token without a scheme": {"Authorization": good.removeprefix("Bearer ")},
        "another scheme": {"Authorization": "Basic YTpi"},
        "token of another signature": {"Authorization": head + dot + "A" * 43},
        "expired token": late,
        "deactivated": gone,
        "before the new password": renewed,
        "logged out": left,
        "a client's key": world.stranger,
        "a client's token": await person(world, world.stranger_id, "client@example.com"),
    }


async def narrow_keys(world: World) -> dict[str, tuple[frozenset[str], Shown]]:
    """Keys of the stranger's and what each may do: all but one thing, one thing, only to read."""
    reading = frozenset(scope for scope in KEY_SCOPES if scope.endswith(":read"))
    wanted = {f"all but {scope}": KEY_SCOPES - {scope} for scope in KEY_SCOPES}
    wanted |= {f"only {scope}": frozenset({scope}) for scope in KEY_SCOPES}
    wanted |= {"reading": reading, "everything": KEY_SCOPES}
    return {
        name: (scopes, await world.key_of(world.stranger_id, scopes=sorted(scopes)))
        for name, scopes in sorted(wanted.items())
    }


async def every_role(world: World) -> dict[Role, Shown]:
    """One member of staff of each role."""
    return {role: (await hire(world, role, f"one-{role}@example.com"))[1] for role in Role}


async def every_member(world: World) -> dict[MemberRole, Shown]:
    """One of the stranger's people of each role."""
    return {
        role: await person(world, world.stranger_id, f"one-{role}@shop.example", role)
        for role in MemberRole
    }
