"""What becomes of an offered rate: applied, unchanged, outdated, or held."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Context, Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewards.pricing.model_rates import Channel, HeldRate, HeldState, NewRate, Outcome, RateRow
from rewards.pricing.offers import decide, jumps, waits_already
from rewards.pricing.rates import Rates, with_spread
from tests.catalog.shop import AT
from tests.pricing.quoted import ENDLESS, offer, row

TEN = Decimal(10)
MINUTE = timedelta(minutes=1)
RATE = st.decimals("0.000001", 999_999, places=6)


def outcome(made: NewRate, *rows: RateRow, confirmed: bool = False) -> Outcome:
    in_force: Sequence[RateRow] = rows
    rates = Rates(in_force, ENDLESS)
    known = {each.pair: each for each in in_force}
    [decision] = decide([made], known, rates, TEN, AT, confirmed=confirmed)
    return decision.outcome


def test_the_first_rate_of_a_pair_has_nothing_to_jump_from() -> None:
    assert outcome(offer(rate="0.000001")) is Outcome.APPLIED
    assert outcome(offer(rate="999999"), row("USD", "EUR", "0.8")) is Outcome.APPLIED


@pytest.mark.parametrize("channel", [Channel.FILE, Channel.PROVIDER])
def test_what_a_machine_says_again_changes_nothing_and_what_is_older_comes_too_late(
    channel: Channel,
) -> None:
    now = row("USD", "INR", "80", spread_percent=Decimal(1))
    same = offer(rate="80.000", spread="1.0", channel=channel)
    assert outcome(same, now) is Outcome.UNCHANGED
    assert outcome(replace(same, quoted_at=AT - MINUTE), now) is Outcome.OUTDATED
    # A correction of the same moment, or the same figures of a later one, count.
    assert outcome(replace(same, rate=Decimal("80.5")), now) is Outcome.APPLIED
    assert outcome(replace(same, spread_percent=Decimal(2)), now) is Outcome.APPLIED
    assert outcome(replace(same, quoted_at=AT + MINUTE), now) is Outcome.APPLIED


def test_what_a_person_says_always_counts() -> None:
    now = row("USD", "INR", "80")
    assert outcome(offer(rate="80", channel=Channel.STAFF), now) is Outcome.APPLIED
    older = offer(rate="81", channel=Channel.STAFF, later=-MINUTE)
    assert outcome(older, now) is Outcome.APPLIED


@pytest.mark.parametrize("channel", [Channel.FILE, Channel.PROVIDER, Channel.STAFF])
def test_the_limit_itself_is_no_jump_and_a_hair_more_is(channel: Channel) -> None:
    now = row("USD", "INR", "80")
    for rate, expected in (
        ("88", Outcome.APPLIED),
        ("72", Outcome.APPLIED),
        ("88.000000000001", Outcome.HELD),
        ("71.999999999999", Outcome.HELD),
    ):
        assert outcome(offer(rate=rate, channel=channel, later=MINUTE), now) is expected
    far = offer(rate="800", channel=channel, later=MINUTE)
    assert outcome(far, now, confirmed=True) is Outcome.APPLIED


def test_a_jump_is_of_what_clients_are_charged() -> None:
    now = row("USD", "INR", "80")
    assert outcome(offer(rate="80", spread="10.1", later=MINUTE), now) is Outcome.HELD
    dear = row("USD", "INR", "80", spread_percent=Decimal(10))
    assert outcome(offer(rate="88", later=MINUTE), dear) is Outcome.APPLIED
    # The inverse and the way through the dollar were what they paid so far.
    assert outcome(offer("INR", "USD", "0.0125"), now) is Outcome.APPLIED
    assert outcome(offer("INR", "USD", "0.0139"), now) is Outcome.HELD
    euro = row("EUR", "USD", "1.25")
    assert outcome(offer("EUR", "INR", "100"), now, euro) is Outcome.APPLIED
    assert outcome(offer("EUR", "INR", "111"), now, euro) is Outcome.HELD


@settings(max_examples=1_000, deadline=None)
@given(RATE, RATE, st.decimals(0, 99, places=2), st.decimals(0, 200, places=2))
def test_a_jump_is_exact(before: Decimal, rate: Decimal, spread: Decimal, most: Decimal) -> None:
    made = offer(rate=rate, spread=str(spread))
    after = with_spread(rate, spread)
    assert after is not None
    change = abs(Fraction(after) - Fraction(before)) / Fraction(before) * 100
    assert jumps(before, made, most) == (change > Fraction(most))
    with localcontext(Context(prec=2)):
        assert jumps(before, made, most) == (change > Fraction(most))


def test_who_was_asked_about_it_is_not_asked_again() -> None:
    made = offer(rate="100")
    for state, waits in (
        (HeldState.OPEN, True),
        (HeldState.DISMISSED, True),
        (HeldState.CONFIRMED, False),
        (HeldState.SUPERSEDED, False),
    ):
        held = HeldRate(1, made, Decimal(80), AT, state, None)
        assert waits_already(made, held) == waits
        assert not waits_already(replace(made, rate=Decimal(101)), held)
        assert not waits_already(replace(made, quoted_at=AT + MINUTE), held)
    assert not waits_already(made, None)
