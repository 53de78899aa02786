"""Who acts: carried into every history and audit row."""

from dataclasses import dataclass
from enum import StrEnum


class ActorKind(StrEnum):
    CLIENT = "CLIENT"
    STAFF = "STAFF"
    SYSTEM = "SYSTEM"
    # Whoever holds a claim link; nobody knows who that is.
    HOLDER = "HOLDER"


@dataclass(frozen=True, slots=True)
class Actor:
    kind: ActorKind
    # Client id, staff id, or None for the system.
    id: int | None = None
    request_id: str | None = None
    address: str | None = None


SYSTEM = Actor(ActorKind.SYSTEM)
