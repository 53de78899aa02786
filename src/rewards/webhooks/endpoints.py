"""Endpoints of clients: what they themselves and staff may do to them (spec.md §2, §7).

Whoever calls has checked that `who` may act for the client. Another client's endpoint is as unknown
(D13). Every change leaves an audit row and is announced, so that each process obeys it soon.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.clients import service as clients
from rewards.clients.model import CredentialNotFound
from rewards.core.actor import Actor, ActorKind
from rewards.core.page import Page, PageAsk
from rewards.infra import jobs
from rewards.infra.changes import announce
from rewards.infra.crypto import Vault
from rewards.infra.db import Tx
from rewards.infra.jobs import JobAsk
from rewards.infra.targets import Targets
from rewards.webhooks import secrets, service, sql_endpoints
from rewards.webhooks.model import (
    DisabledReason,
    Endpoint,
    EndpointStatus,
    Event,
    EventType,
)
from rewards.webhooks.model_endpoints import (
    CHANGES_TOPIC,
    ENDPOINTS_MAX,
    ROTATION,
    EndpointChange,
    NewEndpoint,
    RotationUnderWay,
    SealedEndpoint,
    SigningCredentialRevoked,
    TooManyWebhooks,
    WebhookDisabled,
    WebhookNotFound,
    check_name,
    decide_change,
    differences,
    event_types,
    told,
)

# Gives up what still waits for endpoints that are deleted.
GIVE_UP_JOB = jobs.declare("webhooks.give_up")
TEST_TEXT = "Sent because somebody asked for a test"


@dataclass(frozen=True, slots=True)
class Shown:
    """An endpoint, and its secret the only time it is readable; None: a credential's signs."""

    endpoint: Endpoint
    secret: str | None = field(repr=False)


async def create(
    tx: Tx, vault: Vault, targets: Targets, new: NewEndpoint, who: Actor, at: datetime
) -> Shown:
    """Add an ENABLED endpoint, with a secret of its own unless a credential's shall sign.

    Raises InvalidField for `Url` (see `Targets.check`), `Name` and `Events`; CredentialNotFound for
    one that is not the client's or revoked; TooManyWebhooks.
    """
    targets.check("Url", new.url)
    types, name = event_types(new.events), check_name(new.name)
    if await sql_endpoints.lock_client(tx, new.client_id) >= ENDPOINTS_MAX:
        raise TooManyWebhooks
    endpoint_id = await sql_endpoints.next_id(tx)
    shown, sealed = None, None
    if new.credential_id is None:
        shown, sealed = secrets.new_secret(vault, endpoint_id)
    else:
        await _check_credential(tx, new.client_id, new.credential_id)
    endpoint = await sql_endpoints.insert(
        tx,
        endpoint_id,
        client_id=new.client_id,
        name=name,
        url=new.url,
        event_types=types,
        credential_id=new.credential_id,
        secret=sealed,
        at=at,
    )
    await _record(tx, endpoint, "webhook.created", told(endpoint), who, at)
    return Shown(endpoint, shown)


async def change(
    tx: Tx,
    vault: Vault,
    targets: Targets,
    client_id: int,
    endpoint_id: int,
    wanted: EndpointChange,
    who: Actor,
    at: datetime,
) -> Endpoint:
    """Change what is not None in `wanted`; the endpoint as it is then. A change of nothing is none.

    A DISABLED one keeps what waits for it, and is sent it once it is enabled again. Raises
    WebhookNotFound, SigningCredentialRevoked where nothing could sign, InvalidField as `create`.
    """
    if wanted.url is not None:
        targets.check("Url", wanted.url)
    if wanted.name is not None:
        check_name(wanted.name)
    held = await _lock(tx, client_id, endpoint_id)
    before = held.endpoint
    by = DisabledReason.STAFF if who.kind is ActorKind.STAFF else DisabledReason.CLIENT
    after = decide_change(before, wanted, by, at)
    if after == before:
        return before
    if before.status is not EndpointStatus.ENABLED and after.status is EndpointStatus.ENABLED:
        await _check_signing(tx, vault, held, at)
    after = await sql_endpoints.update(tx, after)
    await _record(tx, after, "webhook.changed", differences(before, after), who, at)
    return after


async def delete(tx: Tx, client_id: int, endpoint_id: int, who: Actor, at: datetime) -> None:
    """Send nothing there any more, forget its secrets, and give up what waits.

    Raises WebhookNotFound, also a second time.
    """
    held = await _lock(tx, client_id, endpoint_id)
    endpoint = await sql_endpoints.delete(tx, endpoint_id, at)
    await _record(tx, endpoint, "webhook.deleted", told(held.endpoint), who, at)
    await jobs.enqueue(tx, [JobAsk(GIVE_UP_JOB, dedupe_key="any")])


