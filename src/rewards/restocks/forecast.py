"""How long stock lasts, and what to buy so that it lasts as long as wanted; pure, in integers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal

from rewards.catalog.model import ShelfKey
from rewards.core.errors import Refusal
from rewards.restocks.model import Supply, choose

HUNDREDTH, TENTH = Decimal("0.01"), Decimal("0.1")
# Units that are counted of a shelf, whatever its demand.
COUNT_LEAST, COUNT_MOST = 1_000, 1_000_000


@dataclass(frozen=True, slots=True)
class Need:
    """What is known of one shelf. `asked`: units asked for in the days looked at.

    `depth`: units that can be sold now, or after the next pump, and `at_least` whether there may be
    more of them than were counted; `on_order` is still to come; `waited`: what open orders lack,
    and will take first.
    """

    shelf: ShelfKey
    asked: int
    depth: int
    on_order: int = 0
    waited: int = 0
    at_least: bool = False

    def to_buy(self, days: int, cover_days: int) -> int:
        """Units to buy so that all waiting orders and `cover_days` of demand like that are met."""
        demand = -(-self.asked * cover_days // days)
        return max(demand + self.waited - self.depth - self.on_order, 0)

    def cover_days(self, days: int) -> Decimal | None:
        """Days until what is there is sold, to a tenth, rounded down; None without demand.

        What waiting orders will take does not count, nor does what is still to come.
        """
        if not self.asked:
            return None
        left = max(self.depth - self.waited, 0)
        return (Decimal(left) * days / self.asked).quantize(TENTH, ROUND_DOWN)

    def per_day(self, days: int) -> Decimal:
        return (Decimal(self.asked) / days).quantize(HUNDREDTH, ROUND_HALF_UP)


@dataclass(frozen=True, slots=True)
class Advice:
    """A shelf, how long it lasts, what to buy, where, and for how much in its currency.

    No supply: nothing is to be bought, or nobody sells it. Then there is no cost either.
    """

    need: Need
    per_day: Decimal
    cover_days: Decimal | None
    buy: int
    supply: Supply | None
    cost_minor: int | None


def advise(
    needs: Iterable[Need], supplies: Mapping[int, Sequence[Supply]], days: int, cover_days: int
) -> list[Advice]:
    """One line for each shelf, the shortest cover first; what nobody asks for comes last."""
    lines = [
        _advise(need, supplies.get(need.shelf.product_id, ()), days, cover_days) for need in needs
    ]
    return sorted(lines, key=_urgency)


def _advise(need: Need, supplies: Sequence[Supply], days: int, cover_days: int) -> Advice:
    buy = need.to_buy(days, cover_days)
    supply, cost_minor = None, None
    if buy:
        chosen = choose(supplies, need.shelf, None)
        if not isinstance(chosen, Refusal):
            supply = chosen
            cost_minor = chosen.source.cost_minor(need.shelf.denomination_minor, buy)
    return Advice(need, need.per_day(days), need.cover_days(days), buy, supply, cost_minor)


def _urgency(line: Advice) -> tuple[bool, Decimal, int, ShelfKey]:
    cover = line.cover_days
    nobody_asks = cover is None and not line.buy
    return nobody_asks, cover or Decimal(0), -line.buy, line.need.shelf


def count_to(asked: int, waited: int, days: int, cover_days: int) -> int:
    """How far a shelf must be counted so that it is known what to buy of it, and whether it lasts
    for `cover_days`: so many units are more than enough."""
    enough = -(-asked * cover_days // days) + waited + 1
    return min(max(enough, COUNT_LEAST), COUNT_MOST)


def needs(
    asked: Mapping[ShelfKey, int],
    depth: Mapping[ShelfKey, int],
    on_order: Mapping[ShelfKey, int],
    waited: Mapping[ShelfKey, int],
) -> list[Need]:
    """One for every shelf that any of these knows."""
    shelves = sorted({*asked, *depth, *on_order, *waited})
    return [
        Need(
            shelf,
            asked.get(shelf, 0),
            depth.get(shelf, 0),
            on_order.get(shelf, 0),
            waited.get(shelf, 0),
        )
        for shelf in shelves
    ]
