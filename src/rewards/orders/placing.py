"""Places orders: money, stock, history, audit and events in one transaction (spec.md §3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from rewards.audit import service as audit
from rewards.catalog.model import ShelfKey
from rewards.core import ids
from rewards.core.errors import Refusal
from rewards.infra import idempotency, jobs
from rewards.infra.db import Tx
from rewards.inventory import service as inventory
from rewards.inventory.hints import PoolHints
from rewards.inventory.model import Need, Taken
from rewards.orders import facts, model, sql
from rewards.orders.decide import Payer, PlaceAsk, Purse, Quote, decide
from rewards.orders.links import LinkAsk, LinkMaker, SealedLink, link_type_of
from rewards.orders.mint import Mint
from rewards.orders.model import (
    Item,
    ItemStatus,
    OnPartial,
    Order,
    RechargeStatus,
    State,
    Tier,
)
from rewards.orders.replay import ROUTE, Placed, first_answer, replays
from rewards.orders.sql import NewOrder
from rewards.pricing.service import PricedClient, Prices
from rewards.wallets import service as wallets
from rewards.wallets.model import Posting, TransferKind, Wallet
from rewards.webhooks import service as webhooks
from rewards.webhooks.model import Event, EventType

FILL_JOB = jobs.declare("orders.fill")
FLAGGED_JOB = jobs.declare("orders.buy_flagged")


@dataclass(frozen=True, slots=True)
class Sources:
    """What placing draws on besides the database: prices, minted codes, where the pool begins, and
    whoever makes claim links."""

    prices: Prices
    mint: Mint
    hints: PoolHints
    links: LinkMaker


async def place(
    tx: Tx, asks: Sequence[PlaceAsk], sources: Sources, at: datetime
) -> list[Placed | Refusal]:
    """Place each ask in turn; a fixed number of statements however many there are.

    Answers in order: the order, the first answer to a repeated key, or a refusal (wallet not found,
    duplicate reference, stale rate, insufficient funds, key reused with another body), which
    leaves nothing.
    """
    # The client's wallets are locked first: from here on one client's orders stand in line, and
    # what is read next (keys, references, funds) cannot change under us, from any process.
    locked = await wallets.lock(tx, sorted({ask.client_id for ask in asks}))
    answers: list[Placed | Refusal | None] = list(
        await replays(
            tx, [ask.key_use for ask in asks], [ask.actor for ask in asks], sources.links, at
        )
    )
    fresh = [n for n, answer in enumerate(answers) if answer is None]
    if fresh:
        placed = await _place_fresh(tx, [asks[n] for n in fresh], locked, sources, at)
        for n, answer in zip(fresh, placed, strict=True):
            answers[n] = answer
    return [answer for answer in answers if answer is not None]


async def _place_fresh(
    tx: Tx,
    asks: Sequence[PlaceAsk],
    locked: Sequence[Wallet],
    sources: Sources,
    at: datetime,
) -> list[Placed | Refusal]:
    reserved = await sql.reserve_ids(tx, [(ask.client_id, ask.ref) for ask in asks])
    payers = decide(
        asks,
        [order_id for order_id, _ in reserved],
        [twin_id for _, twin_id in reserved],
        Purse(locked),
        [_quote(sources.prices, ask, at) for ask in asks],
    )
    granted = [n for n, payer in enumerate(payers) if isinstance(payer, Payer)]
    if not granted:
        return [payer for payer in payers if isinstance(payer, Refusal)]
    drafts = [
        Draft(asks[n], payer, reserved[n][0])
        for n in granted
        if isinstance(payer := payers[n], Payer)
    ]
    placed = iter(await _book(tx, drafts, locked, sources, at))
    return [payer if isinstance(payer, Refusal) else next(placed) for payer in payers]


def _quote(prices: Prices, ask: PlaceAsk, at: datetime) -> Quote:
    client = PricedClient(ask.client_id, ask.conversion_fee_percent)
    return partial(
        prices.quote, ask.product, ask.denomination_minor, ask.quantity, client=client, at=at
    )


@dataclass(frozen=True, slots=True)
class Draft:
    """A granted ask on its way to becoming an order."""

    ask: PlaceAsk
    payer: Payer
    order_id: int

    @property
    def shelf(self) -> ShelfKey:
        product = self.ask.product
        return ShelfKey(product.id, self.ask.denomination_minor, product.currency)


async def _book(
    tx: Tx,
    drafts: Sequence[Draft],
    locked: Sequence[Wallet],
    sources: Sources,
    at: datetime,
) -> list[Placed | Refusal]:
    units = await _take_units(tx, drafts, sources, at)
    purses = {wallet.id: wallet for wallet in locked}
    debits = [_debit(draft) for draft in drafts]
    posted = await wallets.post(tx, purses, debits, at)
    new = [
        _draw_up(draft, row.transfer_id, taken, at)
        for draft, row, taken in zip(drafts, posted, units, strict=True)
    ]
    await sql.insert_orders(tx, new, at)
    links = await _make_links(tx, new, units, sources.links, at)
    await audit.record(
        tx,
        [
            facts.audit_fact("order.placed", row.order, row.path, draft.ask.actor)
            for draft, row in zip(drafts, new, strict=True)
        ],
        at,
    )
    low = wallets.low_balance_events(purses, debits, posted)
    await webhooks.emit(tx, [e for row in new for e in _placing_events(row.order)] + low, at)
    await _remember_keys(tx, drafts, new, at)
    await jobs.enqueue(tx, _jobs(drafts, new))
    return [
        Placed(row.order, _items(row, at), tuple(taken), tuple(links.get(row.order.id, ())))
        for row, taken in zip(new, units, strict=True)
    ]


async def _make_links(
    tx: Tx,
    new: Sequence[NewOrder],
    units: Sequence[Sequence[Taken]],
    maker: LinkMaker,
    at: datetime,
) -> dict[int, list[SealedLink]]:
    """The claim links of what these orders got at once, by order; most batches want none."""
    asks = [
        LinkAsk(row.order.id, position, unit.expires_at)
        for row, taken in zip(new, units, strict=True)
        if row.order.link_type is not None
        for position, unit in enumerate(taken, start=1)
    ]
    found: dict[int, list[SealedLink]] = {}
    for link in await maker.make(tx, asks, at) if asks else ():
        found.setdefault(link.order_id, []).append(link)
    return found


async def _take_units(
    tx: Tx, drafts: Sequence[Draft], sources: Sources, at: datetime
) -> list[list[Taken]]:
    mint = sources.mint
    at_once = [draft for draft in drafts if draft.ask.tier is Tier.REQUEST]
    needs = [
        Need(
            draft.shelf,
            draft.ask.quantity,
            draft.ask.on_partial is OnPartial.ALL_OR_NOTHING and not mint.covers(draft.ask.product),
        )
        for draft in at_once
    ]
    taken = dict(
        zip(
            (draft.order_id for draft in at_once),
            await inventory.allocate(tx, needs, at, sources.hints),
            strict=True,
        )
    )
    for draft in at_once:
        short = draft.ask.quantity - len(taken[draft.order_id])
        if short and mint.covers(draft.ask.product):
            taken[draft.order_id] += await mint.mint(tx, draft.ask.product, draft.shelf, short, at)
    return [taken.get(draft.order_id, []) for draft in drafts]


def _jobs(drafts: Sequence[Draft], new: Sequence[NewOrder]) -> list[jobs.JobAsk]:
    """11 to 50 are filled by the worker; a miss of a flagged product may be bought (spec.md §4)."""
    asks = []
    for draft, row in zip(drafts, new, strict=True):
        state, product = row.order.state, draft.ask.product
        if state == model.PROCESSING:
            asks.append(jobs.JobAsk(FILL_JOB, {"order_id": row.order.id}))
        elif state in (model.WAITING, model.PARTIAL) and product.allow_auto_vendor_fulfill:
            asks.append(jobs.JobAsk(FLAGGED_JOB, {"order_id": row.order.id}))
    return asks


def _debit(draft: Draft) -> Posting:
    charge = draft.payer.charge
    converted = charge.forex_rate is not None
    return Posting(
        wallet_id=draft.payer.wallet.id,
        kind=TransferKind.ORDER,
        amount_minor=-charge.payable_minor,
        order_id=draft.order_id,
        reference=draft.ask.ref,
        source_currency=charge.source_currency if converted else None,
        forex_rate=charge.forex_rate,
        conversion_fee_minor=charge.conversion_fee_minor if converted else None,
    )


def _path(draft: Draft, taken: int) -> tuple[State, ...]:
    if draft.ask.tier is Tier.BULK:
        return model.walk(model.PLACED, model.BULK)
    if draft.ask.tier is Tier.FILLED:
        return model.walk(model.PLACED, model.PROCESSING)
    linked = link_type_of(draft.ask.product) is not None
    path = outcome_path(taken, draft.ask.quantity, linked=linked)
    # Here and now its links are made as well.
    made = (model.UNCLAIMED,) if path[-1] == model.LINK_PENDING else ()
    return model.walk(model.PLACED, *path, *made)


def outcome_path(fulfilled: int, wanted: int, *, linked: bool) -> tuple[State, ...]:
    """Where a look into the pool leads (D8): everything, something, or nothing."""
    if fulfilled == 0:
        return (model.WAITING,)
    whole = model.LINK_PENDING if linked else model.COMPLETED
    return (model.ON_HAND, whole if fulfilled == wanted else model.PARTIAL)


def _draw_up(draft: Draft, transaction_id: int, taken: Sequence[Taken], at: datetime) -> NewOrder:
    ask, charge = draft.ask, draft.payer.charge
    path = _path(draft, len(taken))
    state = path[-1]
    order = Order(
        id=draft.order_id,
        client_id=ask.client_id,
        ref=ask.ref or ids.auto_ref(at),
        transaction_id=transaction_id,
        wallet_id=draft.payer.wallet.id,
        currency=draft.payer.wallet.currency,
        amount_minor=charge.payable_minor,
        discount_minor=charge.discount_minor,
        fees_minor=charge.handling_fee_minor + charge.conversion_fee_minor,
        tax_minor=charge.tax_minor,
        forex_rate=charge.forex_rate,
        forex_rate_source=charge.forex_rate_source,
        forex_rate_at=charge.forex_rate_at,
        product_id=ask.product.id,
        product_revision_id=ask.product.revision_id,
        product_name=ask.product.name,
        product_currency=ask.product.currency,
        denomination_minor=ask.denomination_minor,
        quantity=ask.quantity,
        on_partial=ask.on_partial,
        deliver_by=ask.deliver_by,
        email=ask.email,
        mobile=ask.mobile,
        metadata=ask.metadata,
        status=state.status,
        sub_status=state.sub_status,
        items_created=0 if state == model.BULK else ask.quantity,
        fulfilled=len(taken),
        cancelled=0,
        revoked=0,
        refunded_minor=0,
        refund_owed_minor=0,
        placed_at=at,
        changed_at=at,
        delivered_at=at if state.status is model.Status.DELIVERED else None,
        cancelled_at=None,
        link_type=link_type_of(ask.product),
    )
    waiting = order.items_created - len(taken)
    unit_ids = [unit.unit_id for unit in taken] + [None] * waiting
    return NewOrder(order, path, ask.claim_password_hash, unit_ids)


def _items(row: NewOrder, at: datetime) -> tuple[Item, ...]:
    recharge = RechargeStatus.PENDING if row.order.recharge else None
    return tuple(
        Item(row.order.id, position, ItemStatus.PENDING, None, recharge)
        if unit_id is None
        else Item(row.order.id, position, ItemStatus.DELIVERED, unit_id, None, at, row.link_status)
        for position, unit_id in enumerate(row.unit_ids, start=1)
    )


def _placing_events(order: Order) -> list[Event]:
    """D9: what was served at once says only so; what waits says created, and for whom it waits."""
    outcome = facts.outcome_events(order)
    if outcome:
        return outcome
    then = (
        EventType.ORDER_PROCESSING if order.state == model.PROCESSING else EventType.ORDER_PENDING
    )
    return [facts.event(EventType.ORDER_CREATED, order), facts.event(then, order)]


async def _remember_keys(
    tx: Tx, drafts: Sequence[Draft], new: Sequence[NewOrder], at: datetime
) -> None:
    records = [
        idempotency.KeyRecord(
            use.client_id, ROUTE, use.key, use.fingerprint, first_answer(row.order)
        )
        for draft, row in zip(drafts, new, strict=True)
        if (use := draft.ask.key_use) is not None
    ]
    if records:
        await idempotency.store(tx, records, at)
