"""What a client's people and staff do to its keys and people: the act, and its row in the trail.

Each runs in its caller's transaction. `by` is the login of the person of the client who acts; staff
are named by the actor.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.clients import members
from rewards.clients import service as clients
from rewards.clients.model import (
    Credential,
    CredentialNotFound,
    IssuedCredential,
    NewCredential,
)
from rewards.clients.model_members import ClientLogin, MemberChange
from rewards.core.actor import Actor
from rewards.infra.crypto import Vault
from rewards.infra.db import Tx
from rewards.infra.settings import Settings


async def issue_credential(
    tx: Tx,
    vault: Vault,
    settings: Settings,
    ask: NewCredential,
    who: Actor,
    at: datetime,
    by: int | None = None,
    why: str | None = None,
) -> IssuedCredential:
    """A key with its two secrets, which nobody can read again. Raises what the service raises."""
    [issued] = await clients.issue_credentials(tx, vault, settings, [ask], at)
    facts: dict[str, object] = {
        "api_key": issued.api_key,
        "name": issued.name,
        "scopes": sorted(issued.scopes),
        "signing_required": issued.signing_required,
    }
    await _record(tx, who, issued.client_id, "credential.issued", issued.id, facts, at, by, why)
    return issued


async def revoke_credential(
    tx: Tx,
    client_id: int,
    credential_id: int,
    who: Actor,
    at: datetime,
    by: int | None = None,
    why: str | None = None,
) -> Credential:
    """End the client's key for good; a second time changes nothing. Raises CredentialNotFound."""
    await owned(tx, client_id, credential_id)
    revoked = await clients.revoke_credential(tx, credential_id, at)
    if revoked.revoked_at == at:
        ended = {"from": None, "to": at.isoformat()}
        facts: dict[str, object] = {"api_key": revoked.api_key, "revoked_at": ended}
        await _record(tx, who, client_id, "credential.revoked", credential_id, facts, at, by, why)
    return revoked


async def rotate_signing_secret(
    tx: Tx,
    vault: Vault,
    client_id: int,
    credential_id: int,
    who: Actor,
    at: datetime,
    by: int | None = None,
    why: str | None = None,
) -> str:
    """A new secret to sign requests with. Raises CredentialNotFound, also for a revoked key."""
    credential = await owned(tx, client_id, credential_id)
    shown = await clients.rotate_signing_secret(tx, vault, credential_id, at)
    facts, action = {"api_key": credential.api_key}, "credential.secret_rotated"
    await _record(tx, who, client_id, action, credential_id, facts, at, by, why)
    return shown


async def owned(tx: Tx, client_id: int, credential_id: int) -> Credential:
    """The client's own credential; another's is as unknown (D13)."""
    [held] = await clients.credentials_of(tx, [client_id])
    found = next((each for each in held if each.id == credential_id), None)
    if found is None:
        raise CredentialNotFound
    return found


async def change_member(
    tx: Tx, client_id: int, ask: MemberChange, who: Actor, at: datetime, by: int
) -> ClientLogin:
    """Change a member's role, password, or whether they may log in.

    Raises what `members.change` raises.
    """
    before, after = await members.change(tx, client_id, ask, at)
    facts: dict[str, object] = {}
    if before.role is not after.role:
        facts["role"] = {"from": before.role, "to": after.role}
    if before.active != after.active:
        facts["active"] = {"from": before.active, "to": after.active}
    if ask.password_hash is not None:
        facts["password_changed"] = True
    if facts:
        facts["username"] = after.username
        await _record_login(tx, who, after, "login.changed", facts, at, by)
    return after


async def note_added(tx: Tx, login: ClientLogin, who: Actor, at: datetime, by: int) -> None:
    """That a member was let in by another."""
    facts: dict[str, object] = {"username": login.username, "role": login.role}
    await _record_login(tx, who, login, "login.created", facts, at, by)


async def change_own_password(
    tx: Tx, login: ClientLogin, password_hash: str, family: UUID, who: Actor, at: datetime
) -> None:
    """Set it for somebody who was held; their other sessions end."""
    await members.change_own_password(tx, login, password_hash, family, at)
    facts: dict[str, object] = {"username": login.username}
    await _record_login(tx, who, login, "login.password_changed", facts, at, login.id)


async def _record(
    tx: Tx,
    who: Actor,
    client_id: int,
    action: str,
    credential_id: int,
    facts: Mapping[str, object],
    at: datetime,
    by: int | None,
    why: str | None = None,
) -> None:
    told = dict(facts) if by is None else {**facts, "login_id": by}
    fact = AuditFact(who, client_id, action, "credential", credential_id, told, why)
    await audit.record(tx, [fact], at)


async def _record_login(
    tx: Tx,
    who: Actor,
    login: ClientLogin,
    action: str,
    facts: Mapping[str, object],
    at: datetime,
    by: int,
) -> None:
    told = {**facts, "login_id": by}
    await audit.record(tx, [AuditFact(who, login.client_id, action, "login", login.id, told)], at)
