"""API credentials of clients, as staff issue, see, rotate and revoke them."""

from typing import Any

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.params import FromPath

from rewards.clients import service as clients
from rewards.clients.model import (
    KEY_SCOPES,
    ClientNotFound,
    Credential,
    CredentialNotFound,
    IssuedCredential,
    NewCredential,
)
from rewards.infra.db import Tx
from rewards.infra.http import decode, encode, page_answer, path_id
from rewards.infra.openapi import answers, asks, takes
from rewards.members import acts
from rewards.members.shapes import CredentialOut, IssuedOut, RotatedOut
from rewards.staff.auth import caller, requires
from rewards.staff.given import (
    PAGED,
    GivenClock,
    GivenDatabase,
    GivenSettings,
    GivenVault,
    WhyIn,
    paged,
    reason_told,
    why,
)
from rewards.staff.model import Permission


class NewCredentialIn(msgspec.Struct, forbid_unknown_fields=True):
    """Without `scopes` it may do everything a key may. `name`: what it is for.

    `reason`: why it was issued, for the trail.
    """

    signing_required: bool = False
    scopes: list[str] | None = None
    name: str | None = None
    reason: str | None = None


NEW_CREDENTIAL = msgspec.json.Decoder(NewCredentialIn)


@get(
    "/clients/{client_id:str}/credentials",
    operation_id="listCredentials",
    operation_class=asks(PAGED),
    guards=[requires(Permission.CLIENTS_READ)],
    responses=answers(list[CredentialOut], 400, 401, 403, 404),
)
async def list_credentials(
    request: Request[Any, Any, Any], client_id: FromPath[str], db: GivenDatabase
) -> Response[bytes]:
    """A client's credentials by id, revoked ones too, without anything secret."""
    number, ask = path_id(client_id, ClientNotFound), paged(request)
    async with db.connection() as connection:
        await clients.check_there(connection, number)
        page = await clients.list_credentials(connection, number, ask)
    return page_answer(request, page, [CredentialOut.of(each) for each in page.items])


@post(
    "/clients/{client_id:str}/credentials",
    status_code=201,
    operation_id="issueCredential",
    guards=[requires(Permission.CREDENTIALS_ISSUE, proof=True)],
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
    scopes = KEY_SCOPES if body.scopes is None else frozenset(body.scopes)
    ask = NewCredential(
        path_id(client_id, ClientNotFound), scopes, body.signing_required, body.name
    )
    reason = reason_told(body.reason)

    async def work(tx: Tx) -> IssuedCredential:
        who, at = caller(request).actor, clock.now()
        return await acts.issue_credential(tx, vault, settings, ask, who, at, why=reason)

    return encode(IssuedOut.of(await db.run(work)), 201)


@post(
    "/clients/{client_id:str}/credentials/{credential_id:str}/revoke",
    status_code=200,
    operation_id="revokeCredential",
    guards=[requires(Permission.CREDENTIALS_ISSUE, proof=True)],
    operation_class=takes(WhyIn, required=False),
    responses=answers(CredentialOut, 400, 401, 403, 404),
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

    reason = await why(request)

    async def work(tx: Tx) -> Credential:
        who = caller(request).actor
        return await acts.revoke_credential(tx, owner, number, who, clock.now(), why=reason)

    return encode(CredentialOut.of(await db.run(work)))


@post(
    "/clients/{client_id:str}/credentials/{credential_id:str}/rotate-signing-secret",
    status_code=200,
    operation_id="rotateSigningSecret",
    guards=[requires(Permission.CREDENTIALS_ISSUE, proof=True)],
    operation_class=takes(WhyIn, required=False),
    responses=answers(RotatedOut, 400, 401, 403, 404),
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

    reason = await why(request)

    async def work(tx: Tx) -> RotatedOut:
        who, at = caller(request).actor, clock.now()
        shown = await acts.rotate_signing_secret(tx, vault, owner, number, who, at, why=reason)
        return RotatedOut(number, owner, shown)

    return encode(await db.run(work))


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
