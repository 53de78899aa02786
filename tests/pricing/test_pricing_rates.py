"""Which rate holds between two currencies, what the spread adds, and when it is too old."""

from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from rewards.pricing.model_rates import Channel, RateRow
from rewards.pricing.rates import RATE_DECIMALS, RATE_MAX, Rates, with_spread
from tests.catalog.shop import AT
from tests.pricing.quoted import ENDLESS, rates_of, row

ANY_RATE = st.decimals("0.000000000001", 999_999, places=RATE_DECIMALS)
ANY_SPREAD = st.decimals(0, "99.9999", places=4)
TINY = Fraction(1, 2 * 10**RATE_DECIMALS)
TICK = timedelta(microseconds=1)


def told(rates: Rates, source: str, target: str) -> str | None:
    found = rates.between(source, target, AT)
    return None if found is None else str(found.rate)


def test_the_direct_rate_wins_over_the_inverse() -> None:
    rates = rates_of({("USD", "INR"): Decimal("83.100000"), ("INR", "USD"): Decimal("0.012")})
    assert told(rates, "USD", "INR") == "83.1"
    assert told(rates, "INR", "USD") == "0.012"


def test_the_inverse_serves_where_no_direct_rate_is() -> None:
    rates = rates_of({("USD", "EUR"): Decimal("0.8")})
    assert told(rates, "EUR", "USD") == "1.25"


def test_two_legs_through_the_dollar_serve_where_neither_is() -> None:
    rates = rates_of({("USD", "INR"): Decimal(84), ("EUR", "USD"): Decimal("1.05")})
    assert told(rates, "EUR", "INR") == "88.2"
    assert told(rates, "INR", "EUR") == "0.011337868481"


def test_no_rate_is_invented() -> None:
    rates = rates_of({("USD", "INR"): Decimal(84), ("GBP", "JPY"): Decimal(190)})
    assert rates.between("EUR", "INR", AT) is None
    assert rates.between("GBP", "INR", AT) is None
    assert rates.between("USD", "EUR", AT) is None


def test_a_rate_too_small_or_large_to_hold_is_none() -> None:
    rates = rates_of({("USD", "AAA"): Decimal("1e-12"), ("USD", "BBB"): Decimal(999999999999)})
    assert rates.between("AAA", "USD", AT) is None
    assert rates.between("BBB", "AAA", AT) is None
    assert rates.between("USD", "AAA", AT).rate == Decimal("1e-12")  # type: ignore[union-attr]


@settings(max_examples=2_000, deadline=None)
@given(ANY_RATE, ANY_RATE, ANY_SPREAD, ANY_SPREAD)
def test_derived_rates_are_exact_to_the_last_decimal(
    first: Decimal, second: Decimal, spread: Decimal, other: Decimal
) -> None:
    rates = Rates(
        [
            row("USD", "AAA", first, spread_percent=spread),
            row("USD", "BBB", second, spread_percent=other),
        ],
        ENDLESS,
    )
    up, more = 1 + Fraction(spread) / 100, 1 + Fraction(other) / 100
    for pair, exact in (
        (("USD", "AAA"), Fraction(first) * up),
        (("AAA", "USD"), up / Fraction(first)),
        (("AAA", "BBB"), Fraction(second) / Fraction(first) * up * more),
    ):
        found = rates.between(*pair, AT)
        if found is None:
            assert exact < TINY or exact >= Fraction(RATE_MAX) - TINY
        else:
            assert abs(Fraction(found.rate) - exact) <= TINY
            assert rates.between(*pair, AT) is found


