"""`/credentials` of the clients' API: its keys, made, rotated and ended by its own people."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.params import FromPath

from rewards.clients import service as clients
from rewards.clients.auth import BEARER_ONLY, person, principal_of
from rewards.clients.model import (
    KEY_SCOPES,
    Credential,
    CredentialNotFound,
    IssuedCredential,
    NewCredential,
    Scope,
)
from rewards.clients.model_members import ClientLogin
from rewards.core.errors import Conflict, Forbidden, InvalidField
from rewards.infra.db import Tx
from rewards.infra.http import decode, encode, path_id
from rewards.infra.openapi import answers, takes
from rewards.members import acts
from rewards.members.given import (
    GivenClock,
    GivenDatabase,
    GivenDirectory,
    GivenSessions,
    GivenSettings,
    GivenVault,
    Proof,
    person_of,
)
from rewards.members.shapes import CredentialOut, IssuedOut, RotatedOut

# That a client makes for itself and has not revoked.
CREDENTIALS_MAX = 100
# Of those that it has revoked: the latest, for who wonders where one went.
REVOKED_SHOWN_MAX = 50


class CredentialsFull(Conflict):
    code = "CREDENTIALS_FULL"
    default_message = "No more credentials can be issued; revoke one first"


class NewKeyIn(msgspec.Struct, forbid_unknown_fields=True):
    """Without `scopes` the key may do everything that a key and you may."""

    name: str = ""
    scopes: list[str] | None = None
    signing_required: bool = False
    current_password: str = ""

    def __repr__(self) -> str:
        return "NewKeyIn([redacted])"


class ProofIn(msgspec.Struct, forbid_unknown_fields=True):
    """Your own password, asked for again."""

    current_password: str = ""

    def __repr__(self) -> str:
        return "ProofIn([redacted])"


NEW_KEY = msgspec.json.Decoder(NewKeyIn)
PROOF = msgspec.json.Decoder(ProofIn)


def _scopes(given: list[str] | None, own: frozenset[str]) -> frozenset[str]:
    """What the key may do; nobody makes one that may do more than they may themselves."""
    if given is None:
        return KEY_SCOPES & own
    wanted = frozenset(given)
    if wanted <= KEY_SCOPES and not wanted <= own:
        raise Forbidden(details={"scopes": sorted(wanted - own)})
    return wanted


@get(
    "/credentials",
    guards=[person(Scope.CREDENTIALS_READ)],
    operation_id="listOwnCredentials",
    summary="List API credentials",
    responses=answers(list[CredentialOut], 401, 403, 503, told="Your keys"),
)
async def list_credentials(request: Request[Any, Any, Any], db: GivenDatabase) -> Response[bytes]:
    """Your API keys by id, without anything secret: all that are valid, and the 50 that were
    revoked last.
    """
    client_id = principal_of(request).client_id
    async with db.connection() as connection:
        found = await clients.live_and_ended(connection, client_id, REVOKED_SHOWN_MAX)
    return encode([CredentialOut.of(credential) for credential in found])


@post(
    "/credentials",
    status_code=201,
    guards=[person(Scope.CREDENTIALS_WRITE)],
    operation_id="issueOwnCredential",
    summary="Issue an API credential",
    operation_class=takes(NewKeyIn, needs=("name", "current_password")),
    responses=answers(IssuedOut, 400, 401, 403, 409, 429, 503, status=201, told="Issued"),
)
async def issue_credential(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    vault: GivenVault,
    settings: GivenSettings,
    sessions: GivenSessions,
) -> Response[bytes]:
    """Issue an API key, its secret and a signing secret, shown here and never again.

    Only somebody who is signed in may, never a key, and nobody for more than they may do
    themselves. `current_password` is yours, asked for again.
    """
    body, who = decode(NEW_KEY, await request.body()), person_of(request)
    if not body.name.strip():
        raise InvalidField("Name", "required")
    ask = NewCredential(
        who.client_id, _scopes(body.scopes, who.scopes), body.signing_required, body.name
    )

    async def work(tx: Tx, held: ClientLogin, at: datetime) -> IssuedCredential:
        # The role may have changed since the request was let in.
        _scopes(body.scopes, held.scopes)
        [others] = await clients.credentials_of(tx, [who.client_id])
        if sum(other.revoked_at is None for other in others) >= CREDENTIALS_MAX:
            raise CredentialsFull
        return await acts.issue_credential(tx, vault, settings, ask, who.actor, at, by=who.login_id)

    proof = Proof(db, sessions, clock)
    issued = await proof.act(who, body.current_password, Scope.CREDENTIALS_WRITE, work)
    return encode(IssuedOut.of(issued), 201)


@post(
    "/credentials/{credential_id:str}/revoke",
    status_code=200,
    guards=[person(Scope.CREDENTIALS_WRITE)],
    operation_id="revokeOwnCredential",
    summary="Revoke an API credential",
    operation_class=takes(ProofIn, needs=("current_password",)),
    responses=answers(CredentialOut, 400, 401, 403, 404, 429, 503, told="Revoked"),
)
async def revoke_credential(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    sessions: GivenSessions,
    directory: GivenDirectory,
    credential_id: FromPath[str],
) -> Response[bytes]:
    """End a key for good, everywhere within a second. A second time changes nothing."""
    body, who = decode(PROOF, await request.body()), person_of(request)
    number = path_id(credential_id, CredentialNotFound)

    async def work(tx: Tx, _held: ClientLogin, at: datetime) -> Credential:
        return await acts.revoke_credential(
            tx, who.client_id, number, who.actor, at, by=who.login_id
        )

    proof = Proof(db, sessions, clock)
    revoked = await proof.act(who, body.current_password, Scope.CREDENTIALS_WRITE, work)
    directory.expire()
    return encode(CredentialOut.of(revoked))


@post(
    "/credentials/{credential_id:str}/rotate-signing-secret",
    status_code=200,
    guards=[person(Scope.CREDENTIALS_WRITE)],
    operation_id="rotateOwnSigningSecret",
    summary="Rotate a signing secret",
    operation_class=takes(ProofIn, needs=("current_password",)),
    responses=answers(RotatedOut, 400, 401, 403, 404, 429, 503, told="The new secret"),
)
async def rotate_signing_secret(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    vault: GivenVault,
    sessions: GivenSessions,
    credential_id: FromPath[str],
) -> Response[bytes]:
    """Replace the secret that requests are signed with, shown here and never again.

    The old one signs nothing from within a second on. A revoked credential: 404.
    """
    body, who = decode(PROOF, await request.body()), person_of(request)
    number = path_id(credential_id, CredentialNotFound)

    async def work(tx: Tx, _held: ClientLogin, at: datetime) -> RotatedOut:
        shown = await acts.rotate_signing_secret(
            tx, vault, who.client_id, number, who.actor, at, by=who.login_id
        )
        return RotatedOut(number, who.client_id, shown)

    proof = Proof(db, sessions, clock)
    rotated = await proof.act(who, body.current_password, Scope.CREDENTIALS_WRITE, work)
    return encode(rotated)


ROUTER = Router(
    path="/",
    tags=["Credentials"],
    security=BEARER_ONLY,
    route_handlers=[list_credentials, issue_credential, revoke_credential, rotate_signing_secret],
)
