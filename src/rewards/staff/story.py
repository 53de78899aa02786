"""Everything that is known of one order, gathered from every slice; at most twelve statements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from rewards.audit import service as audit
from rewards.audit.model import AuditEntry, AuditFilter
from rewards.claims import service as claims
from rewards.claims.model import Link
from rewards.infra.crypto import Vault
from rewards.infra.db import Tx
from rewards.infra.settings import Settings
from rewards.inventory import service as inventory
from rewards.inventory.masking import masked_fields
from rewards.inventory.model import StoredUnit
from rewards.notices import service as notices
from rewards.notices.model import Notice
from rewards.notices.service import NoticeFilter
from rewards.orders import overview
from rewards.orders.model import Item, Order
from rewards.orders.model_next import Around, Next, next_act
from rewards.orders.overview import Step
from rewards.staff import approvals, notes
from rewards.staff.around import around
from rewards.staff.fulfilments import SUBJECT
from rewards.staff.model_approvals import OPEN_STATES, Approval
from rewards.staff.naming import client_names
from rewards.staff.notes import Note
from rewards.vendors import purchases
from rewards.vendors import service as vendors
from rewards.vendors.kept import KeptExchange
from rewards.vendors.model import FOR_ORDERS, Purchase
from rewards.wallets import service as wallets
from rewards.wallets.model import Transaction
from rewards.webhooks import service as webhooks
from rewards.webhooks.service import ToldOfOrder

# Of each kind of thing so many are told; the lists of each have the rest.
EACH_MAX = 200
UNITS_MAX = 100
ID_LAST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class MaskedUnit:
    """The unit of an item; of its fields enough to tell it again."""

    position: int
    unit: StoredUnit
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One order and all that happened around it; each list oldest first."""

    order: Order
    client_name: str | None
    items: Sequence[Item]
    steps: Sequence[Step]
    money: Sequence[Transaction]
    purchases: Sequence[Purchase]
    exchanges: Sequence[KeptExchange]
    told: Sequence[ToldOfOrder]
    mails: Sequence[Notice]
    links: Sequence[Link]
    trail: Sequence[AuditEntry]
    notes: Sequence[Note]
    approvals: Sequence[Approval]
    # By position, those that have one.
    sealed: Sequence[tuple[int, StoredUnit]]
    around: Around
    next: Next


async def read(
    tx: Tx, settings: Settings, order_id: int, now: datetime, *, from_item: int = 1
) -> Story:
    """The story of an order; its units are still sealed. Raises OrderNotFound.

    An order with links has those instead of units. `from_item`: the position that units begin at.
    """
    order, items, steps = await overview.read(tx, order_id)
    names = await client_names(tx, [order.client_id])
    bought = await purchases.of_subject(tx, FOR_ORDERS, order_id)
    said = await vendors.exchanges_of_order(tx, order_id, EACH_MAX) if bought else []
    linked = order.link_type is not None
    links = (await claims.of_orders(tx, [order_id]))[order_id] if linked else []
    asked = await approvals.of_subject(tx, SUBJECT, order_id, EACH_MAX)
    mails = await notices.find(tx, NoticeFilter(order_id=order_id), ID_LAST, EACH_MAX)
    narrow = AuditFilter(subject_kind=SUBJECT, subject_id=order_id)
    trail = await audit.search(tx, narrow, limit=EACH_MAX)
    written = await notes.of_order(tx, order_id, EACH_MAX)
    money = await wallets.of_order(tx, order_id, EACH_MAX)
    told = await webhooks.told_of_order(tx, order_id, EACH_MAX)
    held = [] if linked else _held(items, from_item)
    units = await inventory.read_units(tx, _unit_ids(held))
    state = around(bought, [one for one in asked if one.state in OPEN_STATES], links, settings)
    return Story(
        order=order,
        client_name=names.get(order.client_id),
        items=items,
        steps=steps,
        money=money,
        purchases=bought,
        exchanges=said,
        told=told,
        mails=mails[::-1],
        links=links[:EACH_MAX],
        trail=trail[::-1],
        notes=written[::-1],
        approvals=asked[::-1],
        sealed=[(item.position, unit) for item, unit in zip(held, units, strict=True) if unit],
        around=state,
        next=next_act(order, state, now),
    )


def _held(items: Sequence[Item], first: int) -> list[Item]:
    """Those from this position on that have a unit."""
    held = [item for item in items if item.unit_id is not None and item.position >= first]
    return held[:UNITS_MAX]


def _unit_ids(items: Sequence[Item]) -> list[int]:
    return [item.unit_id for item in items if item.unit_id is not None]


async def mask(vault: Vault, story: Story) -> list[MaskedUnit]:
    """The units of a story by item, masked: what is shown of one is in no trail.

    Not while a connection is held, as with any opening.
    """
    opened = await inventory.open_units(vault, [unit for _, unit in story.sealed])
    return [
        MaskedUnit(position, unit, masked_fields(fields))
        for (position, unit), fields in zip(story.sealed, opened, strict=True)
    ]
