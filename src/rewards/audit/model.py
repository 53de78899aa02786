"""A line of the audit trail: who did what to what, and why; pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rewards.core.actor import Actor


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