@settings(max_examples=500, deadline=None)
@given(ANY_RATE, ANY_SPREAD, ANY_SPREAD)
def test_a_spread_is_never_in_the_clients_favour(
    rate: Decimal, one: Decimal, other: Decimal
) -> None:
    less, more = sorted([one, other])
    for source, target in (("USD", "INR"), ("INR", "USD")):
        found = [
            Rates([row("USD", "INR", rate, spread_percent=spread)], ENDLESS).between(
                source, target, AT
            )
            for spread in (Decimal(0), less, more)
        ]
        charged = [each.rate for each in found if each is not None]
        assert charged == sorted(charged)
    assert (
        with_spread(rate, less)
        == Rates([row("USD", "INR", rate, spread_percent=less)], ENDLESS)
        .between("USD", "INR", AT)
        .rate
    )  # type: ignore[union-attr]


def test_a_spread_counts_both_ways() -> None:
    rates = Rates([row("USD", "EUR", "0.8", spread_percent=Decimal("2.5"))], ENDLESS)
    assert told(rates, "USD", "EUR") == "0.82"
    assert told(rates, "EUR", "USD") == "1.28125"


AGES = ENDLESS | {Channel.FILE: timedelta(hours=2), Channel.PROVIDER: timedelta(hours=1)}


def test_a_rate_is_stale_when_it_is_older_than_its_channel_allows() -> None:
    for channel, hours in ((Channel.FILE, 2), (Channel.PROVIDER, 1)):
        found = Rates([row("USD", "INR", 84, channel=channel)], AGES).between("USD", "INR", AT)
        assert found is not None
        end = AT + timedelta(hours=hours)
        assert found.stale_at == end
        assert not found.stale(end)
        assert found.stale(end + TICK)
    for channel in (Channel.SETUP, Channel.STAFF):
        endless = Rates([row("USD", "INR", 84, channel=channel)], AGES).between("INR", "USD", AT)
        assert endless is not None and endless.stale_at is None
        assert not endless.stale(AT.replace(year=9000))


def test_two_legs_are_as_old_as_the_older_and_stale_as_soon_as_one_is() -> None:
    earlier = AT - timedelta(minutes=90)
    rates = Rates(
        [
            row("USD", "INR", 84, channel=Channel.PROVIDER, origin="ecb"),
            row("USD", "EUR", "0.8", channel=Channel.FILE, quoted_at=earlier),
            row("USD", "JPY", 150, origin="ecb"),
        ],
        AGES,
    )
    found = rates.between("INR", "EUR", AT)
    assert found is not None
    assert (found.origin, found.quoted_at) == ("ecb, bank", earlier)
    assert found.stale_at == AT + timedelta(minutes=30)
    same = rates.between("INR", "JPY", AT)
    assert same is not None and (same.origin, same.stale_at) == ("ecb", AT + timedelta(hours=1))


def test_a_stale_rate_stands_in_nobodys_way_and_serves_as_the_last_resort() -> None:
    late = AT + timedelta(hours=1, microseconds=1)
    once = row("EUR", "INR", 100, channel=Channel.PROVIDER, origin="once")
    back = row("INR", "EUR", "0.02", channel=Channel.FILE, origin="back")
    kept = [
        row("USD", "EUR", "0.8", origin="desk"),
        # A leg that was said both ways, and only one of them kept up.
        row("USD", "INR", 80, channel=Channel.PROVIDER, origin="once"),
        row("INR", "USD", "0.01", origin="desk"),
    ]

    def used(at: datetime, *rows: RateRow) -> tuple[str, str] | None:
        found = Rates(rows, AGES).between("EUR", "INR", at)
        return None if found is None else (found.origin, str(found.rate))

    assert used(AT, once, back, *kept) == ("once", "100")
    assert used(late, once, back, *kept) == ("back", "50")
    assert used(late + timedelta(hours=1), once, back, *kept) == ("desk", "125")
    assert used(late, once, *kept) == ("desk", "125")
    assert used(AT, *kept) == ("desk, once", "100")
    # Nothing else is there, or nothing better.
    assert used(late, once) == ("once", "100")
    assert used(late + timedelta(hours=1), once, back) == ("once", "100")
    assert used(late, kept[1]) is None
