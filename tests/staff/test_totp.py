"""One-time codes: the vectors of the RFCs, and which codes count when."""

from base64 import b32decode
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.staff.totp import (
    DIGITS,
    STEP_S,
    STEPS_ASIDE,
    code_of,
    key_of,
    step_at,
    step_shown,
    uri_of,
)

RFC_SECRET = b"12345678901234567890"
# RFC 4226, appendix D: the counter from 0.
HOTP = (
    *("755224", "287082", "359152", "969429", "338314"),
    *("254676", "287922", "162583", "399871", "520489"),
)
# RFC 6238, appendix B: seconds since 1970, and eight digits by SHA-1.
TOTP = (
    (59, "94287082"),
    (1_111_111_109, "07081804"),
    (1_111_111_111, "14050471"),
    (1_234_567_890, "89005924"),
    (2_000_000_000, "69279037"),
    (20_000_000_000, "65353130"),
)
SECRETS = st.binary(min_size=20, max_size=20)
# Until the year 2100.
TIMES = st.floats(1_577_836_800, 4_102_444_800).map(lambda s: datetime.fromtimestamp(s, UTC))


@pytest.mark.parametrize(("counter", "code"), list(enumerate(HOTP)))
def test_the_codes_of_rfc_4226(counter: int, code: str) -> None:
    assert code_of(RFC_SECRET, counter) == code


@pytest.mark.parametrize(("seconds", "code"), TOTP)
def test_the_codes_of_rfc_6238(seconds: int, code: str) -> None:
    step = step_at(datetime.fromtimestamp(seconds, UTC))
    assert code_of(RFC_SECRET, step, 8) == code
    assert code_of(RFC_SECRET, step) == code[-DIGITS:]


@given(SECRETS, TIMES, st.integers(-4, 4), st.integers(-4, 4))
def test_a_code_counts_for_a_step_around_its_own_and_after_the_last_used(
    secret: bytes, at: datetime, aside: int, used: int
) -> None:
    now = step_at(at)
    code = code_of(secret, now + aside)
    shown = step_shown(secret, code, at, now + used)
    # Two half minutes may share a code: then whichever is free and near counts.
    fit = [
        step
        for step in range(now - STEPS_ASIDE, now + STEPS_ASIDE + 1)
        if code_of(secret, step) == code and step > now + used
    ]
    assert shown == (min(fit) if fit else None)
    if abs(aside) <= STEPS_ASIDE and aside > used:
        assert shown is not None
        assert step_shown(secret, code, at, shown) != shown


@given(SECRETS, TIMES)
def test_the_edges_of_the_window_are_exact(secret: bytes, at: datetime) -> None:
    step = step_at(at)
    code = code_of(secret, step)
    begun = datetime.fromtimestamp(step * STEP_S, UTC)
    first = begun - timedelta(seconds=STEP_S)
    last = begun + timedelta(seconds=2 * STEP_S) - timedelta(microseconds=1)
    for moment in (first, at, last):
        assert step_shown(secret, code, moment, 0) is not None
    for moment in (first - timedelta(microseconds=1), last + timedelta(microseconds=1)):
        assert step_shown(secret, code, moment, 0) != step


@given(SECRETS, TIMES, st.text(max_size=8))
def test_whatever_else_is_no_code(secret: bytes, at: datetime, text: str) -> None:
    near = {code_of(secret, step_at(at) + aside) for aside in (-1, 0, 1)}
    assert (step_shown(secret, text, at, 0) is not None) == (text in near)


def test_what_an_authenticator_is_given() -> None:
    told = urlsplit(uri_of(RFC_SECRET, "ann+x@example.com"))
    assert (told.scheme, told.netloc) == ("otpauth", "totp")
    assert unquote(told.path) == "/Starship Rewards:ann+x@example.com"
    assert "+" not in told.query + told.path
    assert parse_qs(told.query) == {
        "secret": [key_of(RFC_SECRET)],
        "issuer": ["Starship Rewards"],
        "algorithm": ["SHA1"],
        "digits": ["6"],
        "period": ["30"],
    }
    assert b32decode(key_of(RFC_SECRET)) == RFC_SECRET
