"""Buying what the pool lacks: approval by staff (or a product's flag), for one order or many."""

from collections.abc import Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from uuid import uuid4

from rewards.audit import service as audit
from rewards.catalog.catalog import Catalog
from rewards.core.actor import SYSTEM, Actor
from rewards.core.clock import Clock
from rewards.core.errors import Conflict, Refusal
from rewards.infra.db import Database, Tx
from rewards.orders import facts, flagged, model, sql, sql_read
from rewards.orders.model import (
    DeliverByPassed,
    Item,
    ItemStatus,
    OnPartial,
    Order,
    OrderNotFound,
    State,
)
from rewards.orders.sql import Move
from rewards.orders.vendor_limit import ApprovalLimit, Lately, Spent, lacking_minor
from rewards.vendors import purchases
from rewards.vendors.buying import AdapterSource
from rewards.vendors.model import (
    FOR_ORDERS,
    Line,
    Offer,
    PurchaseUnderWay,
    Purpose,
    Source,
    VendorNotAvailable,
)
from rewards.vendors.port import Vendor
from rewards.vendors.purchases import PurchaseAsk

# Where a vendor may be asked: the pool had its look, and nobody else is at work.
APPROVABLE = frozenset({model.WAITING, model.VENDOR_FAILED, model.REPROCESS_EXPIRED, model.PARTIAL})


# Where a product's flag asks by itself: after a miss, never after a vendor said no.
FLAGGED_STATES = frozenset({model.WAITING, model.PARTIAL})
CHUNK_MAX = 20
SWEEP_MAX = 10_000


class OrderNotApprovable(Conflict):
    code = "ORDER_NOT_APPROVABLE"

    def __init__(self, state: State) -> None:
        super().__init__(
            f"Order is {state}; no vendor can be asked for it",
            details={"status": state.status, "sub_status": state.sub_status},
        )


