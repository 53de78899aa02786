"""Clients, their logins and credentials: what staff and the command line may do to them.

Every change is announced, so that each process obeys it within a second. Audit rows are the
caller's to write, in the same transaction.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime

from rewards.clients import sql, sql_members, sql_sessions
from rewards.clients.model import (
    CHANGES_TOPIC,
    Client,
    ClientChange,
    ClientNotFound,
    Credential,
    CredentialChange,
    CredentialNotFound,
    IssuedCredential,
    NewClient,
    NewCredential,
    check_client,
    check_scopes,
    new_api_key,
    new_signing_secret,
)
from rewards.clients.model_members import (
    ClientLogin,
    LoginNotFound,
    MemberRole,
    NewLogin,
    UsernameTaken,
)
from rewards.clients.passwords import check_password, check_username, normal_username
from rewards.core import ids
from rewards.core.page import Page, PageAsk
from rewards.core.text import printable
from rewards.infra.changes import announce
from rewards.infra.crypto import Vault
from rewards.infra.db import Tx
from rewards.infra.passwords import Passwords
from rewards.infra.settings import Settings

# Where a signing secret is sealed: table and field, with the credential's id.
SIGNING_SECRET_PLACE = "credentials.signing_secret"  # noqa: S105
CREDENTIAL_NAME_CHARS_MAX = 100


async def create(tx: Tx, new: Sequence[NewClient], at: datetime) -> list[Client]:
    """Add clients, ACTIVE; one for each ask, in order.

    Raises InvalidField for a name, limit, quantity, fee or network that no client may have.
    """
    for each in new:
        check_client(
            name=each.name,
            limits=each.limits,
            max_quantity=each.max_quantity,
            conversion_fee_percent=each.conversion_fee_percent,
            allowed_ips=each.allowed_ips,
        )
    clients = await sql.insert_clients(tx, new, at)
    await announce(tx, CHANGES_TOPIC, [client.id for client in clients])
    return clients


async def change(tx: Tx, client_id: int, wanted: ClientChange) -> Client:
    """Change what is not None in `wanted`; return the client as it is then.

    A suspended client is answered 401 like a stranger, on every route, within a second. Raises
    ClientNotFound, and InvalidField as `create` does.
    """
    check_client(
        name=wanted.name,
        limits=wanted.limits,
        max_quantity=wanted.max_quantity,
        conversion_fee_percent=wanted.conversion_fee_percent,
        allowed_ips=wanted.allowed_ips,
    )
    client = await sql.update_client(tx, client_id, wanted)
    if client is None:
        raise ClientNotFound
    await announce(tx, CHANGES_TOPIC, [client_id])
    return client


async def read(tx: Tx, client_ids: Sequence[int]) -> list[Client | None]:
    """The client of each id, in order; None where there is none."""
    found = await sql.read_clients(tx, client_ids)
    return [found.get(client_id) for client_id in client_ids]


async def check_there(tx: Tx, client_id: int) -> None:
    """Raises ClientNotFound for an id that no client has."""
    if not await sql.read_clients(tx, [client_id]):
        raise ClientNotFound


async def list_clients(
    tx: Tx, ask: PageAsk, *, name: str | None = None, search: str | None = None
) -> Page[Client]:
    """Clients by id; with `name`, those whose name contains it in any case.

    With `search` those whose name contains it, or the username of one of whose people does.
    """
    clients, total = await sql.list_clients(tx, ask, name, search)
    return Page(clients, ask, total)


async def prepare_login(
    passwords: Passwords,
    client_id: int,
    username: str,
    password: str,
    role: MemberRole = MemberRole.OWNER,
) -> NewLogin:
    """What `add_login` takes; the username in lower case, of the password a digest.

    Outside of any transaction: a digest is slow on purpose. Raises InvalidField for either (see
    clients/passwords.py), Unavailable when too many digests wait.
    """
    username = normal_username(username)
    check_username(username)
    check_password(password, username)
    return NewLogin(client_id, username, await passwords.digest(password), role)


async def add_login(tx: Tx, new: NewLogin, at: datetime) -> ClientLogin:
    """A username and password for `POST /auth/login`, as `prepare_login` made them.

    Raises UsernameTaken, ClientNotFound.
    """
    await check_there(tx, new.client_id)
    login = await sql_members.insert_login(tx, new, at)
    if login is None:
        raise UsernameTaken
    await announce(tx, CHANGES_TOPIC, [new.client_id])
    return login


async def change_password(tx: Tx, login_id: int, password_hash: str, at: datetime) -> ClientLogin:
    """Set another password, and revoke every token of the client: the old one may be known.

    It was checked, and its digest made, before this transaction. Raises LoginNotFound.
    """
    login = await sql_members.read_login(tx, login_id)
    if login is None:
        raise LoginNotFound
    await sql_members.update_password(tx, login_id, password_hash)
    await sql_sessions.revoke_all(tx, login.client_id, at)
    await announce(tx, CHANGES_TOPIC, [login.client_id])
    return login


async def logins_of(tx: Tx, client_ids: Sequence[int]) -> list[list[ClientLogin]]:
    """Each client's logins by id."""
    found: dict[int, list[ClientLogin]] = {client_id: [] for client_id in client_ids}
    for login in await sql_members.read_logins(tx, client_ids):
        found[login.client_id].append(login)
    return [found[client_id] for client_id in client_ids]


