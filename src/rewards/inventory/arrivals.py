"""What a vendor brought becomes units: which codes are sound, what each cost, one batch (D7)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

from rewards.catalog.model import Product, ShelfKey
from rewards.infra.crypto import Vault
from rewards.infra.db import Tx
from rewards.inventory.batches import open_batch
from rewards.inventory.model import BatchSource, NewUnit, UnitState, is_link
from rewards.inventory.units import add_units
from rewards.vendors.model import Card, Cost, Line, Purchase
from rewards.vendors.purchases import Intake

SYNONYMS = (
    ("code", "card_number"),
    ("card_number", "code"),
    ("pin", "pin_code"),
    ("pin_code", "pin"),
)


@dataclass(frozen=True, slots=True)
class Sorted:
    """The cards of a purchase: for an order, for anybody, and what cannot be sold."""

    wanted: tuple[Card, ...]
    spare: tuple[Card, ...]
    bad: tuple[Card, ...]


def sort_cards(
    cards: Sequence[Card], line: Line, product: Product, missing: int, at: datetime
) -> Sorted:
    """Which cards an order gets that lacks so many; pure. 0: all that is sound is for anybody.

    Bad: another value, another currency, expired, a field missing, a link that is none.
    """
    named = [replace(card, fields=as_sold(card.fields, product.voucher_fields)) for card in cards]
    good = [card for card in named if _sound(card, line, product, at)]
    bad = tuple(card for card in named if not _sound(card, line, product, at))
    return Sorted(tuple(good[:missing]), tuple(good[missing:]), bad)


def as_sold(fields: Mapping[str, str], wanted: Collection[str]) -> dict[str, str]:
    """The vendor's fields under the names our product has them: its `code` may be a card number."""
    sold = {name: value for name, value in fields.items() if value}
    for name, other in SYNONYMS:
        if name in wanted and name not in sold and other in sold and other not in wanted:
            sold[name] = sold.pop(other)
    return sold


def _sound(card: Card, line: Line, product: Product, at: datetime) -> bool:
    return (
        card.face_minor in (None, line.face_minor)
        and card.currency in (None, line.currency)
        and (card.expires_at is None or card.expires_at > at)
        and all(card.fields.get(name) for name in product.voucher_fields)
        and ("claim_url" not in product.voucher_fields or is_link(card.fields["claim_url"]))
    )


async def take_in(
    tx: Tx, vault: Vault, purchase: Purchase, shelf: ShelfKey, cards: Sorted, at: datetime
) -> tuple[Intake, list[int]]:
    """Seal every code into one batch; the ids of the units that were wanted, ALLOCATED.

    Spare ones wait on the shelf for the next pump, bad ones are BLOCKED. A code that we have
    already is stored nowhere: it is counted, and claimed back from the vendor.
    """
    groups = (
        (UnitState.ALLOCATED, cards.wanted),
        (UnitState.AVAILABLE, cards.spare),
        (UnitState.BLOCKED, cards.bad),
    )
    count = sum(len(group) for _, group in groups)
    if not count:
        return Intake(), []
    name = f"Vendor order {purchase.id}"
    batch_id = await open_batch(tx, BatchSource.VENDOR, name, at, purchase.asked_by)
    costs = iter(shares(purchase.cost, count))
    stored: dict[UnitState, list[int]] = {}
    for state, group in groups:
        # Each card has its share of the cost, also one that becomes no unit.
        priced = zip(group, islice(costs, len(group)), strict=True)
        new = [_unit(card, shelf, cost) for card, cost in priced if card.fields]
        added = await add_units(tx, vault, batch_id, new, state, at)
        stored[state] = [one for one in added if isinstance(one, int)]
    sellable = len(stored[UnitState.ALLOCATED]) + len(stored[UnitState.AVAILABLE])
    return Intake(count, count - sellable, batch_id), stored[UnitState.ALLOCATED]


def shares(cost: Cost | None, count: int) -> list[Cost | None]:
    """What each of `count` cards cost: to the minor unit, and together exactly the whole; pure."""
    if cost is None:
        return [None] * count
    whole = cost.amount_minor
    return [
        Cost(whole * (n + 1) // count - whole * n // count, cost.currency) for n in range(count)
    ]


def _unit(card: Card, shelf: ShelfKey, cost: Cost | None) -> NewUnit:
    amount_minor, currency = (cost.amount_minor, cost.currency) if cost else (None, None)
    return NewUnit(shelf, card.fields, card.expires_at, amount_minor, currency)
