"""The vendors of a process: an adapter for each account, rebuilt within a second of a change."""

from dataclasses import dataclass
from time import monotonic

import aiohttp

from rewards.core.clock import Clock
from rewards.core.errors import Unavailable
from rewards.infra.changes import ChangeFeed
from rewards.infra.crypto import Vault
from rewards.infra.db import Database
from rewards.infra.settings import Settings
from rewards.vendors import service
from rewards.vendors.account import CHANGES_TOPIC, Account, AccountStatus
from rewards.vendors.asking import VendorTrouble, ask, sound_balances
from rewards.vendors.building import build
from rewards.vendors.model import Balance, VendorNotAvailable, VendorNotFound
from rewards.vendors.paused import Paused
from rewards.vendors.port import AdapterKind, Vendor
from rewards.vendors.recorder import DatabaseRecorder
from rewards.vendors.registry import ADAPTERS
from rewards.vendors.throttle import Throttle
from rewards.vendors.wire import Limits, Recorder

# A load that a change overtakes is thrown away and made again this often.
LOAD_MAX = 4
CHECK_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Known:
    """An account and the adapter that speaks for it."""

    account: Account
    kind: AdapterKind
    vendor: Vendor


@dataclass(frozen=True, slots=True)
class Checked:
    """Whether a vendor answers to our credentials; `problem` says why not and quotes no secret."""

    problem: str | None
    balances: tuple[Balance, ...]
    took_ms: int


class Accounts:
    """One a process. All adapters share one session; limits and breakers are each account's own."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        feed: ChangeFeed,
        settings: Settings,
        clock: Clock,
        session: aiohttp.ClientSession,
    ) -> None:
        self._db = db
        self._vault = vault
        self._feed = feed
        self._clock = clock
        self._session = session
        self._limits = Limits(settings.vendor_timeout_s, settings.vendor_connect_s)
        self._known: dict[int, Known] = {}
        # A change of an account must not give it a fresh set of calls.
        self._throttles: dict[int, Throttle] = {}
        self._drops = 0
        feed.subscribe(CHANGES_TOPIC, self._drop)

    async def vendor(self, vendor_id: int) -> Vendor:
        """The adapter of this account, as the account was less than a second ago.

        That of a paused account places nothing and reads on. Raises VendorNotFound,
        VendorNotAvailable for an adapter this version lacks, and Unavailable without a database.
        """
        return (await self.known(vendor_id)).vendor

    async def known(self, vendor_id: int) -> Known:
        """The account with its adapter, active or not. Raises as `vendor` does."""
        for _ in range(LOAD_MAX):
            if not self._feed.fresh:
                await self._feed.ensure_fresh()
            known = self._known.get(vendor_id)
            if known is not None:
                return known
            drops = self._drops
            async with self._db.connection() as connection:
                [held] = await service.read(connection, [vendor_id])
            if held is None:
                raise VendorNotFound
            secrets = await service.open_secrets(self._vault, held)
            # A change that came in while we read may be newer than what we read; and who built it
            # meanwhile has a token already.
            if drops == self._drops and vendor_id not in self._known:
                self._known[vendor_id] = self._build(held.account, secrets)
        raise Unavailable

    def recorder(self, vendor_id: int) -> Recorder:
        """Where what this vendor says by itself is kept."""
        return DatabaseRecorder(self._db, self._clock, vendor_id)

    async def check(self, vendor_id: int) -> Checked:
        """Ask the vendor for our balance, or its catalogue's first line, within CHECK_TIMEOUT_S.

        Works on a paused account. Raises VendorNotFound; every trouble with the vendor is told.
        """
        vendor = await self.vendor(vendor_id)
        began_s = monotonic()
        problem: str | None = None
        balances: tuple[Balance, ...] = ()
        at = self._clock.now()
        try:
            balances = await ask(_something(vendor), CHECK_TIMEOUT_S)
        except VendorTrouble as trouble:
            problem = str(trouble)
        if balances:
            async with self._db.transaction() as tx:
                await service.keep_balances(tx, vendor_id, balances, at)
        return Checked(problem, balances, int((monotonic() - began_s) * 1000))

    def expire(self) -> None:
        """Have the next look-up poll first: what this process just committed counts at once."""
        self._feed.expire()

    def _build(self, account: Account, secrets: dict[str, str]) -> Known:
        kind = ADAPTERS.get(account.adapter)
        if kind is None:
            # Of a version that knew it; nothing can be bought there with this one.
            raise VendorNotAvailable
        throttle = self._throttles.setdefault(account.id, Throttle(kind.rates))
        recorder = self.recorder(account.id)
        try:
            vendor = build(
                *(kind, account.config, secrets, self._session, recorder, throttle),
                *(self._limits, account.name),
            )
        except ValueError:
            # It could be built when it was set up, by another version.
            raise VendorNotAvailable from None
        paused = account.status is AccountStatus.PAUSED
        return Known(account, kind, Paused(vendor) if paused else vendor)

    async def _drop(self, vendor_ids: list[int]) -> None:
        self._drops += 1
        for vendor_id in vendor_ids:
            self._known.pop(vendor_id, None)


async def _something(vendor: Vendor) -> tuple[Balance, ...]:
    """Whatever shows that our credentials are right, and costs nothing."""
    if vendor.capabilities.balance:
        return await sound_balances(vendor)
    if not vendor.capabilities.catalogue:
        raise VendorTrouble("this vendor has nothing that can be asked without buying")
    async for _ in vendor.catalogue():
        break
    return ()
