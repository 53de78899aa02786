"""T3: the cascade against a second, slow reading of D11 in fractions, and refund shares."""

import itertools
from decimal import Context, Decimal, localcontext
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from rewards.core.money import AMOUNT_MINOR_MAX
from rewards.pricing.model import Charge, PriceTerms, charge, fits, returned_share

EXAMPLES = settings(max_examples=10_000, deadline=None)
FEWER = settings(max_examples=1_000, deadline=None)
EXPONENTS = st.sampled_from([0, 2, 3, 4])
PERCENTS = st.decimals(0, "99.9999", places=4)
RATES = st.decimals("0.000000000001", 200_000, places=12)
AMOUNTS = st.integers(1, 10**11)
QUANTITIES = st.integers(1, 10_000)


@st.composite
def any_terms(draw: st.DrawFn) -> PriceTerms:
    rate = draw(st.none() | RATES)
    source_exponent = draw(EXPONENTS)
    return PriceTerms(
        source_currency="AAA",
        source_exponent=source_exponent,
        target_currency="AAA" if rate is None else "BBB",
        target_exponent=source_exponent if rate is None else draw(EXPONENTS),
        discount_percent=draw(PERCENTS | st.just(Decimal(100))),
        handling_fee_minor=draw(st.integers(0, 10**6)),
        tax_percent=draw(PERCENTS),
        conversion_fee_percent=draw(PERCENTS),
        forex_rate=rate,
    )


def half_up(value: Fraction) -> int:
    floor, rest = divmod(value, 1)
    return int(floor) + (rest >= Fraction(1, 2))


def oracle(denomination_minor: int, quantity: int, terms: PriceTerms) -> Charge:
    """D11 word by word."""
    face = Fraction(denomination_minor * quantity, 10**terms.source_exponent)
    fees = Fraction(terms.handling_fee_minor * quantity, 10**terms.source_exponent)
    rate = Fraction(terms.forex_rate or 1)
    unit = 10**terms.target_exponent
    total = half_up(face * rate * unit)
    discount = half_up(total * Fraction(terms.discount_percent) / 100)
    handling = half_up(fees * rate * unit)
    surcharge = Fraction(terms.conversion_fee_percent) / 100 if terms.forex_rate else Fraction(0)
    conversion = half_up((total - discount) * surcharge)
    net = total - discount + handling + conversion
    tax = half_up(net * Fraction(terms.tax_percent) / 100)
    return Charge(
        denomination_minor * quantity,
        total,
        discount,
        total - discount,
        handling,
        conversion,
        net,
        tax,
        net + tax,
        terms.discount_percent,
        terms.forex_rate,
        terms.source_currency,
        terms.target_currency,
    )


SIMPLE = PriceTerms("USD", 2, "USD", 2, Decimal(2), 100, Decimal(0), Decimal(0), None)


def test_product_six_costs_what_the_seed_says() -> None:
    price = charge(2500, 5, SIMPLE)
    assert price.discount_minor == 250
    assert price.handling_fee_minor == price.fees_minor == 500
    assert price.tax_minor == 0
    assert price.payable_minor == 12750


def test_the_published_charges_example_holds() -> None:
    terms = SIMPLE._replace(
        discount_percent=Decimal("2.5"), handling_fee_minor=0, tax_percent=Decimal(18)
    )
    price = charge(10000, 2, terms)
    assert (price.non_discounted_minor, price.discount_minor) == (20000, 500)
    assert (price.discounted_minor, price.net_minor) == (19500, 19500)
    assert (price.tax_minor, price.payable_minor) == (3510, 23010)


def test_conversion_comes_before_the_discount() -> None:
    terms = PriceTerms(
        "USD", 2, "INR", 2, Decimal("2.5"), 100, Decimal(18), Decimal("1.5"), Decimal("83.1234")
    )
    price = charge(2500, 5, terms)
    assert price.non_discounted_minor == 1_039_043  # 10,390.425, rounded half-up
    assert price.discount_minor == 25_976
    assert price.handling_fee_minor == 41_562
    assert price.conversion_fee_minor == 15_196
    assert price.net_minor == 1_069_825
    assert price.tax_minor == 192_569
    assert price.payable_minor == 1_262_394


