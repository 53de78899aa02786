"""The directory: right answers from memory, and every change obeyed in every process in time."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from decimal import Decimal
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest

from rewards.clients import directory as module
from rewards.clients import service
from rewards.clients.model import (
    ALL_SCOPES,
    ClientChange,
    ClientStatus,
    CredentialChange,
    Limits,
    new_api_key,
)
from rewards.clients.model_members import MemberRole
from rewards.clients.sessions import Session
from rewards.core.errors import Unauthorized, Unavailable
from rewards.infra.crypto import Vault
from rewards.infra.db import Database, Tx
from rewards.infra.settings import Settings
from tests.clients.conftest import StartProcess
from tests.clients.processes_of import NOON, PASSWORD, USERNAME, Given, Process

SECOND_S = 1.0
# Polls, the client and a family that lives: a few statements for any number of requests.
LOOKED_AGAIN_MAX = 10


async def commit(db: Database, work: Callable[[Tx], Awaitable[object]]) -> None:
    """As somebody else does it, whatever the caller holds."""

    async def theirs() -> None:
        async with db.transaction() as tx:
            await work(tx)

    await asyncio.create_task(theirs())


async def until_refused(ask: Callable[[], Awaitable[object]], begun_s: float) -> float:
    """How long after `begun_s` the answer turned; the last yes must lie within a second."""
    while True:
        asked_s = time.monotonic()
        assert asked_s - begun_s < SECOND_S, "still let in after a second"
        try:
            await ask()
        except Unauthorized:
            return time.monotonic() - begun_s
        await asyncio.sleep(0.002)


class Statements:
    """Counts what goes through a database object."""

    def __init__(self, db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        connection = db.connection

        def counted():  # type: ignore[no-untyped-def]
            self.count += 1
            return connection()

        monkeypatch.setattr(db, "connection", counted)


async def test_a_key_and_its_secret_are_a_principal(given: Given, process: Process) -> None:
    client = await given.client(
        limits=Limits(1, 2, 3, 4),
        max_quantity=50,
        conversion_fee_percent=Decimal("1.5"),
        allowed_ips=("10.0.0.0/8",),
    )
    issued = await given.credential(client, scopes=frozenset({"orders:read"}))
    found = await process.directory.principal_by_key(issued.api_key, issued.api_secret)
    assert (found.client_id, found.credential_id, found.login_id) == (client.id, issued.id, None)
    assert found.scopes == {"orders:read"}
    assert (found.limits, found.max_quantity) == (Limits(1, 2, 3, 4), 50)
    assert found.conversion_fee_percent == Decimal("1.5")
    assert [str(each) for each in found.networks] == ["10.0.0.0/8"]


async def test_a_token_is_a_principal_with_every_scope(given: Given, process: Process) -> None:
    client = await given.client()
    login_id = await given.login(client)
    found = await process.directory.principal_by_token(await process.token(client, login_id))
    assert (found.client_id, found.credential_id, found.login_id) == (client.id, None, login_id)
    assert found.scopes == ALL_SCOPES


async def test_wrong_secrets_and_unknown_keys_are_refused_alike(
    given: Given, process: Process
) -> None:
    issued = await given.credential(await given.client())
    other = await given.credential(await given.client())
    for api_key, api_secret in (
        (issued.api_key, issued.api_secret + "x"),
        (issued.api_key, issued.api_secret[:-1]),
        (issued.api_key, ""),
        (issued.api_key, "x" * 100_000),
        (issued.api_key, other.api_secret),
        (other.api_key, issued.api_secret),
        (issued.api_key.upper(), issued.api_secret),
        (new_api_key("test", 0), issued.api_secret),
        ("", ""),
        ("sk_test_0_\x00", "x"),
        ("'; DROP TABLE clients", "x"),
    ):
        with pytest.raises(Unauthorized) as refused:
            await process.directory.principal_by_key(api_key, api_secret)
        assert refused.value.details is None
    assert await process.directory.principal_by_key(issued.api_key, issued.api_secret)


async def test_a_known_caller_costs_no_statement(
    given: Given,
    process: Process,
    db: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = await given.client()
    issued = await given.credential(client)
    token = await process.token(client)
    await process.feed.stop()
    process.feed.expire()
    await process.directory.principal_by_key(issued.api_key, issued.api_secret)
    await process.directory.principal_by_token(token)
    statements = Statements(db, monkeypatch)
    for _ in range(1000):
        await process.directory.principal_by_key(issued.api_key, issued.api_secret)
        await process.directory.principal_by_token(token)
    assert statements.count == 0


async def test_a_flood_of_unknown_keys_is_bounded_in_memory_and_statements(
    given: Given, process: Process, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process.directory._unknown, "_size_max", 50)
    issued = await given.credential(await given.client())
    statements = Statements(db, monkeypatch)

    async def guess() -> None:
        with pytest.raises(Unauthorized):
            await process.directory.principal_by_key(new_api_key("test", 0), "guess")

    await asyncio.gather(
        *(guess() for _ in range(1000)),
        process.directory.principal_by_key(issued.api_key, issued.api_secret),
    )
    assert len(process.directory._unknown) <= 50
    assert statements.count <= 1000 / module.LOOKUP_BATCH_MAX + 5


async def test_an_unknown_key_is_looked_for_once_in_a_while(
    process: Process, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await process.feed.stop()
    monkeypatch.setattr("rewards.infra.changes.FRESH_S", 60)
    api_key = new_api_key("test", 0)
    statements = Statements(db, monkeypatch)
    for _ in range(20):
        with pytest.raises(Unauthorized):
            await process.directory.principal_by_key(api_key, "guess")
    assert statements.count == 1


async def test_caches_forget_their_oldest_when_full(
    given: Given, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    for cache in ("_clients", "_credentials", "_tokens"):
        monkeypatch.setattr(getattr(process.directory, cache), "_size_max", 3)
    issued = [await given.credential(await given.client()) for _ in range(6)]
    for _ in range(2):
        for each in issued:
            found = await process.directory.principal_by_key(each.api_key, each.api_secret)
            assert found.client_id == each.client_id
    for cache in ("_clients", "_credentials"):
        assert len(getattr(process.directory, cache)) == 3


async def test_two_credentials_of_one_client_share_it(
    given: Given, process: Process, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await given.client()
    first, second = await given.credential(client), await given.credential(client)
    for each in (first, second):
        await process.directory.principal_by_key(each.api_key, each.api_secret)
    statements = Statements(db, monkeypatch)
    for each in (first, second, first, second):
        await process.directory.principal_by_key(each.api_key, each.api_secret)
    assert statements.count <= 1


async def test_a_new_key_works_at_once_even_where_it_was_unknown(
    given: Given, start_process: StartProcess
) -> None:
    here, there = await start_process(), await start_process()
    client = await given.client()
    issued = await given.credential(client)
    for process in (here, there):
        assert await process.directory.principal_by_key(issued.api_key, issued.api_secret)


@pytest.mark.parametrize("what", ["suspend", "revoke", "narrow", "logout"])
async def test_a_change_reaches_another_process_within_a_second(
    what: str,
    given: Given,
    start_process: StartProcess,
    db: Database,
) -> None:
    here, there = await start_process(), await start_process()
    client = await given.client()
    issued = await given.credential(client)
    token = await here.token(client)

    async def by_key() -> None:
        found = await there.directory.principal_by_key(issued.api_key, issued.api_secret)
        if "orders:write" not in found.scopes:
            raise Unauthorized

    async def by_token() -> None:
        await there.directory.principal_by_token(token)

    async def change(tx: Tx) -> None:
        if what == "suspend":
            await service.change(tx, client.id, ClientChange(status=ClientStatus.SUSPENDED))
        elif what == "revoke":
            await service.revoke_credential(tx, issued.id, NOON)
        else:
            narrow = CredentialChange(frozenset({"orders:read"}))
            await service.change_credential(tx, issued.id, narrow)

    await by_key()
    await by_token()
    if what == "logout":
        await here.sessions.logout(client.id)
    else:
        await commit(db, change)
    ask = by_token if what == "logout" else by_key
    assert await until_refused(ask, time.monotonic()) < SECOND_S
    if what == "logout":
        await by_key()
    if what == "suspend":
        with pytest.raises(Unauthorized):
            await by_token()


async def test_a_reuse_ends_its_familys_access_tokens_everywhere_within_a_second(
    given: Given, start_process: StartProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """spec.md §2. Whoever knows the tokens, knows them not yet, or is rotating one right then."""
    here, there = await start_process(), await start_process()
    client = await given.client()
    await given.login(client)
    first = await here.sessions.login(USERNAME, PASSWORD, None)
    elsewhere = await here.sessions.login(USERNAME, PASSWORD, None)
    second = await here.sessions.refresh(first.refresh_token, None)
    for process in (here, there):
        for session in (first, second, elsewhere):
            await process.directory.principal_by_token(session.access_token)

    async def rotate() -> Session | None:
        with suppress(Unauthorized):
            return await there.sessions.refresh(second.refresh_token, None)
        return None

    begun_s = time.monotonic()
    third, reuse = await asyncio.gather(
        rotate(), here.sessions.refresh(first.refresh_token, None), return_exceptions=True
    )
    assert isinstance(reuse, Unauthorized)
    fallen = [first, second, *([third] if isinstance(third, Session) else [])]
    await asyncio.gather(
        *(
            until_refused(
                partial(process.directory.principal_by_token, session.access_token), begun_s
            )
            for process in (here, there)
            for session in fallen
        )
    )
    statements = Statements(there.db, monkeypatch)
    await there.feed.stop()
    for _ in range(100):
        with pytest.raises(Unauthorized):
            await there.directory.principal_by_token(first.access_token)
        assert await there.directory.principal_by_token(elsewhere.access_token)
    # What has ended has ended: nobody asks about it again.
    assert statements.count <= LOOKED_AGAIN_MAX
    late = await start_process()
    for session in fallen:
        with pytest.raises(Unauthorized):
            await late.directory.principal_by_token(session.access_token)


async def test_a_reuse_that_comes_while_a_token_is_first_seen_is_not_missed(
    given: Given, start_process: StartProcess
) -> None:
    """The family is found alive, falls, and is told of, before the answer is written down."""
    here, there = await start_process(), await start_process()
    client = await given.client()
    await given.login(client)
    first = await here.sessions.login(USERNAME, PASSWORD, None)
    await here.sessions.refresh(first.refresh_token, None)
    load = there.directory._load_sessions
    overtaken = 0

    async def slow(sessions: Sequence[tuple[UUID, int]]) -> Sequence[MemberRole | None]:
        nonlocal overtaken
        found = await load(sessions)
        overtaken += 1
        if overtaken == 1:
            with pytest.raises(Unauthorized):
                await here.sessions.refresh(first.refresh_token, None)
            there.feed.expire()
            await there.feed.ensure_fresh()
        return found

    there.directory._sessions._work = slow
    with pytest.raises(Unauthorized):
        await there.directory.principal_by_token(first.access_token)
    assert overtaken == 2


async def test_it_reaches_a_process_whose_background_task_is_stuck(
    given: Given, process: Process, db: Database
) -> None:
    issued = await given.credential(await given.client())
    await process.directory.principal_by_key(issued.api_key, issued.api_secret)
    await process.feed.stop()
    await commit(db, lambda tx: service.revoke_credential(tx, issued.id, NOON))
    begun_s = time.monotonic()
    took_s = await until_refused(
        lambda: process.directory.principal_by_key(issued.api_key, issued.api_secret), begun_s
    )
    assert took_s < SECOND_S


async def test_a_load_that_a_change_overtakes_is_not_kept(
    given: Given, process: Process, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The load reads, the client is suspended and dropped, and only then the load is done."""
    client = await given.client()
    issued = await given.credential(client)
    find, loads = module.sql.find_held, 0

    async def overtaken(tx: Tx, api_keys: object) -> object:
        nonlocal loads
        rows = await find(tx, api_keys)  # type: ignore[arg-type]
        loads += 1
        if loads == 1:
            suspend = ClientChange(status=ClientStatus.SUSPENDED)
            await commit(db, lambda tx: service.change(tx, client.id, suspend))
            process.feed.expire()
            await process.feed.ensure_fresh()
        return rows

    monkeypatch.setattr(module.sql, "find_held", overtaken)
    with pytest.raises(Unauthorized):
        await process.directory.principal_by_key(issued.api_key, issued.api_secret)
    assert loads == 2