async def list_logins(tx: Tx, client_id: int, ask: PageAsk) -> Page[ClientLogin]:
    """One client's logins by id, a page of them."""
    logins, total = await sql_members.list_logins(tx, client_id, ask)
    return Page(logins, ask, total)


async def issue_credentials(
    tx: Tx, vault: Vault, settings: Settings, asks: Sequence[NewCredential], at: datetime
) -> list[IssuedCredential]:
    """An API key, its secret and a signing secret for each ask, in order.

    This is the only time the secrets can be read: the first is stored as a digest, the second
    sealed. Raises ClientNotFound, or InvalidField for a name or scopes that no key may have.
    """
    for ask in asks:
        check_scopes(ask.scopes)
        if ask.name is not None:
            printable("Name", ask.name, CREDENTIAL_NAME_CHARS_MAX)
    client_ids = {ask.client_id for ask in asks}
    if len(await sql.read_clients(tx, sorted(client_ids))) != len(client_ids):
        raise ClientNotFound
    issued, rows = [], []
    credential_ids = await sql.next_credential_ids(tx, len(asks))
    for credential_id, ask in zip(credential_ids, asks, strict=True):
        api_key = new_api_key(settings.environment, settings.cell)
        api_secret = ids.secret_token()
        shown, key = new_signing_secret()
        issued.append(
            IssuedCredential(
                credential_id,
                ask.client_id,
                api_key,
                api_secret,
                shown,
                ask.scopes,
                ask.signing_required,
                ask.name,
            )
        )
        rows.append(
            sql.CredentialRow(
                credential_id,
                ask.client_id,
                api_key,
                secret_digest(api_secret),
                vault.seal(SIGNING_SECRET_PLACE, credential_id, key),
                ask.signing_required,
                ask.scopes,
                ask.name,
            )
        )
    await sql.insert_credentials(tx, rows, at)
    await announce(tx, CHANGES_TOPIC, sorted(client_ids))
    return issued


def secret_digest(api_secret: str) -> bytes:
    """What is stored of an API secret. It has 256 random bits, so no slow digest is needed."""
    return hashlib.sha256(api_secret.encode()).digest()


async def change_credential(tx: Tx, credential_id: int, wanted: CredentialChange) -> Credential:
    """Change scopes or whether requests must be signed.

    Raises CredentialNotFound, also for a revoked one.
    """
    if wanted.scopes is not None:
        check_scopes(wanted.scopes)
    credential = await sql.update_credential(tx, credential_id, wanted)
    return await _announced(tx, credential)


async def rotate_signing_secret(tx: Tx, vault: Vault, credential_id: int, at: datetime) -> str:
    """A new `whsec_…`, shown once; the old one signs nothing from within a second on.

    Its age counts from `at`. Raises CredentialNotFound, also for a revoked one.
    """
    shown, key = new_signing_secret()
    sealed = vault.seal(SIGNING_SECRET_PLACE, credential_id, key)
    await _announced(tx, await sql.rotate_signing_secret(tx, credential_id, sealed, at))
    return shown


async def revoke_credential(tx: Tx, credential_id: int, at: datetime) -> Credential:
    """End a credential for good, everywhere within a second; twice is as good as once."""
    return await _announced(tx, await sql.revoke_credential(tx, credential_id, at))


async def credentials_of(tx: Tx, client_ids: Sequence[int]) -> list[list[Credential]]:
    """Each client's credentials by id, revoked ones too; without anything secret."""
    found: dict[int, list[Credential]] = {client_id: [] for client_id in client_ids}
    for credential in await sql.read_credentials(tx, client_ids):
        found[credential.client_id].append(credential)
    return [found[client_id] for client_id in client_ids]


async def live_and_ended(tx: Tx, client_id: int, ended_max: int) -> list[Credential]:
    """One client's credentials by id: all that are valid, and of the revoked ones the
    `ended_max` that were revoked last."""
    return await sql.read_live_and_ended(tx, client_id, ended_max)


async def list_credentials(tx: Tx, client_id: int, ask: PageAsk) -> Page[Credential]:
    """One client's credentials by id, revoked ones too, a page of them."""
    credentials, total = await sql.list_credentials(tx, client_id, ask)
    return Page(credentials, ask, total)


async def note_used(tx: Tx, credential_ids: Sequence[int], at: datetime) -> None:
    """That these keys were used: kept to the hour, so that a busy one is written once in it."""
    await sql.note_used(tx, credential_ids, hour_of(at))


def hour_of(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


async def signing_keys(tx: Tx, vault: Vault, credential_ids: Sequence[int]) -> list[bytes | None]:
    """The key each credential signs with, None for one that is revoked or not there."""
    sealed = await sql.read_signing_secrets(tx, credential_ids)
    await vault.learn(sealed.values(), tx)
    return [
        vault.open(SIGNING_SECRET_PLACE, each, sealed[each]) if each in sealed else None
        for each in credential_ids
    ]


async def _announced(tx: Tx, credential: Credential | None) -> Credential:
    if credential is None:
        raise CredentialNotFound
    await announce(tx, CHANGES_TOPIC, [credential.client_id])
    return credential
