"""Runs of the reconciliation and the drift they find; pure (spec.md §8)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

from rewards.core.errors import Conflict, NotFound

DAY = timedelta(days=1)
READ_AGAIN = timedelta(hours=1)


class Phase(StrEnum):
    """What a run does, in order; a vendor's run has the first three, our own the last three."""

    LISTING = "LISTING"  # the vendor lists what it sold
    PURCHASES = "PURCHASES"  # what it did not list is read back by its key
    ORDERS = "ORDERS"
    LEDGER = "LEDGER"
    UNITS = "UNITS"


OF_A_VENDOR = (Phase.LISTING, Phase.PURCHASES, Phase.ORDERS)
OF_OURS = (Phase.ORDERS, Phase.LEDGER, Phase.UNITS)


class RunState(StrEnum):
    RUNNING = "RUNNING"
    DONE = "DONE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A row of `reconciliation_runs`; `vendor_id` None: our own books."""

    id: int
    day: date
    vendor_id: int | None
    state: RunState
    phase: Phase
    round: int
    position: int
    upto: int | None
    purchases: int
    orders: int
    reconciled: int
    units: int
    unread: int
    problem: str | None
    next_at: datetime
    started_at: datetime
    ended_at: datetime | None
    # What it has listed and nobody has explained yet.
    drifts: int

    @property
    def since(self) -> datetime:
        """When its day begins."""
        return beginning_of(self.day)

    @property
    def until(self) -> datetime:
        """When the next day begins."""
        return self.since + DAY

    @property
    def done(self) -> bool:
        return self.state is RunState.DONE

    def after_phase(self, at: datetime) -> "Run":
        """The run at the beginning of its next phase, or at its end."""
        phases = OF_OURS if self.vendor_id is None else OF_A_VENDOR
        rest = phases[phases.index(self.phase) + 1 :]
        moved = replace(self, position=0, upto=None, next_at=at)
        if rest:
            return replace(moved, phase=rest[0])
        if self.unread:
            # The others are through; these are asked for again in a while.
            return replace(moved, phase=Phase.PURCHASES, unread=0, next_at=at + READ_AGAIN)
        return replace(moved, state=RunState.DONE, ended_at=at)


class Kind(StrEnum):
    """Which two books disagree, and how."""

    MISSING_AT_VENDOR = (
        "MISSING_AT_VENDOR"  # we got codes for it, and the vendor knows no such order
    )
    UNKNOWN_TO_US = "UNKNOWN_TO_US"  # the vendor sold something under a key that is none of ours
    NOT_TOLD = "NOT_TOLD"  # the vendor could not be made to say what became of it
    OUTCOME_DIFFERS = "OUTCOME_DIFFERS"  # one of us says it was sold, the other not
    QUANTITY_DIFFERS = "QUANTITY_DIFFERS"
    AMOUNT_DIFFERS = "AMOUNT_DIFFERS"
    ITEMS_DIFFER = "ITEMS_DIFFER"  # an order says it delivered more or less than its items
    UNIT_DIFFERS = "UNIT_DIFFERS"  # an item's unit is missing, in another state, or of another kind
    UNIT_WITHOUT_ORDER = "UNIT_WITHOUT_ORDER"
    LEDGER_DIFFERS = "LEDGER_DIFFERS"
    LEDGER_WITHOUT_ORDER = "LEDGER_WITHOUT_ORDER"


class SubjectKind(StrEnum):
    ORDER = "order"
    PURCHASE = "purchase"
    UNIT = "unit"
    TRANSFER = "transfer"
    VENDOR_KEY = "vendor_key"


Facts = Mapping[str, int | str | None]


@dataclass(frozen=True, slots=True)
class Finding:
    """Two books that disagree about one thing: what each says of it. Never holds a code."""

    kind: Kind
    subject_kind: SubjectKind
    subject: str
    ours: Facts
    theirs: Facts
    # Whose books the other side is; None where both are ours.
    vendor_id: int | None = None


class DriftState(StrEnum):
    OPEN = "OPEN"
    EXPLAINED = "EXPLAINED"


@dataclass(frozen=True, slots=True)
class Drift:
    """A finding as it is listed; only a person changes it."""

    id: int
    run_id: int
    day: date
    finding: Finding
    state: DriftState
    found_at: datetime
    explained_by: int | None = None
    explained_at: datetime | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class DriftFilter:
    """What a list is narrowed to; None leaves a field open."""

    state: DriftState | None = None
    kind: Kind | None = None
    vendor_id: int | None = None
    day: date | None = None


@dataclass(frozen=True, slots=True)
class Gain:
    """What one step of a run has done, to be added to its counts."""

    purchases: int = 0
    orders: int = 0
    reconciled: int = 0
    units: int = 0
    findings: tuple[Finding, ...] = field(default=())


class DriftNotFound(NotFound):
    code = "DRIFT_NOT_FOUND"
    default_message = "Drift not found"


class DriftExplained(Conflict):
    code = "DRIFT_EXPLAINED"
    default_message = "Somebody explained this already"


class DayNotOver(Conflict):
    """Its books still move."""

    code = "DAY_NOT_OVER"
    default_message = "The day is not over yet"


def beginning_of(day: date) -> datetime:
    """When a day begins, in UTC."""
    return datetime.combine(day, time(), UTC)


def day_of(at: datetime) -> date:
    """The day a moment belongs to, in UTC."""
    return at.astimezone(UTC).date()
