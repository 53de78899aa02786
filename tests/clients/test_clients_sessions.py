"""Login, refresh and logout over real HTTP, with the clock in hand."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from rewards.clients import service
from rewards.clients.model import Client, ClientChange, ClientStatus
from rewards.clients.sessions import forget_sessions
from rewards.core.errors import Unauthorized
from rewards.infra.address import parse_address
from rewards.infra.db import Database
from tests.clients.calling import Api, calling, refused
from tests.clients.conftest import StartProcess
from tests.clients.processes_of import NOON, PASSWORD, USERNAME, Given, MovedClock, Process

HOME = parse_address("203.0.113.7")
AWAY = parse_address("198.51.100.9")


@pytest.fixture
async def api(process: Process) -> AsyncIterator[Api]:
    async with calling(process) as made:
        yield made


@pytest.fixture
async def client(given: Given) -> Client:
    made = await given.client()
    await given.login(made)
    return made


async def send(api: Api, path: str, body: object) -> tuple[int, dict[str, Any]]:
    return await api.post(body=json.dumps(body).encode(), path=path)


async def login(api: Api, username: str = USERNAME, password: str = PASSWORD) -> dict[str, Any]:
    status, body = await send(api, "/auth/login", {"username": username, "password": password})
    assert status == 200, body
    return body


async def refresh(api: Api, token: str) -> tuple[int, dict[str, Any]]:
    return await send(api, "/auth/refresh", {"refresh_token": token})


def bearer(session: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {session['access_token']}"}


async def token_rows(db: Database) -> list[Any]:
    async with db.connection() as connection:
        return await connection.fetch("SELECT * FROM refresh_tokens ORDER BY issued_at, digest")


async def test_a_login_is_answered_as_documented(api: Api, client: Client, db: Database) -> None:
    body = await login(api)
    access, renewed = body.pop("access_token"), body.pop("refresh_token")
    assert body == {
        "access_expires_at": "2026-03-01T12:15:00Z",
        "refresh_expires_at": "2026-03-08T12:00:00Z",
        "client_id": client.id,
    }
    assert api.headers["Cache-Control"] == "no-store"
    assert await api.get({"Authorization": f"Bearer {access}"}) == (200, {"client_id": client.id})
    [row] = await token_rows(db)
    assert renewed not in repr(dict(row))
    assert (str(row["address"]), row["epoch"]) == ("127.0.0.1", 0)


async def test_a_username_is_told_apart_in_any_case(api: Api, client: Client) -> None:
    assert (await login(api, USERNAME.upper()))["client_id"] == client.id


@pytest.mark.parametrize(
    ("username", "password"),
    [
        (USERNAME, PASSWORD + " "),
        (USERNAME, PASSWORD.upper()),
        (USERNAME + "x", PASSWORD),
        ("nobody", PASSWORD),
        ("no\x00body", PASSWORD),
        ("' OR 1=1 --", PASSWORD),
        ("\u2028", PASSWORD),
        (USERNAME, "p\x00ss"),
    ],
)
async def test_a_wrong_name_or_password_is_the_same_401(
    api: Api, client: Client, db: Database, username: str, password: str
) -> None:
    assert refused(await send(api, "/auth/login", {"username": username, "password": password}))
    assert await token_rows(db) == []


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("login", b"{}", "Invalid Username: required"),
        ("login", b'{"username":"","password":"x"}', "Invalid Username: required"),
        ("login", b'{"username":"x"}', "Invalid Password: required"),
        ("login", b'{"username":"x","password":""}', "Invalid Password: required"),
        ("login", b'{"username":"%s","password":"x"}' % (b"u" * 101), "Invalid Username: max"),
        ("login", b'{"username":"u","password":"%s"}' % (b"x" * 129), "Invalid Password: max"),
        ("login", b"", "Invalid request body format"),
        ("login", b"[]", "Invalid request body format"),
        ("login", b"null", "Invalid request body format"),
        ("login", b'{"username":1,"password":"x"}', "Invalid request body format"),
        ("login", b'{"username":null,"password":"x"}', "Invalid request body format"),
        ("login", b'{"username":"x","password":"y","admin":true}', "Invalid request body format"),
        ("login", b'{"username":"x","username":"y"}', "Invalid request body format"),
        ("login", b'{"username":"\xff","password":"x"}', "Invalid request body format"),
        ("login", b'{"username":"\\ud800","password":"x"}', "Invalid request body format"),
        ("refresh", b"{}", "Invalid RefreshToken: required"),
        ("refresh", b'{"refresh_token":""}', "Invalid RefreshToken: required"),
        ("refresh", b'{"refresh_token":"%s"}' % (b"x" * 129), "Invalid RefreshToken: max"),
        ("refresh", b'{"refresh_token":5}', "Invalid request body format"),
    ],
)
async def test_a_malformed_body_is_400(api: Api, path: str, body: bytes, message: str) -> None:
    status, answer = await api.post(body=body, path=f"/auth/{path}")
    assert (status, answer["error"], answer["message"]) == (400, "BadRequest", message)


async def test_a_refresh_rotates_both_tokens(
    api: Api, client: Client, clock: MovedClock, db: Database
) -> None:
    first = await login(api)
    clock.advance(minutes=20)
    assert refused(await api.get(bearer(first)))
    status, second = await refresh(api, first["refresh_token"])
    assert status == 200
    assert second.keys() == first.keys()
    assert second["refresh_token"] != first["refresh_token"]
    assert second["access_expires_at"] == "2026-03-01T12:35:00Z"
    assert second["refresh_expires_at"] == "2026-03-08T12:20:00Z"
    assert (await api.get(bearer(second)))[0] == 200
    used, fresh = await token_rows(db)
    assert used["family"] == fresh["family"]
    assert used["used_at"] is not None and fresh["used_at"] is None


async def test_a_reused_refresh_token_ends_the_whole_family(
    api: Api, client: Client, clock: MovedClock
) -> None:
    first = await login(api)
    elsewhere = await login(api)
    _, second = await refresh(api, first["refresh_token"])
    _, third = await refresh(api, second["refresh_token"])
    assert refused(await refresh(api, first["refresh_token"]))
    for stolen in (first, second, third):
        assert refused(await refresh(api, stolen["refresh_token"]))
    # Another login is another family.
    assert (await refresh(api, elsewhere["refresh_token"]))[0] == 200


async def test_a_token_that_is_rotated_while_its_family_falls_is_dead_too(
    client: Client, process: Process, db: Database
) -> None:
    """The reuse is noticed between the other refresh's look and its commit."""
    first = await process.sessions.login(USERNAME, PASSWORD, HOME)
    second = await process.sessions.refresh(first.refresh_token, HOME)
    rotated = process.sessions._open

    async def slow(*given: Any, **named: Any) -> Any:
        opened = await rotated(*given, **named)
        await asyncio.sleep(0.2)
        return opened

    process.sessions._open = slow  # type: ignore[method-assign]
    going = asyncio.create_task(process.sessions.refresh(second.refresh_token, HOME))
    await asyncio.sleep(0.05)
    with pytest.raises(Unauthorized):
        await process.sessions.refresh(first.refresh_token, HOME)
    third = await going
    with pytest.raises(Unauthorized):
        await process.sessions.refresh(third.refresh_token, HOME)


