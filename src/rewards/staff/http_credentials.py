"""API credentials of clients, as staff issue, see, rotate and revoke them."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.params import FromPath

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.clients import service as clients
from rewards.clients.model import (
    ALL_SCOPES,
    ClientNotFound,
    Credential,
    CredentialNotFound,
    IssuedCredential,
    NewCredential,
)
from rewards.infra.db import Tx
from rewards.infra.http import NO_STORE, decode, encode, path_id
from rewards.infra.openapi import answers, takes
from rewards.staff.auth import caller, requires
from rewards.staff.given import GivenClock, GivenDatabase, GivenSettings, GivenVault
from rewards.staff.model import Permission


class NewCredentialIn(msgspec.Struct, forbid_unknown_fields=True):
    """Without `scopes` it may do everything a client may."""

    signing_required: bool = False
    scopes: list[str] | None = None


class IssuedOut(msgspec.Struct):
    """The only answer that ever shows the two secrets."""

    id: int
    client_id: int
    api_key: str
    api_secret: str
    signing_secret: str
    scopes: list[str]
    signing_required: bool

    def __repr__(self) -> str:
        return f"IssuedOut({self.id})"


class CredentialOut(msgspec.Struct):
    id: int
    client_id: int
    api_key: str
    scopes: list[str]
    signing_required: bool
    created_at: datetime
    revoked_at: datetime | None

    @classmethod
    def of(cls, credential: Credential) -> "CredentialOut":
        return cls(
            credential.id,
            credential.client_id,
            credential.api_key,
            sorted(credential.scopes),
            credential.signing_required,
            credential.created_at,
            credential.revoked_at,
        )


class RotatedOut(msgspec.Struct):
    """The only answer that ever shows the new secret."""

    id: int
    client_id: int
    signing_secret: str

    def __repr__(self) -> str:
        return f"RotatedOut({self.id})"


NEW_CREDENTIAL = msgspec.json.Decoder(NewCredentialIn)


@get(
    "/clients/{client_id:str}/credentials",
    operation_id="listCredentials",
    guards=[requires(Permission.CLIENTS_READ)],
    responses=answers(list[CredentialOut], 401, 403, 404),
)
async def list_credentials(client_id: FromPath[str], db: GivenDatabase) -> Response[bytes]:
    """A client's credentials, revoked ones too, without anything secret."""
    number = path_id(client_id, ClientNotFound)
    async with db.connection() as connection:
        await clients.check_there(connection, number)
        [found] = await clients.credentials_of(connection, [number])
    return encode([CredentialOut.of(credential) for credential in found])


@post(
    "/clients/{client_id:str}/credentials",
    status_code=201,
    operation_id="issueCredential",
    guards=[requires(Permission.CREDENTIALS_ISSUE)],
    operation_class=takes(NewCredentialIn, required=False),
    responses=answers(IssuedOut, 400, 401, 403, 404, status=201, told="Issued"),
)
async def issue_credential(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    vault: GivenVault,
    settings: GivenSettings,
    client_id: FromPath[str],
) -> Response[bytes]:
    """Issue an API key, its secret and a signing secret, shown here and never again."""
    body = decode(NEW_CREDENTIAL, await request.body() or b"{}")
    scopes = ALL_SCOPES if body.scopes is None else frozenset(body.scopes)
    ask = NewCredential(path_id(client_id, ClientNotFound), scopes, body.signing_required)

    async def work(tx: Tx) -> IssuedCredential:
        at = clock.now()
        [issued] = await clients.issue_credentials(tx, vault, settings, [ask], at)
        facts: dict[str, object] = {
            "api_key": issued.api_key,
            "scopes": sorted(issued.scopes),
            "signing_required": issued.signing_required,
        }
        await _record(tx, request, "credential.issued", issued, facts, at)
        return issued

    issued = await db.run(work)
    out = IssuedOut(
        issued.id,
        issued.client_id,
        issued.api_key,
        issued.api_secret,
        issued.signing_secret,
        sorted(issued.scopes),
        issued.signing_required,
    )
    return encode(out, 201, NO_STORE)


@post(
    "/clients/{client_id:str}/credentials/{credential_id:str}/revoke",
    status_code=200,
    operation_id="revokeCredential",
    guards=[requires(Permission.CREDENTIALS_ISSUE)],
    responses=answers(CredentialOut, 401, 403, 404),
)
async def revoke_credential(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    client_id: FromPath[str],
    credential_id: FromPath[str],
) -> Response[bytes]:
    """End a credential for good, everywhere within a second. A second time changes nothing."""
    owner, number = path_id(client_id, ClientNotFound), path_id(credential_id, CredentialNotFound)

    async def work(tx: Tx) -> Credential:
        at = clock.now()
        await _held(tx, owner, number)
        revoked = await clients.revoke_credential(tx, number, at)
        if revoked.revoked_at == at:
            facts: dict[str, object] = {"api_key": revoked.api_key}
            await _record(tx, request, "credential.revoked", revoked, facts, at)
        return revoked

    return encode(CredentialOut.of(await db.run(work)))


@post(
    "/clients/{client_id:str}/credentials/{credential_id:str}/rotate-signing-secret",
    status_code=200,
    operation_id="rotateSigningSecret",
    guards=[requires(Permission.CREDENTIALS_ISSUE)],
    responses=answers(RotatedOut, 401, 403, 404),
)
async def rotate_signing_secret(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    vault: GivenVault,
    client_id: FromPath[str],
    credential_id: FromPath[str],
) -> Response[bytes]:
    """Replace the secret that requests are signed with, shown here and never again.

    The old one signs nothing from within a second on. A revoked credential: 404.
    """
    owner, number = path_id(client_id, ClientNotFound), path_id(credential_id, CredentialNotFound)

    async def work(tx: Tx) -> RotatedOut:
        credential = await _held(tx, owner, number)
        shown = await clients.rotate_signing_secret(tx, vault, number)
        facts: dict[str, object] = {"api_key": credential.api_key}
        at = clock.now()
        await _record(tx, request, "credential.secret_rotated", credential, facts, at)
        return RotatedOut(number, owner, shown)

    return encode(await db.run(work), headers=NO_STORE)


async def _held(tx: Tx, client_id: int, credential_id: int) -> Credential:
    """The client's own credential; another's is as unknown (D13)."""
    [held] = await clients.credentials_of(tx, [client_id])
    found = next((each for each in held if each.id == credential_id), None)
    if found is None:
        raise CredentialNotFound
    return found


async def _record(
    tx: Tx,
    request: Request[Any, Any, Any],
    action: str,
    subject: IssuedCredential | Credential,
    facts: dict[str, object],
    at: datetime,
) -> None:
    actor = caller(request).actor
    fact = AuditFact(actor, subject.client_id, action, "credential", subject.id, facts)
    await audit.record(tx, [fact], at)


ROUTER = Router(
    path="/admin/api/v1",
    tags=["Clients (staff)"],
    route_handlers=[
        list_credentials,
        issue_credential,
        revoke_credential,
        rotate_signing_secret,
    ],
)
