"""The order service: what other slices and the HTTP edge call."""

import itertools
from collections.abc import Iterable, Sequence
from time import perf_counter

import asyncpg

from rewards.audit import service as audit
from rewards.catalog.service import Catalog
from rewards.core.actor import Actor
from rewards.core.clock import Clock
from rewards.core.errors import Refusal, Unavailable
from rewards.infra import idempotency
from rewards.infra.crypto import Vault
from rewards.infra.db import Database, Tx
from rewards.infra.desk import Desk
from rewards.infra.idempotency import IdempotencyKeyInProgress
from rewards.infra.passwords import Passwords
from rewards.infra.settings import Settings
from rewards.inventory import service as inventory
from rewards.inventory.model import StoredUnit, Taken
from rewards.orders import facts, figures, sql_read
from rewards.orders.closing import CancelAsk, FailAsk
from rewards.orders.decide import KeyUse, PlaceAsk
from rewards.orders.filling import RetryAsk, retry
from rewards.orders.links import SealedLink
from rewards.orders.model import Item, ItemStatus, OrderNotFound
from rewards.orders.opening import opened
from rewards.orders.placing import Sources, place
from rewards.orders.refunds import cancel, fail, pay_owed
from rewards.orders.replay import ROUTE, Placed, replays
from rewards.orders.view import OrderOut, VoucherOut, linked, show

__all__ = [
    "ROUTE",
    "CancelAsk",
    "FailAsk",
    "Orders",
    "PlaceAsk",
    "Placed",
    "RetryAsk",
    "cancel",
    "fail",
    "pay_owed",
    "retry",
]


FINGERPRINT = "orders.idempotency"


