"""What became of deliveries, and sending them again, one or all since a time (spec.md §7)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.core.actor import Actor
from rewards.core.clock import Clock
from rewards.core.errors import Refusal
from rewards.infra import cursor
from rewards.infra.db import Database, Tx
from rewards.webhooks import sql_deliveries, sql_endpoints
from rewards.webhooks.envelope import Envelope, envelope
from rewards.webhooks.model import (
    Attempt,
    Delivery,
    DeliveryFilter,
    DeliveryNotFound,
    EndpointStatus,
    EventForgotten,
    Recovered,
)
from rewards.webhooks.model_endpoints import WebhookDisabled, WebhookNotFound

# Of each kind, in one transaction; whoever asks again goes on from there.
RECOVER_MAX = 2_000
GIVE_UP_BATCH_MAX = 1_000
GIVE_UP_ROUND_MAX = 10_000
ENDPOINT_DELETED = "The webhook was deleted"
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(9998, 1, 1, tzinfo=UTC)
ID_LAST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """Deliveries, newest first, and the cursor of the next page, None on the last one."""

    deliveries: list[Delivery]
    following: str | None


@dataclass(frozen=True, slots=True)
class Told:
    """A delivery with each of its attempts and what was sent, None once the event is forgotten."""

    delivery: Delivery
    attempts: list[Attempt]
    sent: Envelope | None


async def list_of_endpoint(
    tx: Tx,
    client_id: int,
    endpoint_id: int,
    narrow: DeliveryFilter,
    *,
    after: str | None,
    limit: int,
) -> DeliveryPage:
    """A page of an endpoint's deliveries. Raises WebhookNotFound, and refuses a foreign cursor."""
    before = (
        cursor.read(after) if after else (narrow.until or LATEST, 0 if narrow.until else ID_LAST)
    )
    if endpoint_id not in await sql_endpoints.read(tx, client_id, [endpoint_id]):
        raise WebhookNotFound
    since = narrow.since or EARLIEST
    found = await sql_deliveries.list_of_endpoint(
        tx, endpoint_id, narrow, before=before, since=since, limit=limit + 1
    )
    shown = found[:limit]
    more = len(found) > limit
    following = cursor.write(shown[-1].created_at, shown[-1].id) if more else None
    return DeliveryPage(shown, following)


async def read(tx: Tx, client_id: int, delivery_ids: Sequence[int]) -> list[Told | Refusal]:
    """Each delivery in full, in order; DeliveryNotFound for what is not the client's."""
    found = await sql_deliveries.read(tx, client_id, delivery_ids)
    attempts = await sql_deliveries.read_attempts(tx, list(found))
    payloads = await sql_deliveries.read_payloads(tx, [one.event_id for one in found.values()])
    return [
        _told(found[each], attempts[each], payloads) if each in found else DeliveryNotFound()
        for each in delivery_ids
    ]


def _told(
    delivery: Delivery, attempts: list[Attempt], payloads: dict[int, tuple[datetime, str]]
) -> Told:
    sent = None
    if delivery.event_id in payloads:
        created_at, data = payloads[delivery.event_id]
        sent = envelope(delivery.event_id, delivery.event_type, created_at, delivery.sequence, data)
    return Told(delivery, attempts, sent)