async def test_of_many_refreshers_at_once_at_most_one_wins(
    client: Client, start_process: StartProcess, db: Database
) -> None:
    here, there = await start_process(), await start_process()
    for _ in range(5):
        session = await here.sessions.login(USERNAME, PASSWORD, HOME)
        answers = await asyncio.gather(
            *(each.sessions.refresh(session.refresh_token, HOME) for each in (here, there) * 4),
            return_exceptions=True,
        )
        won = [answer for answer in answers if not isinstance(answer, BaseException)]
        assert len(won) == 1
        assert all(isinstance(a, Unauthorized) for a in answers if a is not won[0])
        # The losers were reuses.
        with pytest.raises(Unauthorized):
            await here.sessions.refresh(won[0].refresh_token, HOME)
        here.clock.advance(minutes=1)


async def test_a_refresh_token_lives_seven_days(
    api: Api, client: Client, clock: MovedClock
) -> None:
    session, other = await login(api), await login(api)
    clock.advance(days=6, hours=23, minutes=59, seconds=59)
    assert (await refresh(api, session["refresh_token"]))[0] == 200
    clock.advance(seconds=1)
    assert refused(await refresh(api, other["refresh_token"]))


@pytest.mark.parametrize("token", ["x", "rt_" + "A" * 43, "\x00", "ü", "rt_"])
async def test_an_unknown_refresh_token_is_refused(api: Api, client: Client, token: str) -> None:
    assert refused(await refresh(api, token))