class Orders:
    """Everything a process needs to place and show orders, wired once at start."""

    def __init__(
        self,
        db: Database,
        catalog: Catalog,
        sources: Sources,
        vault: Vault,
        clock: Clock,
        settings: Settings,
        passwords: Passwords,
    ) -> None:
        self.db = db
        self.catalog = catalog
        self.clock = clock
        self.settings = settings
        self.passwords = passwords
        self._vault = vault
        self._sources = sources
        self._desk: Desk[PlaceAsk, Placed] = Desk(
            self.place_batch,
            batch_max=settings.desk_batch_max,
            in_flight_max=settings.desk_batches_in_flight,
            queue_max=settings.desk_queue_max,
            name="orders",
            observe=figures.note_batch,
            # A twin waits for the next batch, where it finds the first one's answer.
            conflict_keys=lambda ask: (
                ((ask.key_use.client_id, ask.key_use.key),) if ask.key_use else ()
            ),
        )

    async def place_batch(self, asks: Sequence[PlaceAsk]) -> list[Placed | Refusal]:
        """Place the asks in one transaction, one answer each in order: what the desk does."""

        async def work(tx: Tx) -> list[Placed | Refusal]:
            return await self.place_in(tx, asks)

        began_s = perf_counter()
        try:
            answers = await self.db.run(work)
            figures.note_placed(asks, answers, perf_counter() - began_s)
            return answers
        except asyncpg.LockNotAvailableError:
            # Somebody held a client's wallets too long. The desk tries the members one by one, so
            # that only that client's wait is in vain.
            if len(asks) > 1:
                raise
            return [IdempotencyKeyInProgress() if asks[0].key_use else Unavailable()]

    async def place_in(self, tx: Tx, asks: Sequence[PlaceAsk]) -> list[Placed | Refusal]:
        """Place the asks in the caller's transaction."""
        return await place(tx, asks, self._sources, self.clock.now())

    async def place(self, ask: PlaceAsk) -> Placed:
        """Place one order through the desk. Raises its refusal, or Unavailable when it is full."""
        began_s = perf_counter()
        try:
            return await self._desk.submit(ask)
        finally:
            figures.note_served(perf_counter() - began_s)

    @property
    def takes(self) -> bool:
        """Whether the desk takes another order now."""
        return self._desk.takes

    async def first_answer(self, use: KeyUse, actor: Actor) -> Placed | None:
        """The first answer to a key, or None. Raises when the key came with another body."""
        async with self.db.transaction() as tx:
            links = self._sources.links
            [answer] = await replays(tx, [use], [actor], links, self.clock.now())
        if isinstance(answer, Refusal):
            raise answer
        return answer

    def fingerprint(self, raw: bytes, *, secret: bool) -> bytes:
        """What tells a body from another one under its key.

        Of a body with a secret it needs our key as well: nobody who reads the table of keys may try
        short passwords against it.
        """
        digest = idempotency.fingerprint(raw)
        return self._vault.mac(FINGERPRINT, digest) if secret else digest

    async def close(self, grace_s: float) -> None:
        """Finish what is on the desk; nothing is taken any more."""
        await self._desk.close(grace_s)

    async def show(self, placed: Placed) -> OrderOut:
        """The answer of a placed order, its vouchers opened."""
        if placed.order.link_type is not None:
            return show(placed.order, placed.items, await self._led_to(placed.items, placed.links))
        return show(placed.order, placed.items, await self._open(placed.units))

    async def _led_to(
        self, items: Iterable[Item], links: Sequence[SealedLink]
    ) -> dict[int, VoucherOut]:
        """By unit, the link that its end user gets instead of it."""
        urls = await self._sources.links.urls(links)
        shown = {
            link.position: linked(url, link.claim_before)
            for link, url in zip(links, urls, strict=True)
        }
        return {
            item.unit_id: shown[item.position]
            for item in items
            if item.unit_id is not None and item.position in shown
        }

    async def _open(self, units: Sequence[Taken | StoredUnit]) -> dict[int, VoucherOut]:
        vouchers = await opened(self._vault, units)
        return {unit.unit_id: shown for unit, shown in zip(units, vouchers, strict=True)}

    async def read(
        self, actor: Actor, client_id: int, order_id: int, *, opens: bool = True
    ) -> OrderOut:
        """The client's order with its vouchers. Opening them leaves an audit row (spec.md §4).

        Without `opens` it has none, and nothing is opened.

        Raises OrderNotFound, for another client's order as for an unknown one (D13).
        """
        async with self.db.transaction() as tx:
            order = await sql_read.read_clients_order(tx, client_id, order_id)
            if order is None:
                raise OrderNotFound
            items = (await sql_read.read_items(tx, [order_id]))[order_id]
            had = set(delivered_units(items)) if opens else set()
            units: list[StoredUnit] = []
            links: list[SealedLink] = []
            if order.link_type is None:
                stored = await inventory.read_units(tx, sorted(had))
                units = [unit for unit in stored if unit is not None]
            else:
                kept = {item.position for item in items if item.unit_id in had}
                found = await self._sources.links.find(tx, [order_id])
                links = [link for link in found if link.position in kept]
            if units or links:
                fact = facts.opening_fact(actor, order, len(units) + len(links))
                await audit.record(tx, [fact], self.clock.now())
        if links:
            return show(order, items, await self._led_to(items, links))
        return show(order, items, await self._open(units))


def delivered_units(items: Iterable[Item]) -> list[int]:
    """Units whose codes may be shown: delivered, and not taken back since."""
    return [
        item.unit_id
        for item in items
        if item.unit_id is not None and item.status is ItemStatus.DELIVERED
    ]


async def history(tx: Tx, client_id: int, order_id: int) -> list[sql_read.Step]:
    """Every act upon the client's order, oldest first. Raises OrderNotFound."""
    if await sql_read.read_clients_order(tx, client_id, order_id) is None:
        raise OrderNotFound
    return await sql_read.read_history(tx, order_id)


def split_path(step: sql_read.Step) -> list[tuple[str, str]]:
    """The (from, to) pairs of one act; the first act of an order comes from nowhere."""
    return list(itertools.pairwise(step.path))