async def test_an_endless_stream_of_changes_ends_in_a_503_not_in_a_guess(
    given: Given, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    issued = await given.credential(await given.client())
    find = module.sql.find_held

    async def overtaken(tx: Tx, api_keys: object) -> object:
        rows = await find(tx, api_keys)  # type: ignore[arg-type]
        await process.directory._drop([])
        return rows

    monkeypatch.setattr(module.sql, "find_held", overtaken)
    with pytest.raises(Unavailable):
        await process.directory.principal_by_key(issued.api_key, issued.api_secret)


async def test_without_a_database_known_callers_are_let_in_no_longer_than_a_second(
    given: Given, process: Process, db: Database
) -> None:
    issued = await given.credential(await given.client())
    await process.directory.principal_by_key(issued.api_key, issued.api_secret)
    await process.feed.stop()
    await db.close()
    begun_s = time.monotonic()
    answer = None
    while not isinstance(answer, Unavailable):
        assert time.monotonic() - begun_s < SECOND_S
        [answer] = await asyncio.gather(
            process.directory.principal_by_key(issued.api_key, issued.api_secret),
            return_exceptions=True,
        )
        await asyncio.sleep(0.01)


async def test_a_signing_secret_is_opened_only_where_it_is_needed(
    given: Given, process: Process, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await given.client()
    plain = await given.credential(client)
    signing = await given.credential(client, signing_required=True)
    opened = []
    open_ = vault.open
    monkeypatch.setattr(
        vault, "open", lambda place, id_, sealed: opened.append(id_) or open_(place, id_, sealed)
    )
    held = await process.directory.credential_by_key(plain.api_key, plain.api_secret)
    assert held.signing_key is None
    held = await process.directory.credential_by_key(signing.api_key, signing.api_secret)
    assert held.signing_key is not None
    assert opened == [signing.id]


async def test_a_secret_sealed_under_a_newer_data_key_is_opened(
    given: Given, process: Process, db: Database, tmp_path: Path
) -> None:
    """Another process rotated the data key; this one has not heard of it yet."""
    other = await Vault.open_database(db, Settings(home=tmp_path))
    await other.rotate_data_key("secrets")
    rotated = Given(db, other, given.passwords)
    issued = await rotated.credential(await given.client(), signing_required=True)
    held = await process.directory.credential_by_key(issued.api_key, issued.api_secret)
    assert held.signing_key is not None


async def test_no_secret_is_in_a_repr(given: Given, process: Process) -> None:
    issued = await given.credential(await given.client(), signing_required=True)
    held = await process.directory.credential_by_key(issued.api_key, issued.api_secret)
    shown = repr(held) + repr(held.principal) + repr(process.directory)
    assert held.signing_key is not None
    assert issued.api_secret not in shown
    assert repr(held.signing_key) not in shown
    assert repr(held.secret_digest) not in shown


async def test_random_tokens_and_secrets_never_raise_anything_else(process: Process) -> None:
    for _ in range(200):
        text = secrets.token_bytes(40).decode("latin-1")
        with pytest.raises(Unauthorized):
            await process.directory.principal_by_token(text)
        with pytest.raises(Unauthorized):
            await process.directory.principal_by_key(text, text)