async def redeliver(
    tx: Tx, client_id: int, delivery_ids: Sequence[int], who: Actor, at: datetime
) -> list[Delivery | Refusal]:
    """Send each again, whatever became of it; the deliveries that do it, in order.

    It is a new one that says which it repeats, unless one of the same event still waits for the
    endpoint: that one is sent now instead. Refused with DeliveryNotFound, WebhookDisabled,
    EventForgotten.
    """
    held = await sql_deliveries.lock(tx, client_id, delivery_ids)
    answers: dict[int, Delivery | Refusal] = {}
    for delivery_id, (_, status, kept) in held.items():
        if status is not EndpointStatus.ENABLED:
            answers[delivery_id] = WebhookDisabled()
        elif not kept:
            answers[delivery_id] = EventForgotten()
    asked = [held[each][0] for each in held if each not in answers]
    hastened = await sql_deliveries.hasten(tx, asked, at)
    waiting = {(each.event_id, each.endpoint_id): each for each in hastened}
    repeated = [each.id for each in asked if (each.event_id, each.endpoint_id) not in waiting]
    for made in await sql_deliveries.repeat(tx, repeated, at):
        assert made.redelivery_of is not None
        answers[made.redelivery_of] = made
    for each in asked:
        answers.setdefault(each.id, waiting.get((each.event_id, each.endpoint_id), each))
    again = [(each, answers[each.id]) for each in asked]
    facts = [_sent_again(who, old, new) for old, new in again if isinstance(new, Delivery)]
    await audit.record(tx, facts, at)
    return [answers.get(delivery_id, DeliveryNotFound()) for delivery_id in delivery_ids]


def _sent_again(who: Actor, old: Delivery, new: Delivery) -> AuditFact:
    facts = {"webhook_id": old.endpoint_id, "event_id": old.event_id, "delivery_id": new.id}
    return AuditFact(who, old.client_id, "webhook.redelivered", "webhook_delivery", old.id, facts)


async def recover(
    tx: Tx, client_id: int, endpoint_id: int, since: datetime, who: Actor, at: datetime
) -> Recovered:
    """Send the endpoint whatever it has not received of what happened since a time.

    That is what was given up, what waits for its next attempt, and what it subscribes to now but
    was never queued for it, at most RECOVER_MAX of each: `complete` says whether to ask again.
    Nothing of before the endpoint was made. Raises WebhookNotFound, WebhookDisabled.
    """
    held = await sql_endpoints.lock(tx, client_id, endpoint_id)
    if held is None:
        raise WebhookNotFound
    endpoint = held.endpoint
    if endpoint.status is not EndpointStatus.ENABLED:
        raise WebhookDisabled
    since = max(since, endpoint.created_at)
    limit = RECOVER_MAX
    waiting = await sql_deliveries.recover_waiting(tx, endpoint_id, since, at, limit)
    failed = await sql_deliveries.recover_failed(tx, endpoint_id, since, at, limit)
    missed = await sql_deliveries.recover_missed(
        tx, endpoint_id, client_id, endpoint.event_types, since, at, limit
    )
    done = Recovered(failed, missed, waiting, complete=max(failed, missed, waiting) < limit)
    facts = {
        "since": since.isoformat(),
        "failed": failed,
        "missed": missed,
        "waiting": waiting,
    }
    fact = AuditFact(who, client_id, "webhook.recovered", "webhook", endpoint_id, facts)
    await audit.record(tx, [fact], at)
    return done


async def give_up_deleted(db: Database, clock: Clock) -> int:
    """End what still waits for endpoints that are deleted, in batches; how many that were."""
    count = 0
    for _ in range(GIVE_UP_ROUND_MAX):
        async with db.transaction() as tx:
            done = await sql_deliveries.give_up_deleted(
                tx, clock.now(), ENDPOINT_DELETED, GIVE_UP_BATCH_MAX
            )
        count += done
        if done < GIVE_UP_BATCH_MAX:
            break
    return count


async def made_bounds(tx: Tx, since: datetime, until: datetime) -> tuple[int, int] | None:
    """The first and last id of the deliveries that were made in that time; None for none."""
    return await sql_deliveries.made_bounds(tx, since, until)


async def made(
    tx: Tx,
    after_id: int,
    upto_id: int,
    since: datetime,
    until: datetime,
    *,
    client_id: int | None = None,
) -> list[Delivery]:
    """Deliveries made in that time, with an id above the first and up to the last, in order."""
    return await sql_deliveries.made(tx, after_id, upto_id, since, until, client_id)