def test_a_yen_price_of_a_dinar_voucher_has_no_decimals() -> None:
    terms = PriceTerms(
        "KWD", 3, "JPY", 0, Decimal(0), 0, Decimal(0), Decimal(0), Decimal("487.333333333333")
    )
    assert charge(10_500, 1, terms).payable_minor == 5117


@EXAMPLES
@given(AMOUNTS, QUANTITIES, any_terms())
def test_every_charge_is_what_d11_says_and_adds_up(
    denomination: int, quantity: int, terms: PriceTerms
) -> None:
    price = charge(denomination, quantity, terms)
    assert price == oracle(denomination, quantity, terms)
    assert price.non_discounted_minor == price.discount_minor + price.discounted_minor
    assert price.net_minor == price.discounted_minor + price.fees_minor
    assert price.payable_minor == price.net_minor + price.tax_minor
    assert 0 <= price.discount_minor <= price.non_discounted_minor
    assert min(price[:9]) >= 0


@EXAMPLES
@given(AMOUNTS, QUANTITIES, AMOUNTS, any_terms(), PERCENTS)
def test_more_never_costs_less_and_a_better_discount_never_more(
    denomination: int, quantity: int, more: int, terms: PriceTerms, other: Decimal
) -> None:
    price = charge(denomination, quantity, terms).payable_minor
    assert charge(denomination + more, quantity, terms).payable_minor >= price
    assert charge(denomination, quantity + 1, terms).payable_minor >= price
    better = terms._replace(discount_percent=max(terms.discount_percent, other))
    assert charge(denomination, quantity, better).payable_minor <= price


@FEWER
@given(AMOUNTS, QUANTITIES, any_terms())
def test_no_decimal_context_changes_a_price(
    denomination: int, quantity: int, terms: PriceTerms
) -> None:
    price = charge(denomination, quantity, terms)
    with localcontext(Context(prec=2)):
        assert charge(denomination, quantity, terms) == price


def test_a_total_beyond_a_ledger_integer_does_not_fit() -> None:
    assert fits(charge(AMOUNT_MINOR_MAX, 1, SIMPLE._replace(handling_fee_minor=0)))
    assert not fits(charge(AMOUNT_MINOR_MAX, 2, SIMPLE))
    assert not fits(charge(AMOUNT_MINOR_MAX, 1, SIMPLE._replace(discount_percent=Decimal(0))))


@st.composite
def returns(draw: st.DrawFn) -> tuple[int, int, list[int]]:
    """A debit, its quantity, and the sizes of successive returns that bring everything back."""
    amount = draw(st.integers(0, AMOUNT_MINOR_MAX))
    quantity = draw(st.integers(1, 1000))
    cuts = sorted(draw(st.lists(st.integers(0, quantity), max_size=8)))
    edges = [0, *cuts, quantity]
    return amount, quantity, [b - a for a, b in itertools.pairwise(edges)]


@EXAMPLES
@given(returns())
def test_refunds_of_any_split_add_up_to_the_debit(order: tuple[int, int, list[int]]) -> None:
    amount, quantity, parts = order
    before, paid = 0, 0
    for part in parts:
        share = returned_share(amount, quantity, before, part)
        assert share >= 0
        before, paid = before + part, paid + share
        assert paid == amount * before // quantity
        # No return order gains anybody more than a minor unit, nor loses it.
        assert 0 <= Fraction(amount * before, quantity) - paid < 1
    assert paid == amount


@FEWER
@given(st.integers(0, 10**15), st.integers(1, 500))
def test_refunds_one_by_one_are_even(amount: int, quantity: int) -> None:
    shares = [returned_share(amount, quantity, done, 1) for done in range(quantity)]
    assert sum(shares) == amount
    assert max(shares) - min(shares) <= 1
