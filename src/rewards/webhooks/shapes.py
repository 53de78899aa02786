"""What clients and staff send and are shown of endpoints and deliveries."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import msgspec

from rewards.core.errors import InvalidField
from rewards.core.text import timestamp
from rewards.infra.http import ID_MAX, member_of, one_of
from rewards.infra.openapi import PAGE, choice, whole_number
from rewards.infra.query import moment
from rewards.infra.targets import URL_CHARS_MAX
from rewards.webhooks.deliveries import Told
from rewards.webhooks.endpoints import Shown
from rewards.webhooks.envelope import Envelope, message_id
from rewards.webhooks.model import (
    Attempt,
    Delivery,
    DeliveryFilter,
    DeliveryStatus,
    DisabledReason,
    Endpoint,
    EndpointStatus,
    EventType,
    Recovered,
)
from rewards.webhooks.model_endpoints import (
    EVENTS_MAX,
    EVERY_EVENT,
    NAME_CHARS_MAX,
    SUBSCRIBABLE,
    EndpointChange,
    NewEndpoint,
)

LIST_DEFAULT, LIST_MAX = 50, 500
CURSOR_CHARS_MAX = 64


def _field(description: str, **schema: Any) -> msgspec.Meta:
    return msgspec.Meta(extra_json_schema={"description": description} | schema)


URL = _field(
    "HTTPS, at a public address",
    format="uri",
    maxLength=URL_CHARS_MAX,
    examples=["https://shop.example/hooks/rewards"],
)
NAME = _field("What you call it", maxLength=NAME_CHARS_MAX, examples=["Shop"])
EVENTS = _field(
    "What to be told of; `*` alone: everything, also what is added later",
    minItems=1,
    maxItems=EVENTS_MAX,
    items={"type": "string", "enum": [EVERY_EVENT, *SUBSCRIBABLE]},
    examples=[["order.delivered", "order.cancelled"]],
)


class NewWebhookIn(msgspec.Struct, forbid_unknown_fields=True):
    """`url` is required."""

    url: Annotated[str, URL] = ""
    name: Annotated[str, NAME] = ""
    events: Annotated[list[str], EVENTS] = msgspec.field(default_factory=lambda: [EVERY_EVENT])
    credential_id: Annotated[
        int | None,
        _field(
            "Sign with this credential's signing secret; else the webhook has its own",
            minimum=1,
            maximum=ID_MAX,
        ),
    ] = None

    def read(self, client_id: int) -> NewEndpoint:
        if not self.url:
            raise InvalidField("Url", "required")
        if self.credential_id is not None and not 1 <= self.credential_id <= ID_MAX:
            raise InvalidField("CredentialId", "range")
        return NewEndpoint(client_id, self.url, self.name, self.events, self.credential_id)

    def __repr__(self) -> str:
        return "NewWebhookIn([redacted])"


class WebhookChangeIn(msgspec.Struct, forbid_unknown_fields=True):
    """What is left out stays as it is."""

    url: Annotated[str | None, URL] = None
    name: Annotated[str | None, NAME] = None
    events: Annotated[list[str] | None, EVENTS] = None
    status: Annotated[
        str | None, _field("ENABLED or DISABLED, in any case", enum=[*EndpointStatus, None])
    ] = None

    def read(self) -> EndpointChange:
        status = None if self.status is None else member_of("Status", EndpointStatus, self.status)
        return EndpointChange(self.url, self.name, self.events, status)

    def __repr__(self) -> str:
        return "WebhookChangeIn([redacted])"


class RotateIn(msgspec.Struct, forbid_unknown_fields=True):
    """Without a body the secret before signs for 24 more hours."""

    revoke_previous: Annotated[
        bool, _field("The secret before leaked: it signs nothing from now on")
    ] = False


class RecoverIn(msgspec.Struct, forbid_unknown_fields=True):
    """`since` is required."""

    since: Annotated[
        str,
        _field(
            "Of what happened then or later (RFC 3339)",
            format="date-time",
            examples=["2026-11-21T06:00:00Z"],
        ),
    ] = ""

    def read(self) -> datetime:
        if not self.since:
            raise InvalidField("Since", "required")
        return timestamp("Since", self.since)


NEW_WEBHOOK = msgspec.json.Decoder(NewWebhookIn)
WEBHOOK_CHANGE = msgspec.json.Decoder(WebhookChangeIn)
ROTATE = msgspec.json.Decoder(RotateIn)
RECOVER = msgspec.json.Decoder(RecoverIn)


class WebhookOut(msgspec.Struct):
    """An endpoint. Its secret is shown when it is made and when it is rotated, and never again."""

    id: int
    name: str
    url: str
    events: list[str]
    # Whose signing secret signs; null: one of its own.
    credential_id: int | None
    # Until then the secret before the last rotation signs too.
    previous_secret_until: datetime | None
    status: EndpointStatus
    # GONE: it answered 410. FAILING: nothing got through for five days.
    disabled_reason: DisabledReason | None
    disabled_at: datetime | None
    failing_since: datetime | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, endpoint: Endpoint) -> "WebhookOut":
        return cls(*columns(endpoint))


class NewWebhookOut(WebhookOut):
    """`secret` is readable here only; null where a credential's signs."""

    secret: str | None

    @classmethod
    def of_shown(cls, shown: Shown) -> "NewWebhookOut":
        return cls(*(*columns(shown.endpoint), shown.secret))

    def __repr__(self) -> str:
        return f"NewWebhookOut({self.id})"


