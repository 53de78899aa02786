"""What staff are told of the installation; pure."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Kept:
    """How long something is kept, or counts."""

    name: str
    period: timedelta
    description: str
