"""A line of the audit trail: who did what to what, and why; pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from rewards.core.actor import Actor, ActorKind


@dataclass(frozen=True, slots=True)
class AuditFact:
    """`action` is a past-tense name such as `order.placed`; `facts` hold no secret, ever."""

    actor: Actor
    client_id: int | None
    action: str
    subject_kind: str
    subject_id: int
    facts: Mapping[str, object] = field(default_factory=dict)
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A fact as it stands in the trail."""

    id: int
    at: datetime
    fact: AuditFact


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """What to read of the trail; None leaves a field open."""

    # From that moment on, and before that one.
    since: datetime | None = None
    until: datetime | None = None
    actor_kind: ActorKind | None = None
    # Of a member of staff.
    staff_id: int | None = None
    client_id: int | None = None
    subject_kind: str | None = None
    subject_id: int | None = None
    # One that ends in a dot means all that begin so.
    action: str | None = None
    address: str | None = None
    request_id: str | None = None
    # Words, or their beginnings, that all stand in the reason.
    reason: str | None = None