def columns(endpoint: Endpoint) -> tuple[Any, ...]:
    """The fields of WebhookOut, in order."""
    types = endpoint.event_types
    return (
        endpoint.id,
        endpoint.name,
        endpoint.url,
        [EVERY_EVENT] if types is None else list(types),
        endpoint.credential_id,
        endpoint.previous_until,
        endpoint.status,
        endpoint.disabled_reason,
        endpoint.disabled_at,
        endpoint.failing_since,
        endpoint.created_at,
        endpoint.updated_at,
    )


class NewSecretOut(msgspec.Struct):
    """`secret` is readable here only."""

    id: int
    secret: str
    previous_secret_until: datetime | None

    @classmethod
    def of(cls, shown: Shown) -> "NewSecretOut":
        assert shown.secret is not None, "whoever rotates gets a secret"
        return cls(shown.endpoint.id, shown.secret, shown.endpoint.previous_until)

    def __repr__(self) -> str:
        return f"NewSecretOut({self.id})"


class TestedOut(msgspec.Struct):
    """Which event is on its way; its delivery is listed within a second."""

    webhook_id: int
    event_id: str
    event: EventType


class RecoveredOut(msgspec.Struct):
    """How many are sent now: given up before, never queued, waiting for their next attempt.

    `complete`: false where there is more; ask again.
    """

    webhook_id: int
    failed: int
    missed: int
    waiting: int
    complete: bool

    @classmethod
    def of(cls, endpoint_id: int, done: Recovered) -> "RecoveredOut":
        return cls(endpoint_id, done.failed, done.missed, done.waiting, done.complete)


class DeliveryOut(msgspec.Struct):
    """One event on its way to one webhook. PENDING also between attempts; FAILED: given up."""

    id: int
    webhook_id: int
    event_id: str
    event: str
    sequence: int
    status: DeliveryStatus
    # Made so far.
    attempts: int
    next_attempt_at: datetime | None
    last_status_code: int | None
    last_error: str | None
    # The delivery that this one repeats.
    redelivery_of: int | None
    created_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, delivery: Delivery) -> "DeliveryOut":
        return cls(*_delivery_columns(delivery))


def _delivery_columns(delivery: Delivery) -> tuple[Any, ...]:
    pending = delivery.status is DeliveryStatus.PENDING
    return (
        delivery.id,
        delivery.endpoint_id,
        message_id(delivery.event_id),
        delivery.event_type,
        delivery.sequence,
        delivery.status,
        delivery.attempts,
        delivery.next_at if pending else None,
        delivery.last_status_code,
        delivery.last_error,
        delivery.redelivery_of,
        delivery.created_at,
        delivery.finished_at,
    )


class AttemptOut(msgspec.Struct):
    """One attempt: the status you answered and the first 4 kB of it, or why nobody answered."""

    number: int
    started_at: datetime
    took_ms: int
    status_code: int | None
    error: str | None
    answer: str | None

    @classmethod
    def of(cls, attempt: Attempt) -> "AttemptOut":
        return cls(
            attempt.number,
            attempt.started_at,
            attempt.took_ms,
            attempt.status_code,
            attempt.error,
            attempt.answer,
        )


class DeliveryInFullOut(DeliveryOut):
    """With each attempt, and what is sent; `payload` is null once the event is no longer kept."""

    history: list[AttemptOut]
    payload: Envelope | None

    @classmethod
    def of_told(cls, told: Told) -> "DeliveryInFullOut":
        history = [AttemptOut.of(attempt) for attempt in told.attempts]
        return cls(*(*_delivery_columns(told.delivery), history, told.sent))


PAGE_QUERY: dict[str, dict[str, Any]] = {
    "page": PAGE,
    "limit": whole_number("Lines a page", maximum=LIST_MAX, default=LIST_DEFAULT),
}
DELIVERY_QUERY: dict[str, dict[str, Any]] = {
    "limit": whole_number("Lines a page", maximum=LIST_MAX, default=LIST_DEFAULT),
    "cursor": {
        "type": "string",
        "maxLength": CURSOR_CHARS_MAX,
        "description": "`X-Next-Cursor` of the page before",
    },
    "status": choice(DeliveryStatus, "In this state, in any case"),
    "event": choice(EventType, "Of this type, in any case"),
    "from": {
        "type": "string",
        "description": "Queued from this day or RFC 3339 time on",
        "examples": ["2026-11-21"],
    },
    "to": {
        "type": "string",
        "description": "Queued to the end of this day, or before this time",
        "examples": ["2026-11-21T18:00:00Z"],
    },
}


def delivery_filter(query: Mapping[str, str]) -> DeliveryFilter:
    """What a query of DELIVERY_QUERY narrows; an empty parameter counts as absent."""
    event = query.get("event") or None
    if event is not None and event.lower() not in set(EventType):
        raise InvalidField("Event", "oneof", details={"allowed": list(EventType)})
    return DeliveryFilter(
        one_of("Status", DeliveryStatus, query.get("status")),
        event and event.lower(),
        moment("From", query.get("from")),
        moment("To", query.get("to"), end=True),
    )