async def test_an_access_token_refreshes_nothing_and_a_refresh_token_lets_in_nobody(
    api: Api, client: Client
) -> None:
    session = await login(api)
    assert (await refresh(api, session["access_token"]))[0] in (400, 401)
    assert refused(await api.get({"Authorization": f"Bearer {session['refresh_token']}"}))


async def test_logout_revokes_every_token_of_the_client_and_of_no_other(
    api: Api, client: Client, given: Given, db: Database
) -> None:
    stranger = await given.client()
    await given.login(stranger, "stranger")
    await given.login(client, "colleague")
    mine, mine_too, colleague = await login(api), await login(api), await login(api, "colleague")
    other = await login(api, "stranger")
    assert await api.post(bearer(mine), b"", "/auth/logout") == (
        200,
        {"message": "Successfully logged out"},
    )
    for session in (mine, mine_too, colleague):
        assert refused(await api.get(bearer(session)))
        assert refused(await refresh(api, session["refresh_token"]))
        assert refused(await api.post(bearer(session), b"", "/auth/logout"))
    assert (await api.get(bearer(other)))[0] == 200
    assert (await refresh(api, other["refresh_token"]))[0] == 200
    again = await login(api)
    assert (await api.get(bearer(again)))[0] == 200
    revoked = [row["client_id"] for row in await token_rows(db) if row["revoked_at"]]
    assert revoked == [client.id] * 3


async def test_logout_leaves_api_keys_alone_and_is_not_for_them(
    api: Api, client: Client, given: Given
) -> None:
    issued = await given.credential(client)
    headers = {"X-API-Key": issued.api_key, "X-API-Secret": issued.api_secret}
    session = await login(api)
    assert refused(await api.post(headers, b"", "/auth/logout"))
    assert (await api.get(bearer(session)))[0] == 200
    await api.post(bearer(session), b"", "/auth/logout")
    assert (await api.get(headers))[0] == 200


async def test_a_refresh_that_a_logout_overtakes_gives_dead_tokens(
    api: Api, client: Client, process: Process
) -> None:
    session = await process.sessions.login(USERNAME, PASSWORD, HOME)
    rotated = process.sessions._open

    async def slow(*given: Any, **named: Any) -> Any:
        opened = await rotated(*given, **named)
        await asyncio.sleep(0.2)
        return opened

    process.sessions._open = slow  # type: ignore[method-assign]
    going = asyncio.create_task(process.sessions.refresh(session.refresh_token, HOME))
    await asyncio.sleep(0.05)
    await process.sessions.logout(client.id)
    fresh = await going
    process.directory.expire()
    with pytest.raises(Unauthorized):
        await process.directory.principal_by_token(fresh.access_token)
    with pytest.raises(Unauthorized):
        await process.sessions.refresh(fresh.refresh_token, HOME)


@pytest.mark.parametrize("change", [{"status": ClientStatus.SUSPENDED}, {"allowed_ips": ("::1",)}])
async def test_suspended_or_foreign_callers_neither_log_in_nor_refresh(
    api: Api, client: Client, db: Database, change: dict[str, Any]
) -> None:
    session = await login(api)
    async with db.transaction() as tx:
        await service.change(tx, client.id, ClientChange(**change))
    before = await token_rows(db)
    body = {"username": USERNAME, "password": PASSWORD}
    assert refused(await send(api, "/auth/login", body))
    assert refused(await refresh(api, session["refresh_token"]))
    assert await token_rows(db) == before
    async with db.transaction() as tx:
        back = ClientChange(status=ClientStatus.ACTIVE, allowed_ips=())
        await service.change(tx, client.id, back)
    assert (await refresh(api, session["refresh_token"]))[0] == 200