@dataclass(frozen=True, slots=True)
class ApproveAsk:
    """Have a vendor deliver what an order still lacks; None asks the first source that can.

    `agreed`: a second person did, so that the limit does not count.
    """

    order_id: int
    actor: Actor
    reason: str | None
    vendor: str | None = None
    agreed: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """A source with its adapter, and what its catalogue said of it when it was last read.

    `offer`: None where the vendor has no catalogue, or one that is newer than what was read.
    """

    source: Source
    vendor: Vendor
    offer: Offer | None


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What approving would commit to: so many units from this source, for the order as it is.

    `second_person`: nothing yet, another must agree first.
    """

    order: Order
    source: Source
    quantity: int
    second_person: bool


@dataclass(frozen=True, slots=True)
class Fulfilment:
    """Approves vendor orders. Nothing here calls a vendor: it commits to what a worker will ask."""

    db: Database
    catalog: Catalog
    accounts: AdapterSource
    clock: Clock
    window: timedelta
    limit: ApprovalLimit

    async def approve(self, asks: Sequence[ApproveAsk]) -> list[Order | Refusal]:
        """Commit to one vendor order for each; answers the orders as they stand now.

        Refused, each by itself and with no effect: unknown order (404), one that waits for nobody
        or that a vendor is delivering for (409), one whose `deliver_by` has passed (409: the worker
        is about to cancel and refund it), a vendor that does not sell this product, value or
        quantity, is paused or unknown (409); AboveLimit for what takes a second person.
        """
        choices = await self.choices([ask.order_id for ask in asks])

        async def work(tx: Tx) -> list[Order | Refusal]:
            return await self.approve_in(tx, asks, choices)

        return await self.db.run(work)

    async def approve_in(
        self,
        tx: Tx,
        asks: Sequence[ApproveAsk],
        choices: Mapping[int, Sequence[Choice]],
        lately: Lately | None = None,
    ) -> list[Order | Refusal]:
        """`approve` in the caller's transaction, with the sources looked up before it.

        `lately`: what whoever asks had delivered alone before, by client; it counts as well. None:
        nobody's name stands for it, and it counts with what products' flags bought (ADR 0038).
        """
        assert len({ask.order_id for ask in asks}) == len(asks), "one act an order"
        locked = await sql.lock_orders(tx, [ask.order_id for ask in asks])
        at = model.moment_of_act(self.clock.now(), locked.values())
        clients = {order.client_id for order in locked.values()}
        spent: Spent = {}
        if not all(ask.agreed for ask in asks):
            spent = await (lately or partial(flagged.spent, at=at))(tx, clients)
        under_way = await purchases.under_way(tx, FOR_ORDERS, locked)
        answers: dict[int, Order | Refusal] = {}
        items = await sql_read.read_items(
            tx, [order.id for order in locked.values() if order.recharge], ItemStatus.PENDING
        )
        going: list[tuple[ApproveAsk, Order, list[PurchaseAsk]]] = []
        for ask in asks:
            order = locked.get(ask.order_id)
            chosen = _choose(ask, order, under_way, choices, at)
            if not isinstance(chosen, Refusal) and order is not None and not ask.agreed:
                chosen = self.limit.check(order, at, spent.get(order.client_id, ())) or chosen
            if isinstance(chosen, Refusal) or order is None:
                answers[ask.order_id] = chosen if isinstance(chosen, Refusal) else OrderNotFound()
                continue
            if not ask.agreed:
                worth = (lacking_minor(order), order.product_currency)
                spent.setdefault(order.client_id, []).append(worth)
            planned = _plan(ask, order, chosen, items.get(order.id, ()), self.window)
            going.append((ask, order, planned))
        await purchases.prepare(tx, [each for _, _, planned in going for each in planned], at)
        await _note(tx, going, at)
        if lately is None:
            await flagged.note(tx, [order for ask, order, _ in going if not ask.agreed], at)
        after = await sql_read.read_orders(tx, [order.id for _, order, _ in going])
        return [answers.get(ask.order_id) or after[ask.order_id] for ask in asks]

    async def foresee(
        self, asks: Sequence[ApproveAsk], lately: Lately | None = None
    ) -> list[Foreseen | Refusal]:
        """What `approve` would do now, without locks and without a trace; refused as it refuses,
        but for what takes a second person. `lately` as for `approve_in`."""
        choices = await self.choices([ask.order_id for ask in asks])
        async with self.db.connection() as connection:
            found = await sql_read.read_orders(connection, [ask.order_id for ask in asks])
            under_way = await purchases.under_way(connection, FOR_ORDERS, found)
            clients = {order.client_id for order in found.values()}
            spent = await lately(connection, clients) if lately else {}
        at = self.clock.now()
        answers: list[Foreseen | Refusal] = []
        for ask in asks:
            order = found.get(ask.order_id)
            chosen = _choose(ask, order, under_way, choices, at)
            if order is None or isinstance(chosen, Refusal):
                answers.append(chosen if isinstance(chosen, Refusal) else OrderNotFound())
            else:
                by_client = spent.setdefault(order.client_id, [])
                above = not ask.agreed and self.limit.check(order, at, by_client) is not None
                if not above:
                    by_client.append((lacking_minor(order), order.product_currency))
                answers.append(Foreseen(order, chosen.source, order.missing, above))
        return answers

    async def approve_flagged(self, order_ids: Sequence[int]) -> None:
        """Ask a vendor for those whose product is flagged ALLOW_AUTO_VENDOR_FULFILL, once.

        One that was refused or failed waits for staff like any other; so does one above the limit,
        by itself or with what was bought so for the same client within 24 hours (ADR 0038).
        """
        async with self.db.connection() as connection:
            orders = await sql_read.read_orders(connection, order_ids)
        found = [order.id for order in orders.values() if self._for_its_flag(order)]
        if not found:
            return
        choices = await self.choices(found)

        async def work(tx: Tx) -> None:
            # Under the lock: another worker may have asked, and been refused, since then.
            locked = await sql.lock_orders(tx, found)
            asked = await purchases.ever(tx, FOR_ORDERS, locked)
            asks = [
                ApproveAsk(order.id, SYSTEM, "ALLOW_AUTO_VENDOR_FULFILL")
                for order in locked.values()
                if order.id not in asked and self._for_its_flag(order)
            ]
            if asks:
                await self.approve_in(tx, asks, choices)

        await self.db.run(work)

    async def sweep_flagged(self) -> int:
        """Find flagged orders whose job was lost, or that a later look into the pool left short."""
        product_ids = [p.id for p in self.catalog.products() if self._flagged(p.id)]
        sub_statuses = sorted(state.sub_status for state in FLAGGED_STATES)
        after_id = seen = 0
        while product_ids and seen < SWEEP_MAX:
            async with self.db.connection() as connection:
                found = await sql_read.waiting_for_products(
                    *(connection, sub_statuses, product_ids, after_id, CHUNK_MAX)
                )
            if not found:
                break
            await self.approve_flagged(found)
            after_id, seen = found[-1], seen + len(found)
        return seen

    def _for_its_flag(self, order: Order) -> bool:
        return order.state in FLAGGED_STATES and self._flagged(order.product_id)

    def _flagged(self, product_id: int) -> bool:
        product = self.catalog.product(product_id)
        return product is not None and product.active and product.allow_auto_vendor_fulfill

    async def choices(self, order_ids: Sequence[int]) -> dict[int, list[Choice]]:
        """By product: every source of what these orders are for, with its adapter."""
        async with self.db.connection() as connection:
            orders = await sql_read.read_orders(connection, order_ids)
            products = sorted({order.product_id for order in orders.values()})
            found = await purchases.sources(connection, products)
            offers = await purchases.offers(
                connection, [source for sources in found.values() for source in sources]
            )
        return {
            product_id: await with_adapters(self.accounts, sources, offers)
            for product_id, sources in found.items()
        }


async def with_adapters(
    accounts: AdapterSource,
    sources: Sequence[Source],
    offers: Mapping[tuple[int, str], Offer],
) -> list[Choice]:
    """Each source with its adapter; those this version has no adapter for stand in nobody's way."""
    found = []
    for source in sources:
        with suppress(VendorNotAvailable):
            vendor = await accounts.vendor(source.vendor_id)
            found.append(Choice(source, vendor, offers.get((source.vendor_id, source.sku))))
    return found


