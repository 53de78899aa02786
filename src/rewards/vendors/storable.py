"""What of an outcome our books can hold: no poison may keep a purchase open for ever; pure."""

import re
from dataclasses import replace

from rewards.core.currency import CURRENCIES
from rewards.core.money import AMOUNT_MINOR_MAX
from rewards.core.text import UNPRINTABLE
from rewards.vendors.model import Accepted, Card, Cost, Delivered, NotKnown, Outcome, Refused

NAME_CHARS_MAX = 200
MESSAGE_CHARS_MAX = 500
# No text of a database, of UTF-8 or of a client's JSON holds these.
_POISON = re.compile("[\x00\ud800-\udfff]")


def storable(outcome: Outcome) -> Outcome:
    """The outcome with nothing in it that cannot be written down.

    A name of the vendor's that cannot be is not told (we read by our key), nor is a cost; words are
    cleaned, they are only shown. A card is never altered: one that cannot be kept as it was sent
    has no fields left, counts as received and unusable, and is claimed back from the vendor.
    """
    if isinstance(outcome, Delivered):
        cards = tuple(card if sound(card) else replace(card, fields={}) for card in outcome.cards)
        return replace(
            outcome, cards=cards, vendor_ref=_name(outcome.vendor_ref), cost=_cost(outcome.cost)
        )
    if isinstance(outcome, Accepted):
        return replace(outcome, vendor_ref=_name(outcome.vendor_ref), cost=_cost(outcome.cost))
    if isinstance(outcome, Refused | NotKnown):
        return replace(outcome, message=words(outcome.message, MESSAGE_CHARS_MAX))
    return replace(outcome, why=words(outcome.why, MESSAGE_CHARS_MAX))


def lost(outcome: Outcome) -> str | None:
    """Why a delivery that is storable lacks some of what was sent, in words for staff."""
    cards = outcome.cards if isinstance(outcome, Delivered) else ()
    empty = sum(not card.fields for card in cards)
    return (
        f"{empty} of {len(cards)} cards hold what is no text, and were not kept" if empty else None
    )


def sound(card: Card) -> bool:
    """Whether every field is text that can be kept, and its end a moment."""
    ends = card.expires_at is None or card.expires_at.tzinfo is not None
    return ends and not any(_POISON.search(value) for value in card.fields.values())


def words(told: str, chars_max: int = NAME_CHARS_MAX) -> str:
    """What is only shown: no control characters, no lone surrogates, of a bounded length."""
    return UNPRINTABLE.sub("?", told)[:chars_max]


def _name(told: str | None) -> str | None:
    return None if told is None or words(told) != told else told


def _cost(cost: Cost | None) -> Cost | None:
    if cost is None or cost.currency not in CURRENCIES:
        return None
    return cost if 0 <= cost.amount_minor <= AMOUNT_MINOR_MAX else None
