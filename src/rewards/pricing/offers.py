"""Decides what becomes of offered rates: applied, as they are, too old, or held back; pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
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
    at: datetime,
    *,
    confirmed: bool = False,
) -> list[Decision]:
    """One decision for each offer, in order, all against what is in force before any of them.

    A machine's offer that is as old as the one in force and says the same changes nothing, and an
    older one comes too late; a person's always counts. What differs by more than
    `jump_percent_max` from what clients are charged now, spread included, is held unless somebody
    `confirmed` it. The first rate of a pair has nothing to be compared with.
    """
    decisions = []
    for offer in offers:
        now = rates.between(offer.source, offer.target, at)
        before = None if now is None else now.rate
        row = in_force.get(offer.pair)
        outcome = _outcome(offer, row, before, None if confirmed else jump_percent_max)
        decisions.append(Decision(outcome, before))
    return decisions


def _outcome(
    offer: NewRate, row: RateRow | None, before: Decimal | None, jump_percent_max: Decimal | None
) -> Outcome:
    if row is not None and offer.channel is not Channel.STAFF:
        if offer.quoted_at < row.quoted_at:
            return Outcome.OUTDATED
        if offer.quoted_at == row.quoted_at and _figures(offer) == _figures(row):
            return Outcome.UNCHANGED
    if before is None or jump_percent_max is None:
        return Outcome.APPLIED
    return Outcome.HELD if jumps(before, offer, jump_percent_max) else Outcome.APPLIED


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
