"""Reports: what they may be of, how far they are, and what is refused; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

import msgspec

from rewards.core.errors import Conflict, NotFound
from rewards.staff.model import Permission

# A file shows what was true; after a week somebody wants another one.
LIFETIME = timedelta(days=7)
# Of one person, waiting or being written.
OPEN_MAX = 3
# Ids that one step goes through: a file of any size is written in the memory of one of them.
IDS_A_STEP = 5_000


class ReportKind(StrEnum):
    ORDERS = "ORDERS"
    TRANSACTIONS = "TRANSACTIONS"
    REFUNDS = "REFUNDS"
    STOCK_DEPTH = "STOCK_DEPTH"
    STOCK_MOVEMENTS = "STOCK_MOVEMENTS"
    DELIVERIES = "DELIVERIES"
    VENDOR_ORDERS = "VENDOR_ORDERS"


# What one must be allowed to see to have a file of it, besides making files at all.
NEEDS: Mapping[ReportKind, Permission] = MappingProxyType(
    {
        ReportKind.ORDERS: Permission.ORDERS_READ,
        ReportKind.TRANSACTIONS: Permission.WALLETS_READ,
        ReportKind.REFUNDS: Permission.WALLETS_READ,
        ReportKind.STOCK_DEPTH: Permission.INVENTORY_READ,
        ReportKind.STOCK_MOVEMENTS: Permission.INVENTORY_READ,
        ReportKind.DELIVERIES: Permission.WEBHOOKS_READ,
        ReportKind.VENDOR_ORDERS: Permission.VENDORS_READ,
    }
)
OF_CLIENTS = frozenset(
    {ReportKind.ORDERS, ReportKind.TRANSACTIONS, ReportKind.REFUNDS, ReportKind.DELIVERIES}
)


class ReportState(StrEnum):
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    # Its file is gone.
    EXPIRED = "EXPIRED"


OPEN_STATES = frozenset({ReportState.QUEUED, ReportState.RUNNING})


class Parameters(msgspec.Struct, frozen=True, omit_defaults=True, rename={"first_day": "from"}):
    """What of a kind: whole days in UTC, and whose; None leaves a filter open."""

    first_day: date | None = None
    to: date | None = None
    client_id: int | None = None
    vendor_id: int | None = None
    status: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A row of `reports`. Ids it goes through: behind `first_after`, up to `upto`."""

    id: int
    kind: ReportKind
    parameters: Parameters
    asked_by: int
    state: ReportState
    first_after: int | None
    position: int | None
    upto: int | None
    rows: int
    chunks: int
    bytes: int
    problem: str | None
    asked_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    expires_at: datetime | None

    @property
    def begun(self) -> bool:
        return self.position is not None

    @property
    def written(self) -> bool:
        """Whether all ids were gone through."""
        return self.begun and self.position == self.upto

    @property
    def estimated(self) -> int | None:
        """How many rows there are at most; None before anybody has looked."""
        if self.first_after is None or self.upto is None:
            return None
        return self.upto - self.first_after

    @property
    def progress(self) -> float:
        """From 0 to 1."""
        if self.state is ReportState.DONE:
            return 1.0
        if self.first_after is None or self.upto is None or self.position is None:
            return 0.0
        return (self.position - self.first_after) / max(self.upto - self.first_after, 1)


class ReportNotFound(NotFound):
    """Also for one that somebody else asked for."""

    code = "REPORT_NOT_FOUND"
    default_message = "Report not found"


class ReportNotReady(Conflict):
    """It is not written yet, was cancelled, failed, or is gone by now; `details` say which."""

    code = "REPORT_NOT_READY"
    default_message = "The report has no file"


class ReportEnded(Conflict):
    code = "REPORT_ENDED"
    default_message = "The report is not being made any more"


class TooManyReports(Conflict):
    """Wait for one of one's own to end, or cancel it."""

    code = "TOO_MANY_REPORTS"
    default_message = f"At most {OPEN_MAX} reports of one person are made at a time"
