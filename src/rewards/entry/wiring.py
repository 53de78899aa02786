"""Wires the machines and slices of one process together."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field

from rewards.catalog.catalog import Catalog
from rewards.claims.service import ClaimLinks
from rewards.claims.visiting import Claims
from rewards.clients.auth import Gate
from rewards.clients.directory import Directory
from rewards.clients.limits import Limiter
from rewards.clients.sessions import Sessions
from rewards.clients.tokens import AccessTokens
from rewards.core.clock import Clock, SystemClock
from rewards.core.errors import Refusal
from rewards.entry.figures import StoredFigures
from rewards.entry.purchasing import purchasing
from rewards.infra.address import Proxies
from rewards.infra.changes import ChangeFeed
from rewards.infra.crypto import CHANGES_TOPIC as DATA_KEYS_TOPIC
from rewards.infra.crypto import Vault
from rewards.infra.db import Database
from rewards.infra.passwords import Passwords
from rewards.infra.readiness import Part, Readiness, State
from rewards.infra.settings import Settings
from rewards.infra.targets import Targets
from rewards.inventory import service as inventory
from rewards.inventory.hints import PoolHints
from rewards.inventory.model import BatchSource
from rewards.inventory.pool import PoolReader
from rewards.orders.fulfilment import Fulfilment
from rewards.orders.mint import Mint
from rewards.orders.placing import Sources
from rewards.orders.service import Orders
from rewards.pricing.one_person import OnePersonLimit
from rewards.pricing.service import Prices
from rewards.restocks.service import Restocks
from rewards.staff.auth import StaffGate
from rewards.staff.imports import Imports
from rewards.staff.signing_in import SignIn
from rewards.staff.week import Week
from rewards.traffic.recorder import RequestLog
from rewards.vendors.accounts import Accounts
from rewards.vendors.purchases import Buyers
from rewards.vendors.wire import open_session
from rewards.wallets import service as wallets
from rewards.wallets.model import WalletStatus
from rewards.webhooks.acts import Webhooks
from rewards.webhooks.feed import Feed

# Whoever asked has been answered or given up before the desk is closed.
DESK_GRACE_S = 1.0
MINT_BATCH = "Minted for realtime orders"


@dataclass(frozen=True, slots=True)
class Parts:
    """What a process is made of; `api` and `worker` take from it what they need."""

    settings: Settings
    clock: Clock
    db: Database
    vault: Vault
    feed: ChangeFeed
    catalog: Catalog
    prices: Prices
    pool: PoolReader
    wallets_of: "WalletsOfClient"
    limiter: Limiter
    proxies: Proxies
    sessions: Sessions
    directory: Directory
    gate: Gate
    staff_gate: StaffGate
    signin: SignIn
    orders: Orders
    passwords: Passwords
    imports: Imports
    accounts: Accounts
    fulfilment: Fulfilment
    restocks: Restocks
    buyers: Buyers
    webhooks: Webhooks
    links: ClaimLinks
    claims: Claims
    events: Feed
    requests: RequestLog
    figures: StoredFigures
    readiness: Readiness
    money_limit: OnePersonLimit
    week: Week = field(default_factory=Week)


class WalletsOfClient:
    """Which currencies a client can pay in, for a quote."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def currency_of(self, client_id: int, wallet_id: int) -> str:
        """The currency of the client's wallet. Raises `Wallet not found` for any other (D13)."""
        async with self._db.connection() as connection:
            [wallet] = await wallets.get(connection, [wallet_id], client_id=client_id)
        if isinstance(wallet, Refusal):
            raise wallet
        return wallet.currency

    async def currencies(self, client_id: int) -> Sequence[str]:
        """Of all wallets the client could pay from, the oldest wallet first."""
        async with self._db.connection() as connection:
            held = await wallets.list_for_client(connection, client_id)
        return [wallet.currency for wallet in held if wallet.status is WalletStatus.ACTIVE]