class TestAttempts:
    async def test_ten_a_minute_from_one_address_then_429_and_the_window_moves(
        self, api: Api, client: Client, clock: MovedClock
    ) -> None:
        for left in range(9, -1, -1):
            body = {"username": f"nobody-{left}", "password": PASSWORD}
            assert refused(await send(api, "/auth/login", body))
            assert api.headers["X-RateLimit-Limit"] == "10"
            assert api.headers["X-RateLimit-Remaining"] == str(left)
            clock.advance(seconds=1)
        status, answer = await send(
            api, "/auth/login", {"username": USERNAME, "password": PASSWORD}
        )
        answer.pop("request_id")
        assert (status, answer) == (
            429,
            {
                "error": "TooManyRequests",
                "message": "Rate limit exceeded",
                "code": "RATE_LIMITED",
                "details": {"limit": 10, "per_s": 60},
            },
        )
        assert api.headers["Retry-After"] == "50"
        assert api.headers["X-RateLimit-Remaining"] == "0"
        assert api.headers["X-RateLimit-Reset"] == str(int(NOON.timestamp()) + 60)
        clock.advance(seconds=49, milliseconds=999)
        assert (await send(api, "/auth/login", {}))[0] == 429
        clock.advance(milliseconds=1)
        assert (await login(api))["client_id"] == client.id
        assert (await send(api, "/auth/login", {}))[0] == 429

    async def test_429_comes_before_the_body_is_looked_at(self, api: Api) -> None:
        answers = [(await api.post(body=b"nonsense", path="/auth/login"))[0] for _ in range(12)]
        assert answers == [400] * 10 + [429] * 2

    async def test_a_user_is_tried_ten_times_a_minute_from_wherever(
        self, client: Client, process: Process
    ) -> None:
        for n in range(10):
            with pytest.raises(Unauthorized):
                await process.sessions.login(USERNAME, "guess", parse_address(f"192.0.2.{n}"))
        with pytest.raises(Exception, match="Rate limit exceeded"):
            await process.sessions.login(USERNAME.upper(), PASSWORD, AWAY)

    async def test_a_refusal_for_the_users_sake_tells_of_the_user_alone(
        self, client: Client, start_process: StartProcess
    ) -> None:
        """Two counts are kept, of the address and of the user; one answer tells of one."""
        process = await start_process(trusted_proxies=("127.0.0.1",))
        async with calling(process) as api:
            for n in range(11):
                async with api.session.post(
                    f"{api.url}/auth/login",
                    json={"username": USERNAME, "password": "a wrong guess"},
                    headers={"X-Forwarded-For": f"192.0.2.{n}"},
                ) as reply:
                    told = [
                        reply.headers.getall(f"X-RateLimit-{name}")
                        for name in ("Limit", "Remaining", "Reset")
                    ]
                    assert reply.status == (401 if n < 10 else 429)
                    left = "9" if n < 10 else "0"
                    assert told == [["10"], [left], [str(int(NOON.timestamp()) + 60)]]

    async def test_guesses_of_strangers_do_not_lock_the_user_out(
        self, client: Client, process: Process, clock: MovedClock
    ) -> None:
        await process.sessions.login(USERNAME, PASSWORD, HOME)
        clock.advance(days=6)
        for _ in range(10):
            with pytest.raises(Unauthorized):
                await process.sessions.login(USERNAME, "guess", AWAY)
        with pytest.raises(Exception, match="Rate limit exceeded"):
            await process.sessions.login(USERNAME, PASSWORD, AWAY)
        assert await process.sessions.login(USERNAME, PASSWORD, HOME)

    async def test_all_addresses_of_a_v6_network_count_as_one(self, process: Process) -> None:
        for n in range(10):
            await process.sessions.limit_address(parse_address(f"2001:db8:1:2::{n:x}"))
        with pytest.raises(Exception, match="Rate limit exceeded"):
            await process.sessions.limit_address(parse_address("2001:db8:1:2:ffff::1"))
        await process.sessions.limit_address(parse_address("2001:db8:1:3::1"))


async def test_whole_families_are_forgotten_when_they_have_ended(
    client: Client, process: Process, clock: MovedClock, db: Database
) -> None:
    old = await process.sessions.login(USERNAME, PASSWORD, HOME)
    kept = await process.sessions.login(USERNAME, PASSWORD, HOME)
    clock.advance(days=5)
    second = await process.sessions.refresh(kept.refresh_token, HOME)
    with pytest.raises(Unauthorized):
        await process.sessions.refresh(kept.refresh_token, HOME)
    clock.advance(days=3)
    async with db.transaction() as tx:
        assert await forget_sessions(tx, clock.now() - timedelta(hours=1)) == 1
    # The row that revokes the family has expired, but is still there.
    for token in (old, kept, second):
        with pytest.raises(Unauthorized):
            await process.sessions.refresh(token.refresh_token, HOME)


async def test_a_session_shows_no_token_in_its_repr(client: Client, process: Process) -> None:
    session = await process.sessions.login(USERNAME, PASSWORD, HOME)
    assert session.access_token not in repr(session)
    assert session.refresh_token not in repr(session)
