"""What may be asked of an endpoint, what is refused, and what becomes of it; pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from rewards.core.errors import Conflict, InvalidField, NotFound
from rewards.core.text import printable
from rewards.webhooks.model import DisabledReason, Endpoint, EndpointStatus, EventType

# Change feed: the subject is the endpoint's id.
CHANGES_TOPIC = "webhook_endpoints"
ENDPOINTS_MAX = 20
NAME_CHARS_MAX = 100
# In place of names: every type, also those that come later.
EVERY_EVENT = "*"
SUBSCRIBABLE = tuple(kind.value for kind in EventType if kind is not EventType.WEBHOOK_TEST)
EVENTS_MAX = 50
# So long the secret before a rotation signs as well.
ROTATION = timedelta(hours=24)


class WebhookNotFound(NotFound):
    code = "WEBHOOK_NOT_FOUND"
    default_message = "Webhook not found"


class TooManyWebhooks(Conflict):
    code = "TOO_MANY_WEBHOOKS"
    default_message = f"A client has at most {ENDPOINTS_MAX} webhooks"


class WebhookDisabled(Conflict):
    code = "WEBHOOK_DISABLED"
    default_message = "The webhook is disabled; enable it first"


class SigningCredentialRevoked(Conflict):
    code = "SIGNING_CREDENTIAL_REVOKED"
    default_message = "The credential that signs is revoked; rotate the secret first"


class RotationUnderWay(Conflict):
    """Two secrets are all that a signature is made with."""

    code = "SECRET_ROTATION_UNDER_WAY"
    default_message = "The secret was rotated less than 24 hours ago"


@dataclass(frozen=True, slots=True)
class NewEndpoint:
    """`events`: names of types, or `*` alone. With a `credential_id` it has no own secret."""

    client_id: int
    url: str = field(repr=False)
    name: str = ""
    events: Sequence[str] = (EVERY_EVENT,)
    credential_id: int | None = None


@dataclass(frozen=True, slots=True)
class EndpointChange:
    """None leaves a part as it is."""

    url: str | None = field(default=None, repr=False)
    name: str | None = None
    events: Sequence[str] | None = None
    status: EndpointStatus | None = None


@dataclass(frozen=True, slots=True)
class SealedEndpoint:
    """An endpoint with its secrets, still sealed."""

    endpoint: Endpoint
    secret: bytes | None = field(repr=False)
    previous_secret: bytes | None = field(repr=False)


def check_name(name: str) -> str:
    """The name as given, perhaps empty. Raises `Invalid Name`: `max` or `printable`."""
    return printable("Name", name, NAME_CHARS_MAX) if name else name


def event_types(events: Sequence[str]) -> tuple[str, ...] | None:
    """The types subscribed to, each once, in our order; None for all. Names are read in any case.

    Raises `Invalid Events`: `required` for none, `oneof` for what is no type, `max`.
    """
    if not events:
        raise InvalidField("Events", "required")
    if len(events) > EVENTS_MAX:
        raise InvalidField("Events", "max")
    wanted = {each.lower() for each in events}
    if wanted == {EVERY_EVENT}:
        return None
    if not wanted.issubset(SUBSCRIBABLE):
        raise InvalidField("Events", "oneof", details={"allowed": [EVERY_EVENT, *SUBSCRIBABLE]})
    return tuple(name for name in SUBSCRIBABLE if name in wanted)


def decide_change(
    before: Endpoint, wanted: EndpointChange, by: DisabledReason, at: datetime
) -> Endpoint:
    """The endpoint as the change leaves it; `by` says who disables it, if somebody does.

    Enabled again, or sent elsewhere, it begins with a clean slate: its failures are forgotten.
    """
    after = replace(
        before,
        url=before.url if wanted.url is None else wanted.url,
        name=before.name if wanted.name is None else wanted.name,
        event_types=before.event_types if wanted.events is None else event_types(wanted.events),
    )
    if after.url != before.url:
        after = replace(after, failing_since=None)
    if wanted.status is EndpointStatus.ENABLED and before.status is not wanted.status:
        after = replace(
            after, status=wanted.status, disabled_reason=None, disabled_at=None, failing_since=None
        )
    if wanted.status is EndpointStatus.DISABLED and before.status is not wanted.status:
        after = replace(after, status=wanted.status, disabled_reason=by, disabled_at=at)
    return after if after == before else replace(after, updated_at=at)


def told(endpoint: Endpoint) -> dict[str, object]:
    """For the audit trail. Paths and queries of URLs may be secrets, so it has the host alone."""
    return {
        "name": endpoint.name,
        "host": urlsplit(endpoint.url).hostname or "",
        "events": [EVERY_EVENT] if endpoint.event_types is None else list(endpoint.event_types),
        "credential_id": endpoint.credential_id,
        "status": endpoint.status,
    }


def differences(before: Endpoint, after: Endpoint) -> dict[str, object]:
    """What of it changed, for the audit trail; a URL of the same host at least as changed."""
    old, new = told(before), told(after)
    facts: dict[str, object] = {
        key: {"from": old[key], "to": new[key]} for key in new if old[key] != new[key]
    }
    return facts | ({"url": "changed"} if before.url != after.url else {})
