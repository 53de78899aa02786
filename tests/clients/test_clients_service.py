"""Clients, logins and credentials in the database: what is stored, refused and announced."""

import asyncio
import hashlib
from dataclasses import replace
from decimal import Decimal

import pytest

from rewards.clients import service
from rewards.clients.model import (
    ClientChange,
    ClientNotFound,
    ClientStatus,
    CredentialChange,
    CredentialNotFound,
    Limits,
    NewClient,
    NewCredential,
)
from rewards.clients.model_members import LoginNotFound, UsernameTaken
from rewards.core.errors import InvalidField, Unauthorized
from rewards.core.page import PageAsk
from rewards.infra.crypto import Vault
from rewards.infra.db import Database
from tests.clients.processes_of import NOON, PASSWORD, USERNAME, Given, Process


async def announced(db: Database) -> list[int]:
    """What was announced since last asked, in order."""
    async with db.connection() as connection:
        rows = await connection.fetch(
            "WITH gone AS (DELETE FROM changes WHERE topic = 'clients' RETURNING *)"
            " SELECT subject_id FROM gone ORDER BY id"
        )
    return [row[0] for row in rows]


async def counts(db: Database) -> tuple[int, ...]:
    async with db.connection() as connection:
        tables = ("clients", "client_logins", "credentials", "changes")
        return tuple([await connection.fetchval(f"SELECT count(*) FROM {each}") for each in tables])


async def test_clients_come_back_in_the_order_they_were_asked_for(db: Database) -> None:
    asks = [
        NewClient("Acme"),
        NewClient(
            "Bulk",
            Limits(600, 100, 1_000_000, 30),
            max_quantity=5000,
            conversion_fee_percent=Decimal("1.25"),
            allowed_ips=("203.0.113.7", "2001:db8::/32"),
        ),
        NewClient("Corner, shop"),
    ]
    async with db.transaction() as tx:
        clients = await service.create(tx, asks, NOON)
    assert [client.name for client in clients] == ["Acme", "Bulk", "Corner, shop"]
    acme, bulk, _ = clients
    assert (acme.status, acme.limits, acme.max_quantity) == (
        ClientStatus.ACTIVE,
        Limits(60, 10, 5000, 3),
        1000,
    )
    assert acme.allowed_ips == ()
    assert bulk.limits == Limits(600, 100, 1_000_000, 30)
    assert bulk.conversion_fee_percent == Decimal("1.25")
    assert bulk.allowed_ips == ("203.0.113.7", "2001:db8::/32")
    assert await announced(db) == [client.id for client in clients]
    async with db.transaction() as tx:
        assert await service.read(tx, [bulk.id, 10**9, acme.id]) == [bulk, None, acme]


async def test_a_refused_client_leaves_nothing_behind(db: Database) -> None:
    with pytest.raises(InvalidField):
        async with db.transaction() as tx:
            await service.create(tx, [NewClient("Acme"), NewClient("")], NOON)
    assert await counts(db) == (0, 0, 0, 0)


async def test_a_change_touches_what_it_names_and_is_announced(db: Database, given: Given) -> None:
    client = await given.client(allowed_ips=("10.0.0.0/8",))
    await announced(db)
    wanted = ClientChange(limits=Limits(1, 2, 3, 4), conversion_fee_percent=Decimal(3))
    async with db.transaction() as tx:
        changed = await service.change(tx, client.id, wanted)
    assert changed == replace(client, limits=Limits(1, 2, 3, 4), conversion_fee_percent=Decimal(3))
    async with db.transaction() as tx:
        opened = await service.change(
            tx, client.id, ClientChange(allowed_ips=(), status=ClientStatus.SUSPENDED)
        )
    assert (opened.allowed_ips, opened.status) == ((), ClientStatus.SUSPENDED)
    assert await announced(db) == [client.id, client.id]


async def test_a_change_of_nobody_or_to_nonsense_changes_nothing(
    db: Database, given: Given
) -> None:
    client = await given.client()
    before = await counts(db)
    with pytest.raises(ClientNotFound):
        async with db.transaction() as tx:
            await service.change(tx, 10**9, ClientChange(name="x"))
    with pytest.raises(InvalidField):
        async with db.transaction() as tx:
            await service.change(tx, client.id, ClientChange(name="New", max_quantity=0))
    async with db.transaction() as tx:
        assert await service.read(tx, [client.id]) == [client]
    assert await counts(db) == before


