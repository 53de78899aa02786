"""The one shape every vendor has here; adapters fill it in."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeAlias
from uuid import UUID

from rewards.vendors.model import (
    Balance,
    BookLine,
    Callback,
    Capabilities,
    Line,
    Offer,
    Outcome,
    Purchase,
    Reason,
)
from rewards.vendors.throttle import Rate
from rewards.vendors.wire import Wire


class Vendor(Protocol):
    """One account with one vendor.

    `place` and `read` answer every trouble as an Outcome. What has no outcome (catalogue, balance)
    raises NotSent or NoAnswer from `wire`, or VendorRefused.
    """

    capabilities: Capabilities

    def key(self, fresh: UUID) -> str:
        """Our name for a new purchase in the form this vendor takes; unique when `fresh` is."""
        ...

    async def place(self, key: str, line: Line) -> Outcome:
        """Buy. Called at most once for a key, unless the answer was a transient refusal.

        Accepted, Delivered or Refused only when the vendor said so. A timeout, a dropped
        connection, a 5xx, garbage and "this key was used already" are Unknown.
        """
        ...

    async def read(self, purchase: Purchase) -> Outcome:
        """What became of a purchase, by its key (or `vendor_ref`); asks and buys nothing.

        Accepted: it is with the vendor, come again. Delivered: with all codes. Refused: the vendor
        says this order failed for good. NotKnown: no such order there. Unknown: anything else, such
        as no answer, bad credentials, asked too often; come again.
        """
        ...

    async def balances(self) -> Sequence[Balance]:
        """What is left to buy with."""
        ...

    def catalogue(self) -> AsyncIterator[Offer]:
        """Everything the account may buy, page by page."""
        ...

    def book(self, since: datetime, until: datetime) -> AsyncIterator[BookLine]:
        """What the vendor sold us in that time, page by page; a little more does no harm."""
        ...

    def callback(self, headers: Mapping[str, str], body: bytes) -> Callback:
        """What a message from the vendor speaks of. Raises CallbackRefused.

        Header names come in lower case.
        """
        ...


Build: TypeAlias = Callable[[Mapping[str, str], Mapping[str, str], Wire], Vendor]


@dataclass(frozen=True, slots=True)
class Field:
    """One setting of a vendor account."""

    name: str
    about: str
    default: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterKind:
    """What the registry knows of an adapter; each adapter module has one as `KIND`."""

    name: str
    build: Build = field(repr=False)
    # `base_url` is one of them always.
    config: tuple[Field, ...]
    secrets: tuple[Field, ...]
    # JSON keys and query names whose values may be kept of an exchange; all others are masked.
    safe: frozenset[str]
    # Client-side limits by call name; "*" for all calls together.
    rates: Mapping[str, Rate] = field(default_factory=dict)
    # None where they differ from account to account.
    capabilities: Capabilities | None = None


class VendorRefused(Exception):
    """The vendor said no to something that is not a purchase; the words quote no secret."""


def keeps_no_book(_vendor: object, _since: datetime, _until: datetime) -> AsyncIterator[BookLine]:
    """`book` of a vendor that lists no orders."""
    raise VendorRefused("this vendor does not list orders")


class SignInRefused(VendorRefused):
    """The vendor said a clear no to who we are, so whatever else was wanted was not sent."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
