"""A vendor whose account is paused: nothing new is bought, what was bought is still read back."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from rewards.vendors.model import (
    Balance,
    BookLine,
    Callback,
    Line,
    Offer,
    Outcome,
    Purchase,
    Reason,
    Refused,
)
from rewards.vendors.port import Vendor

ASK_AGAIN_S = 60.0


class Paused:
    """Refuses to place for now, as a vendor that is down; all else is the vendor's own."""

    def __init__(self, vendor: Vendor) -> None:
        self._vendor = vendor
        self.capabilities = vendor.capabilities

    def key(self, fresh: UUID) -> str:
        return self._vendor.key(fresh)

    async def place(self, key: str, line: Line) -> Outcome:
        return Refused(Reason.VENDOR_DOWN, "the vendor account is paused", ASK_AGAIN_S)

    async def read(self, purchase: Purchase) -> Outcome:
        return await self._vendor.read(purchase)

    async def balances(self) -> Sequence[Balance]:
        return await self._vendor.balances()

    def catalogue(self) -> AsyncIterator[Offer]:
        return self._vendor.catalogue()

    def book(self, since: datetime, until: datetime) -> AsyncIterator[BookLine]:
        return self._vendor.book(since, until)

    def callback(self, headers: Mapping[str, str], body: bytes) -> Callback:
        return self._vendor.callback(headers, body)