async def test_clients_are_listed_by_page_and_found_by_name(db: Database) -> None:
    names = ["Acme 1", "Acme 2", "100%", "under_score", "back\\slash"]
    async with db.transaction() as tx:
        await service.create(tx, [NewClient(name) for name in names], NOON)
    async with db.connection() as connection:
        page = await service.list_clients(connection, PageAsk(2, 2))
        assert ([client.name for client in page.items], page.total) == (["100%", "under_score"], 5)
        for text, found in (
            ("acme", ["Acme 1", "Acme 2"]),
            ("%", ["100%"]),
            ("_", ["under_score"]),
            ("\\", ["back\\slash"]),
            ("nobody", []),
        ):
            page = await service.list_clients(connection, PageAsk(1, 10), name=text)
            assert [client.name for client in page.items] == found
            assert page.total == len(found)


async def test_clients_are_found_by_a_username_of_their_people(db: Database, given: Given) -> None:
    client, other = await given.client(), await given.client()
    await given.login(client, "Jane.Doe@Acme.example")
    await given.login(client, "joe_doe@acme.example")
    await given.login(other, "joedoe@acme.example")
    async with db.connection() as connection:
        for text, found in (
            ("DOE@", [client, other]),
            ("jane", [client]),
            ("e_d", [client]),
            ("%", []),
            ("nobody", []),
        ):
            page = await service.list_clients(connection, PageAsk(1, 10), search=text)
            assert (page.items, page.total) == (found, len(found)), text
        [one] = (await service.list_clients(connection, PageAsk(1, 1))).items
        page = await service.list_clients(connection, PageAsk(1, 10), search=one.name[1:].upper())
        assert one.id in [each.id for each in page.items]


async def test_a_login_keeps_a_slow_digest_and_no_password(db: Database, given: Given) -> None:
    client = await given.client()
    await given.login(client, "Buyer@Example.com")
    async with db.connection() as connection:
        row = await connection.fetchrow("SELECT * FROM client_logins")
    assert (row["client_id"], row["username"]) == (client.id, USERNAME)
    assert row["password_hash"].startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert PASSWORD not in repr(row)


async def test_a_username_is_taken_once_in_any_case(db: Database, given: Given) -> None:
    first, second = await given.client(), await given.client()
    await given.login(first)
    before = await counts(db)
    with pytest.raises(UsernameTaken):
        await given.login(second, USERNAME.upper())
    assert await counts(db) == before


