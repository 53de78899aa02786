"""Units, shelves and needs as values, and the pure decisions about them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol

from rewards.catalog.model import Product
from rewards.catalog.model import ShelfKey as ShelfKey  # it is a word of this slice too
from rewards.core.errors import Conflict, NotFound, Refusal

VOUCHER_FIELDS = (
    "card_number",
    "pin_code",
    "code",
    "pin",
    "claim_url",
    "voucher_reference_number",
)


class Products(Protocol):
    """What the inventory asks the catalogue."""

    def product(self, product_id: int) -> Product | None: ...


class UnitState(StrEnum):
    AVAILABLE = "AVAILABLE"  # on the shelf; loaded or waiting for a pump
    ALLOCATED = "ALLOCATED"  # bought for one order, not delivered yet
    DELIVERED = "DELIVERED"  # belongs to an item of an order
    COMPLETED = "COMPLETED"  # delivered and reconciled
    BLOCKED = "BLOCKED"  # may not be sold; can come back
    REVOKED = "REVOKED"  # taken back from its order, or out of stock for good; final


class BlockReason(StrEnum):
    STAFF = "STAFF"
    BATCH = "BATCH"
    EXPIRED = "EXPIRED"
    SHORT_LIFE = "SHORT_LIFE"
    SUSPECT = "SUSPECT"


class BatchSource(StrEnum):
    FILE = "FILE"
    VENDOR = "VENDOR"
    SANDBOX = "SANDBOX"


class BatchState(StrEnum):
    """How far the units of a batch have come in."""

    IMPORTING = "IMPORTING"
    DONE = "DONE"
    FAILED = "FAILED"


class BatchStatus(StrEnum):
    """Whether the units of a batch may be sold."""

    OPEN = "OPEN"
    BLOCKED = "BLOCKED"
    RECALLED = "RECALLED"


class DuplicateUnit(Refusal):
    """The same code of the same product is in the inventory already, or twice in one call."""

    status = 409
    error = "Conflict"
    code = "DUPLICATE_UNIT"
    default_message = "Duplicate voucher unit"


class FileRefused(Refusal):
    """The file as a whole cannot be imported; the message never quotes it."""

    code = "INVALID_FILE"


class RowProblem(Exception):
    """Why a row of a file is no unit, in fixed words that quote nothing of it."""


class BatchNotFound(NotFound):
    code = "BATCH_NOT_FOUND"
    default_message = "Batch not found"


class BatchClosed(Conflict):
    """The batch is not in a state that allows this."""

    code = "BATCH_STATE"
    default_message = "The batch is not in a state that allows this"


@dataclass(frozen=True, slots=True)
class Need:
    """So many units of one shelf; all of them or none when `all_or_nothing`, else what there is."""

    shelf: ShelfKey
    quantity: int
    all_or_nothing: bool = False


class Taken(NamedTuple):
    """A unit that now belongs to the caller. `expires_at` None: the brand sets no end."""

    unit_id: int
    expires_at: datetime | None
    sealed: bytes

    def __repr__(self) -> str:
        return f"Taken({self.unit_id})"


class Picked(NamedTuple):
    """A pool row locked by this transaction."""

    unit_id: int
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoredUnit:
    unit_id: int
    shelf: ShelfKey
    batch_id: int
    state: UnitState
    expires_at: datetime | None
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class NewUnit:
    """A unit about to enter the inventory. `fields`: voucher field to text; never in a repr."""

    shelf: ShelfKey
    fields: Mapping[str, str] = field(repr=False)
    expires_at: datetime | None = None
    cost_minor: int | None = None
    cost_currency: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Where units came from, and what became of the rows of its file."""

    batch_id: int
    source: BatchSource
    name: str
    status: BatchStatus
    state: BatchState
    rows_read: int
    # About how many there are; None where nobody can tell before the last was read.
    rows_expected: int | None
    loaded: int
    duplicate: int
    invalid: int
    error: str | None
    staff_id: int | None
    created_at: datetime
    touched_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that did not become a unit: DUPLICATE or INVALID, and why."""

    row_number: int
    outcome: str
    reason: str


@dataclass(frozen=True, slots=True)
class ShelfDepth:
    """One line of the staff's stock report; `next_expiry_at` is of the loaded units.

    No number was counted further than to `counted_to`: one that reaches it means so many or more.
    None: each was counted to its end.
    """

    shelf: ShelfKey
    loaded: int
    waiting: int
    blocked: int
    target: int | None
    next_expiry_at: datetime | None
    counted_to: int | None


@dataclass(slots=True)
class ShelfPumped:
    """What one pump did to one shelf. `depth` and `waiting` are as it left it."""

    shelf: ShelfKey
    target: int
    loaded: int = 0
    expired: int = 0
    short_lived: int = 0
    held_back: int = 0  # of a blocked or recalled batch
    depth: int = 0
    waiting: int = 0
    busy: bool = False  # another pump had it


@dataclass(frozen=True, slots=True)
class PumpReport:
    at: datetime
    shelves: list[ShelfPumped]

    @property
    def arrived(self) -> list[ShelfKey]:
        """Shelves that got stock."""
        return [done.shelf for done in self.shelves if done.loaded]

    def facts(self) -> dict[str, object]:
        """The report as JSON takes it."""
        shelves = [{**asdict(done), "shelf": done.shelf._asdict()} for done in self.shelves]
        return {"at": self.at.isoformat(), "shelves": shelves}


def asked(needs: Iterable[Need]) -> dict[ShelfKey, int]:
    """How many units of each distinct shelf, shelves in one fixed order for every process."""
    total: dict[ShelfKey, int] = {}
    for need in needs:
        assert need.quantity > 0, "a need asks for something"
        total[need.shelf] = total.get(need.shelf, 0) + need.quantity
    return dict(sorted(total.items()))


def deal(
    picked: Mapping[ShelfKey, Sequence[Picked]], needs: Sequence[Need]
) -> list[Sequence[Picked]]:
    """Hand the picks of each shelf out to the needs, in order of asking; one hand for each need.

    First come, first served, first-expiring-first. A need that wants all or nothing and cannot have
    all leaves what there is to the needs after it.
    """
    start: dict[ShelfKey, int] = {}
    hands: list[Sequence[Picked]] = []
    for need in needs:
        at = start.get(need.shelf, 0)
        hand = picked.get(need.shelf, ())[at : at + need.quantity]
        if need.all_or_nothing and len(hand) < need.quantity:
            hand = ()
        start[need.shelf] = at + len(hand)
        hands.append(hand)
    return hands


# What makes a unit itself, the first that it has; the others may repeat (PINs do).
IDENTITY_FIELDS = (
    "code",
    "card_number",
    "claim_url",
    "voucher_reference_number",
    "pin_code",
    "pin",
)
_SPACING = str.maketrans("", "", " -\t\u00a0")
_LINK = re.compile(r"https?://[^\s/]+\S*", re.ASCII)


def identity(fields: Mapping[str, str]) -> str:
    """The text whose twin is a duplicate: the code without spaces and hyphens, or the link."""
    for name in IDENTITY_FIELDS:
        value = fields.get(name, "")
        if value:
            return value if name == "claim_url" else value.translate(_SPACING) or value
    raise ValueError("a unit without any voucher field")


def is_link(value: str) -> bool:
    """Whether a `claim_url` leads to a page; whatever else it is would be clicked all the same."""
    return _LINK.fullmatch(value) is not None
