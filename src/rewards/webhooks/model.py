"""Events, the endpoints they go to, and what became of each delivery; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from rewards.core.errors import Conflict, NotFound


class EventType(StrEnum):
    """Public names; never renamed."""

    ORDER_CREATED = "order.created"
    ORDER_PENDING = "order.pending"
    ORDER_PROCESSING = "order.processing"
    ORDER_DELIVERED = "order.delivered"
    ORDER_PARTIALLY_DELIVERED = "order.partially_delivered"
    ORDER_FAILED = "order.failed"
    ORDER_CANCELLED = "order.cancelled"
    WALLET_CREDITED = "wallet.credited"
    WALLET_LOW_BALANCE = "wallet.low_balance"
    WEBHOOK_FAILING = "webhook.failing"
    WEBHOOK_DISABLED = "webhook.disabled"
    # Sent to one endpoint because its owner asked; nobody subscribes to it.
    WEBHOOK_TEST = "webhook.test"


@dataclass(frozen=True, slots=True)
class Event:
    """`data` is the event's `data` as the client will read it: never a code, a PIN or a link.

    Decimals in it leave as JSON numbers with their digits. The envelope (`id`, `event`, `type`,
    `timestamp`, `sequence`) is put around it when it is sent (spec.md §7). With an `endpoint_id` it
    goes to that endpoint alone, whatever that one subscribed to; the feed has it all the same.
    """

    client_id: int
    type: EventType
    order_id: int | None
    data: Mapping[str, object]
    endpoint_id: int | None = None
    # Somebody is to be told by mail, too.
    mail: bool = False


class EndpointStatus(StrEnum):
    ENABLED = "ENABLED"
    DISABLED = "DISABLED"  # what waits for it goes on waiting, and nothing new is queued


class DisabledReason(StrEnum):
    CLIENT = "CLIENT"
    STAFF = "STAFF"
    GONE = "GONE"  # it answered 410
    FAILING = "FAILING"  # five days of nothing but failures
    CREDENTIAL_REVOKED = "CREDENTIAL_REVOKED"  # nothing is left to sign with


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a client wants to be told, without its secret."""

    id: int
    client_id: int
    name: str
    url: str
    # None: every type.
    event_types: tuple[str, ...] | None
    # Signs with this credential's signing secret; None: with a secret of its own.
    credential_id: int | None
    # Until then the secret before the last rotation signs too.
    previous_until: datetime | None
    status: EndpointStatus
    disabled_reason: DisabledReason | None
    disabled_at: datetime | None
    # Since when nothing got through.
    failing_since: datetime | None
    created_at: datetime
    updated_at: datetime


class DeliveryStatus(StrEnum):
    PENDING = "PENDING"  # also between attempts
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"  # given up


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one endpoint."""

    id: int
    endpoint_id: int
    client_id: int
    event_id: int
    sequence: int
    event_type: str
    status: DeliveryStatus
    # Made so far.
    attempts: int
    # When the next is due; says nothing once it is finished.
    next_at: datetime
    last_status_code: int | None
    last_error: str | None
    redelivery_of: int | None
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one attempt met; `number` counts from 1."""

    number: int
    started_at: datetime
    took_ms: int
    status_code: int | None
    # Why there is no answer, or none that counts.
    error: str | None
    # The first 4 kB of the answer.
    answer: str | None


class DeliveryNotFound(NotFound):
    code = "DELIVERY_NOT_FOUND"
    default_message = "Delivery not found"


class EventForgotten(Conflict):
    """It is older than events are kept."""

    code = "EVENT_FORGOTTEN"
    default_message = "The event is no longer kept"


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries of an endpoint to read, by when they were queued; None leaves it open."""

    status: DeliveryStatus | None = None
    event_type: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Recovered:
    """What asking for everything since a time led to.

    `failed` were given up and are sent again, `missed` were never queued for the endpoint, such as
    while it was disabled, `waiting` wait no longer for their next attempt. `complete`: that is all.
    """

    failed: int
    missed: int
    waiting: int
    complete: bool
