"""Exchange rates as they come and as they are kept: values and refusals; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from rewards.core.errors import Conflict, NotFound

NO_SPREAD = Decimal(0)


class Channel(StrEnum):
    """How a rate came; decides for how long it may be used."""

    # Laid down with the first data, as by the sandbox.
    SETUP = "SETUP"
    FILE = "FILE"
    STAFF = "STAFF"
    PROVIDER = "PROVIDER"


# None: for ever.
Ages: TypeAlias = Mapping[Channel, timedelta | None]


@dataclass(frozen=True, slots=True)
class NewRate:
    """`rate` units of target for one unit of source, as of `quoted_at`.

    `spread_percent` comes on top of it, against the client.
    """

    source: str
    target: str
    rate: Decimal
    # Who says so: a bank, a feed, a staff member.
    origin: str
    quoted_at: datetime
    channel: Channel = Channel.SETUP
    spread_percent: Decimal = NO_SPREAD

    @property
    def pair(self) -> tuple[str, str]:
        return self.source, self.target


class RateRow(NamedTuple):
    """A rate that is, or was, in force."""

    id: int
    source: str
    target: str
    rate: Decimal
    spread_percent: Decimal
    channel: Channel
    origin: str
    quoted_at: datetime
    # None on rates from before this was kept.
    set_at: datetime | None

    @property
    def pair(self) -> tuple[str, str]:
        return self.source, self.target

    def stale_at(self, ages: Ages) -> datetime | None:
        """After this moment it is too old; None: never."""
        age = ages[self.channel]
        return None if age is None else self.quoted_at + age


class HeldState(StrEnum):
    OPEN = "OPEN"
    CONFIRMED = "CONFIRMED"
    DISMISSED = "DISMISSED"
    # A newer one of its pair came before anybody decided.
    SUPERSEDED = "SUPERSEDED"


@dataclass(frozen=True, slots=True)
class HeldRate:
    """A rate that jumps, and waits for a person; `charged_before` is what was charged without it,
    spread included."""

    id: int
    rate: NewRate
    charged_before: Decimal
    held_at: datetime
    state: HeldState
    decided_at: datetime | None


class Outcome(StrEnum):
    """What became of a rate that was offered."""

    APPLIED = "APPLIED"
    # It is the one in force.
    UNCHANGED = "UNCHANGED"
    # The one in force is of a later time.
    OUTDATED = "OUTDATED"
    # It jumps, and waits for a person.
    HELD = "HELD"


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to become of an offered rate; `charged_before` None: the pair had no rate."""

    outcome: Outcome
    charged_before: Decimal | None


@dataclass(frozen=True, slots=True)
class Loaded:
    """An offered rate and what became of it; `id` of its row in force, or among the held ones."""

    rate: NewRate
    decision: Decision
    id: int | None

    @property
    def outcome(self) -> Outcome:
        return self.decision.outcome


class FxRateJump(Conflict):
    """Not taken without a word that it is meant."""

    code = "FX_RATE_JUMP"

    def __init__(self, charged_before: Decimal, percent_max: Decimal) -> None:
        super().__init__(
            f"The rate differs by more than {percent_max:f} % from the one in force;"
            " confirm it if it is meant",
            details={"charged_rate": charged_before, "percent_max": percent_max},
        )


class HeldRateNotFound(NotFound):
    code = "FX_RATE_NOT_FOUND"
    default_message = "Held exchange rate not found"


class HeldRateDecided(Conflict):
    """Somebody confirmed or dismissed it, or a newer rate of its pair came."""

    code = "FX_RATE_DECIDED"

    def __init__(self, state: HeldState) -> None:
        super().__init__(f"The held rate is {state} already", details={"state": state})
