"""Decides what becomes of offered rates: applied, as they are, too old, or held back; pure."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from rewards.pricing.model import HUNDRED
from rewards.pricing.model_rates import (
    Channel,
    Decision,
    HeldRate,
    HeldState,
    NewRate,
    Outcome,
    RateRow,
)
from rewards.pricing.rates import Rates, with_spread


def decide(
    offers: Sequence[NewRate],
    in_force: Mapping[tuple[str, str], RateRow],
    rates: Rates,
    jump_percent_max: Decimal,
    *,
    confirmed: bool = False,
) -> list[Decision]:
    """One decision for each offer, in order, all against what is in force before any of them.

    A machine's offer that is as old as the one in force and says the same changes nothing, and an
    older one comes too late; a person's always counts. What differs by more than
    `jump_percent_max` from what clients are charged now, spread included, is held unless somebody
    `confirmed` it. The first rate of a pair has nothing to be compared with.
    """
    return [_decide_one(offer, in_force, rates, jump_percent_max, confirmed) for offer in offers]


def _decide_one(
    offer: NewRate,
    in_force: Mapping[tuple[str, str], RateRow],
    rates: Rates,
    jump_percent_max: Decimal,
    confirmed: bool,
) -> Decision:
    now = rates.between(offer.source, offer.target)
    before = None if now is None else now.rate
    row = in_force.get(offer.pair)
    if row is not None and offer.channel is not Channel.STAFF:
        if offer.quoted_at < row.quoted_at:
            return Decision(Outcome.OUTDATED, before)
        if offer.quoted_at == row.quoted_at and _figures(offer) == _figures(row):
            return Decision(Outcome.UNCHANGED, before)
    if before is not None and not confirmed and jumps(before, offer, jump_percent_max):
        return Decision(Outcome.HELD, before)
    return Decision(Outcome.APPLIED, before)


def jumps(before: Decimal, offer: NewRate, percent_max: Decimal) -> bool:
    """Whether clients would be charged a rate that differs from `before` by more than that."""
    after = with_spread(offer.rate, offer.spread_percent)
    assert after is not None, "the rules looked at it"
    # In integers: no decimal context rounds the comparison.
    (new, new_down), (old, old_down) = after.as_integer_ratio(), before.as_integer_ratio()
    up, down = percent_max.as_integer_ratio()
    difference = abs(new * old_down - old * new_down)
    return difference * HUNDRED * down > old * new_down * up


def waits_already(offer: NewRate, held: HeldRate | None) -> bool:
    """Whether somebody was asked about this very rate, and has not said yes."""
    return (
        held is not None
        and held.state in (HeldState.OPEN, HeldState.DISMISSED)
        and held.rate.quoted_at == offer.quoted_at
        and _figures(held.rate) == _figures(offer)
    )


def _figures(rate: NewRate | RateRow) -> tuple[Decimal, Decimal]:
    return rate.rate, rate.spread_percent