@asynccontextmanager
async def open_parts(
    dsn: str, settings: Settings, clock: Clock | None = None
) -> AsyncIterator[Parts]:
    """Connect, load what is cached, and close it all in reverse order. The schema must be there."""
    clock = clock or SystemClock()
    async with AsyncExitStack() as stack:
        db, vault, feed = await _opened(stack, dsn, settings)
        catalog = Catalog(db, feed, mints=settings.sandbox)
        prices = Prices(db, feed, settings)
        tokens = AccessTokens(vault)
        directory = Directory(db, vault, feed, clock, tokens)
        # Before the feed starts: it must hear of every change from the first one on.
        session = await stack.enter_async_context(open_session())
        accounts = Accounts(db, vault, feed, settings, clock, session)
        await _loaded(stack, feed, vault, catalog, prices)
        limiter = _limiter(stack, settings, clock)
        passwords = stack.enter_context(closing(Passwords()))
        proxies = Proxies(settings.trusted_proxies)
        links = ClaimLinks(vault, settings)
        sources = Sources(prices, await _mint(db, vault, clock, settings), PoolHints(), links)
        orders = Orders(db, catalog, sources, vault, clock, settings, passwords)
        stack.push_async_callback(orders.close, DESK_GRACE_S)
        gate = StaffGate(db, feed, vault, clock, proxies, settings)
        imports = Imports(db, vault, catalog, clock)
        stack.push_async_callback(imports.close)
        bought = purchasing(db, catalog, vault, accounts, prices, clock, settings)
        yield Parts(
            settings=settings,
            clock=clock,
            db=db,
            vault=vault,
            feed=feed,
            catalog=catalog,
            prices=prices,
            pool=PoolReader(db, clock),
            wallets_of=WalletsOfClient(db),
            limiter=limiter,
            proxies=proxies,
            sessions=Sessions(db, tokens, passwords, limiter, clock),
            directory=directory,
            gate=Gate(directory, proxies, clock),
            staff_gate=gate,
            signin=SignIn(db, vault, clock, passwords, proxies, limiter, gate),
            orders=orders,
            passwords=passwords,
            imports=imports,
            accounts=accounts,
            fulfilment=bought.fulfilment,
            restocks=bought.restocks,
            buyers=bought.buyers,
            webhooks=Webhooks(db, vault, clock, Targets.from_settings(settings)),
            links=links,
            claims=Claims(db, vault, passwords, clock),
            events=Feed(db, wait_max_s=settings.event_wait_max_s),
            requests=_request_log(stack, db, clock),
            figures=_figures(stack, db, catalog, clock),
            readiness=_readiness(stack, db, feed, orders, settings),
            money_limit=_money_limit(settings, prices),
        )


async def _loaded(
    stack: AsyncExitStack, feed: ChangeFeed, vault: Vault, catalog: Catalog, prices: Prices
) -> None:
    """Hear of changes from now on, and then read what is cached as it stands."""
    feed.subscribe(DATA_KEYS_TOPIC, lambda _: vault.refresh())
    await feed.start()
    stack.push_async_callback(feed.stop)
    await catalog.load()
    await prices.load()


def _request_log(stack: AsyncExitStack, db: Database, clock: Clock) -> RequestLog:
    made = RequestLog(db, clock)
    made.start()
    stack.push_async_callback(made.close)
    return made


async def _opened(
    stack: AsyncExitStack, dsn: str, settings: Settings
) -> tuple[Database, Vault, ChangeFeed]:
    db = await Database.connect(dsn, settings)
    stack.push_async_callback(db.close)
    return db, await Vault.open_database(db, settings), ChangeFeed(db)


def _money_limit(settings: Settings, prices: Prices) -> OnePersonLimit:
    return OnePersonLimit(
        settings.money_approval_limit_minor, settings.money_approval_currency, prices
    )


def _figures(stack: AsyncExitStack, db: Database, catalog: Catalog, clock: Clock) -> StoredFigures:
    stored = StoredFigures(db, catalog, clock)
    stack.push_async_callback(stored.close)
    return stored


def _readiness(
    stack: AsyncExitStack, db: Database, feed: ChangeFeed, orders: Orders, settings: Settings
) -> Readiness:
    looks = {Part.DESK: lambda: State.OK if orders.takes else State.FULL}
    readiness = Readiness(db, feed, looks, worker_silent_s=settings.alert_worker_silent_s)
    stack.push_async_callback(readiness.close)
    return readiness


def _limiter(stack: AsyncExitStack, settings: Settings, clock: Clock) -> Limiter:
    limiter = Limiter.from_settings(settings, clock)
    stack.push_async_callback(limiter.close)
    return limiter


async def _mint(db: Database, vault: Vault, clock: Clock, settings: Settings) -> Mint:
    return Mint(vault, await _mint_batch(db, clock) if settings.sandbox else None)


async def _mint_batch(db: Database, clock: Clock) -> int:
    """What this process mints in the sandbox belongs to one batch of its own."""
    async with db.transaction() as tx:
        return await inventory.open_batch(tx, BatchSource.SANDBOX, MINT_BATCH, clock.now())