def _choose(
    ask: ApproveAsk,
    order: Order | None,
    under_way: Container[int],
    choices: Mapping[int, Sequence[Choice]],
    at: datetime,
) -> Choice | Refusal:
    """The vendor to ask, or why none may be asked."""
    if order is None:
        return OrderNotFound()
    if order.id in under_way:
        return PurchaseUnderWay()
    if order.state not in APPROVABLE:
        return OrderNotApprovable(order.state)
    if order.late(at):
        return DeliverByPassed()
    for choice in choices.get(order.product_id, ()):
        if ask.vendor in (None, choice.source.vendor) and why_not(choice, order) is None:
            return choice
    return VendorNotAvailable()


def _plan(
    ask: ApproveAsk, order: Order, chosen: Choice, items: Sequence[Item], window: timedelta
) -> list[PurchaseAsk]:
    """What to buy: the whole of what is missing, or each waiting recharge by itself."""
    quantity = 1 if order.recharge else min(order.missing, chosen.vendor.capabilities.quantity_max)
    whole = PurchaseAsk(
        vendor_id=chosen.source.vendor_id,
        key=chosen.vendor.key(uuid4()),
        purpose=Purpose.ORDER,
        subject_id=order.id,
        line=Line(
            chosen.source.sku,
            order.denomination_minor,
            order.product_currency,
            quantity,
            order.mobile,
        ),
        window=window,
        remaining=order.missing - quantity,
        asked_by=ask.actor.id,
    )
    if not order.recharge:
        return [whole]
    return [
        replace(
            whole,
            key=chosen.vendor.key(uuid4()),
            purpose=Purpose.RECHARGE,
            position=item.position,
            remaining=0,
        )
        for item in items
    ]


def why_not(choice: Choice, order: Order) -> str | None:
    """Why this vendor cannot be asked for what the order lacks, in parts if need be; None: it can.

    For stock the same is decided in `restocks.model.why_not`.
    """
    capable = choice.vendor.capabilities
    if not choice.source.active:
        return "the vendor, or this product of it, is paused"
    if order.recharge and not capable.recharges:
        return "the vendor does not recharge"
    if not order.recharge and capable.recharges_only:
        return "the vendor only recharges"
    whole = order.recharge or order.on_partial is OnPartial.KEEP
    if not whole and order.missing > capable.quantity_max:
        return "the order wants all or nothing, and the vendor cannot deliver so many at once"
    if choice.offer is None:
        return None
    return choice.offer.why_not(order.denomination_minor, order.product_currency)


async def _note(
    tx: Tx, going: Sequence[tuple[ApproveAsk, Order, list[PurchaseAsk]]], at: datetime
) -> None:
    """The history says who asked which vendor; the order stays where it is until it answers."""
    moves = [
        Move(order, _touched(order, at), (order.state,), ask.actor, ask.reason)
        for ask, order, _ in going
    ]
    await sql.move_orders(tx, moves)
    await audit.record(
        tx,
        [
            facts.approval_fact(move.after, move.actor, planned, move.reason)
            for move, (_, _, planned) in zip(moves, going, strict=True)
        ],
        at,
    )


def _touched(order: Order, at: datetime) -> Order:
    return replace(order, changed_at=at)