async def rotate_secret(
    tx: Tx,
    vault: Vault,
    client_id: int,
    endpoint_id: int,
    who: Actor,
    at: datetime,
    *,
    revoke_previous: bool = False,
) -> Shown:
    """A new secret of its own, shown once; for 24 hours the one before signs as well.

    With `revoke_previous`, for a secret that leaked, it stops at once, also within those 24 hours;
    otherwise a second rotation within them raises RotationUnderWay. Raises WebhookNotFound.
    """
    held = await _lock(tx, client_id, endpoint_id)
    [keys] = await secrets.open_keys(tx, vault, [held], at)
    if len(keys) > 1 and not revoke_previous:
        until = held.endpoint.previous_until
        raise RotationUnderWay(details={"until": until and until.isoformat()})
    shown, sealed = secrets.new_secret(vault, endpoint_id)
    keep = bool(keys) and not revoke_previous
    endpoint = await sql_endpoints.rotate(
        tx,
        endpoint_id,
        secret=sealed,
        previous_secret=secrets.seal_previous(vault, endpoint_id, keys[0]) if keep else None,
        previous_until=at + ROTATION if keep else None,
        at=at,
    )
    facts = {"previous_until": endpoint.previous_until and endpoint.previous_until.isoformat()}
    await _record(tx, endpoint, "webhook.secret_rotated", facts, who, at)
    return Shown(endpoint, shown)


async def send_test(tx: Tx, client_id: int, endpoint_id: int, who: Actor, at: datetime) -> int:
    """Have a `webhook.test` sent to this endpoint alone, the way every event goes; the event's id.

    It counts in the client's feed like any other. Raises WebhookNotFound, WebhookDisabled.
    """
    endpoint = (await _lock(tx, client_id, endpoint_id)).endpoint
    if endpoint.status is not EndpointStatus.ENABLED:
        raise WebhookDisabled
    data = {"webhook_id": endpoint.id, "message": TEST_TEXT}
    event = Event(client_id, EventType.WEBHOOK_TEST, None, data, endpoint.id)
    [event_id] = await service.emit(tx, [event], at)
    facts = {"event_id": event_id}
    fact = AuditFact(who, client_id, "webhook.tested", "webhook", endpoint.id, facts)
    await audit.record(tx, [fact], at)
    return event_id


async def read(tx: Tx, client_id: int, endpoint_ids: Sequence[int]) -> list[Endpoint | None]:
    """The client's endpoint of each id, in order; None where it has none of it."""
    found = await sql_endpoints.read(tx, client_id, endpoint_ids)
    return [found.get(endpoint_id) for endpoint_id in endpoint_ids]


async def list_of_client(tx: Tx, client_id: int, ask: PageAsk) -> Page[Endpoint]:
    """The client's endpoints by id."""
    endpoints, total = await sql_endpoints.list_of_client(tx, client_id, ask)
    return Page(endpoints, ask, total)


async def list_all(
    tx: Tx, ask: PageAsk, *, status: EndpointStatus | None = None, failing: bool | None = None
) -> Page[Endpoint]:
    """Endpoints of all clients by id: of this status, and those to which nothing gets through.

    None leaves a filter open.
    """
    endpoints, total = await sql_endpoints.list_all(tx, status, failing, ask)
    return Page(endpoints, ask, total)


async def _lock(tx: Tx, client_id: int, endpoint_id: int) -> SealedEndpoint:
    held = await sql_endpoints.lock(tx, client_id, endpoint_id)
    if held is None:
        raise WebhookNotFound
    return held


async def _check_credential(tx: Tx, client_id: int, credential_id: int) -> None:
    [held] = await clients.credentials_of(tx, [client_id])
    if not any(each.id == credential_id and each.revoked_at is None for each in held):
        raise CredentialNotFound


async def _check_signing(tx: Tx, vault: Vault, held: SealedEndpoint, at: datetime) -> None:
    [keys] = await secrets.open_keys(tx, vault, [held], at)
    if not keys:
        raise SigningCredentialRevoked


async def _record(
    tx: Tx,
    endpoint: Endpoint,
    action: str,
    facts: Mapping[str, object],
    who: Actor,
    at: datetime,
) -> None:
    fact = AuditFact(who, endpoint.client_id, action, "webhook", endpoint.id, facts)
    await audit.record(tx, [fact], at)
    await announce(tx, CHANGES_TOPIC, [endpoint.id])