async def test_two_at_once_cannot_take_one_username(db: Database, given: Given) -> None:
    client = await given.client()
    answers = await asyncio.gather(*(given.login(client) for _ in range(4)), return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["UsernameTaken"] * 3 + ["int"]


async def let_in(db: Database, given: Given, client_id: int, password: str) -> None:
    new = await service.prepare_login(given.passwords, client_id, USERNAME, password)
    async with db.transaction() as tx:
        await service.add_login(tx, new, NOON)


async def test_logins_of_nobody_or_with_weak_passwords_are_refused(
    db: Database, given: Given
) -> None:
    client = await given.client()
    before = await counts(db)
    for client_id, password, refusal in (
        (10**9, PASSWORD, ClientNotFound),
        (client.id, "password1", InvalidField),
        (client.id, USERNAME, InvalidField),
    ):
        with pytest.raises(refusal):
            await let_in(db, given, client_id, password)
    assert await counts(db) == before


async def test_an_issued_secret_is_stored_as_digest_and_seal_only(
    db: Database, given: Given, vault: Vault
) -> None:
    client = await given.client()
    issued = await given.credential(client, signing_required=True)
    async with db.connection() as connection:
        row = await connection.fetchrow("SELECT * FROM credentials")
    assert issued.api_key.startswith("sk_test_0_")
    assert row["secret_digest"] == hashlib.sha256(issued.api_secret.encode()).digest()
    stored = repr(dict(row))
    assert issued.api_secret not in stored
    assert issued.signing_secret.removeprefix("whsec_") not in stored
    opened = vault.open("credentials.signing_secret", issued.id, row["signing_secret_sealed"])
    assert opened not in bytes(row["signing_secret_sealed"])
    assert len(opened) == 32


async def test_credentials_are_issued_one_for_each_ask(
    db: Database, given: Given, vault: Vault
) -> None:
    first, second = await given.client(), await given.client()
    await announced(db)
    asks = [
        NewCredential(second.id, frozenset({"orders:read"})),
        NewCredential(first.id, signing_required=True),
        NewCredential(second.id),
    ]
    async with db.transaction() as tx:
        issued = await service.issue_credentials(tx, vault, given.settings, asks, NOON)
        listed = await service.credentials_of(tx, [first.id, second.id])
    assert [(each.client_id, each.scopes, each.signing_required) for each in issued] == [
        (ask.client_id, ask.scopes, ask.signing_required) for ask in asks
    ]
    assert len({each.api_key for each in issued} | {each.api_secret for each in issued}) == 6
    assert [[each.id for each in group] for group in listed] == [
        [issued[1].id],
        [issued[0].id, issued[2].id],
    ]
    assert await announced(db) == [first.id, second.id]


async def test_credentials_of_nobody_or_with_unknown_scopes_are_refused(
    db: Database, given: Given, vault: Vault
) -> None:
    client = await given.client()
    before = await counts(db)
    for asks, refusal in (
        ([NewCredential(client.id), NewCredential(10**9)], ClientNotFound),
        ([NewCredential(client.id, frozenset({"all"}))], InvalidField),
    ):
        with pytest.raises(refusal):
            async with db.transaction() as tx:
                await service.issue_credentials(tx, vault, given.settings, asks, NOON)
    assert await counts(db) == before


async def test_a_revoked_credential_stays_revoked_and_cannot_change(
    db: Database, given: Given, vault: Vault
) -> None:
    client = await given.client()
    issued = await given.credential(client)
    async with db.transaction() as tx:
        revoked = await service.revoke_credential(tx, issued.id, NOON)
        again = await service.revoke_credential(tx, issued.id, NOON.replace(year=2030))
        assert revoked.revoked_at == again.revoked_at == NOON
        with pytest.raises(CredentialNotFound):
            await service.change_credential(tx, issued.id, CredentialChange(signing_required=True))
        with pytest.raises(CredentialNotFound):
            await service.rotate_signing_secret(tx, vault, issued.id, NOON)
        with pytest.raises(CredentialNotFound):
            await service.revoke_credential(tx, 10**9, NOON)


async def test_a_credential_can_be_narrowed_and_its_signing_secret_rotated(
    db: Database, given: Given, vault: Vault
) -> None:
    client = await given.client()
    issued = await given.credential(client)
    await announced(db)
    narrow = frozenset({"orders:read"})
    async with db.transaction() as tx:
        changed = await service.change_credential(
            tx, issued.id, CredentialChange(narrow, signing_required=True)
        )
        shown = await service.rotate_signing_secret(tx, vault, issued.id, NOON)
    assert (changed.scopes, changed.signing_required) == (narrow, True)
    assert shown.startswith("whsec_") and shown != issued.signing_secret
    assert await announced(db) == [client.id, client.id]


async def test_a_new_password_replaces_the_old_and_ends_every_session(
    db: Database, given: Given, process: Process
) -> None:
    client = await given.client()
    login_id = await given.login(client)
    session = await process.sessions.login(USERNAME, PASSWORD, None)
    new = "another horse entirely"
    digest = await given.passwords.digest(new)
    async with db.transaction() as tx:
        await service.change_password(tx, login_id, digest, NOON)
    process.directory.expire()
    with pytest.raises(Unauthorized):
        await process.directory.principal_by_token(session.access_token)
    with pytest.raises(Unauthorized):
        await process.sessions.refresh(session.refresh_token, None)
    with pytest.raises(Unauthorized):
        await process.sessions.login(USERNAME, PASSWORD, None)
    assert await process.sessions.login(USERNAME, new, None)


async def test_a_new_password_for_nobody_changes_nothing(
    db: Database, given: Given, process: Process
) -> None:
    await given.login(await given.client())
    digest = await given.passwords.digest("another horse entirely")
    async with db.transaction() as tx:
        with pytest.raises(LoginNotFound):
            await service.change_password(tx, 10**9, digest, NOON)
    assert await process.sessions.login(USERNAME, PASSWORD, None)


async def test_logins_are_listed_for_each_client(db: Database, given: Given) -> None:
    first, second = await given.client(), await given.client()
    await given.login(second, "second-b")
    await given.login(first, "first")
    await given.login(second, "second-a")
    async with db.connection() as connection:
        listed = await service.logins_of(connection, [second.id, first.id])
    assert [[login.username for login in group] for group in listed] == [
        ["second-b", "second-a"],
        ["first"],
    ]
