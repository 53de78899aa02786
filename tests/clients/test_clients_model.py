"""Clients as values: what is refused, and what shows nothing it should not."""

import base64
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.clients.model import (
    KEY_SCOPES,
    IssuedCredential,
    Limits,
    check_client,
    check_scopes,
    looks_like_api_key,
    networks_of,
    new_api_key,
    new_signing_secret,
)
from rewards.clients.passwords import check_password, check_username, normal_username
from rewards.core.errors import InvalidField


def refusal(**values: object) -> str:
    with pytest.raises(InvalidField) as refused:
        check_client(**values)  # type: ignore[arg-type]
    return refused.value.message


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": " "}, "Invalid Name: required"),
        ({"name": "x" * 201}, "Invalid Name: max"),
        ({"limits": Limits(per_minute=0)}, "Invalid OrdersPerMinute: min"),
        ({"limits": Limits(per_10s=0)}, "Invalid OrdersPer10s: min"),
        ({"limits": Limits(per_day=2**31)}, "Invalid OrdersPerDay: max"),
        ({"limits": Limits(concurrent=-1)}, "Invalid ConcurrentOrders: min"),
        ({"max_quantity": 0}, "Invalid MaxQuantity: min"),
        ({"conversion_fee_percent": Decimal("-0.1")}, "Invalid ConversionFeePercent: min"),
        ({"conversion_fee_percent": Decimal("NaN")}, "Invalid ConversionFeePercent: min"),
        ({"conversion_fee_percent": Decimal(100)}, "Invalid ConversionFeePercent: max"),
        ({"conversion_fee_percent": Decimal("0.00001")}, "Invalid ConversionFeePercent: precision"),
        ({"allowed_ips": ["10.0.0.1/8"]}, "Invalid AllowedIps: ip"),
        ({"allowed_ips": ["localhost"]}, "Invalid AllowedIps: ip"),
        ({"allowed_ips": ["::ffff:10.0.0.0/104"]}, "Invalid AllowedIps: ip"),
        ({"allowed_ips": ["10.0.0.1"] * 101}, "Invalid AllowedIps: max"),
    ],
)
def test_what_no_client_may_have_is_named(values: dict[str, object], message: str) -> None:
    assert refusal(**values) == message


def test_addresses_and_ranges_of_both_families_are_networks() -> None:
    texts = ["34.120.45.67/32", "52.208.0.0/13", "203.0.113.7", "2001:db8::/32", "2001:db8::1"]
    assert [str(each) for each in networks_of(texts)] == [
        "34.120.45.67/32",
        "52.208.0.0/13",
        "203.0.113.7/32",
        "2001:db8::/32",
        "2001:db8::1/128",
    ]


def test_scopes_are_from_the_list() -> None:
    check_scopes(KEY_SCOPES)
    for scopes in (frozenset[str](), frozenset({"orders:delete"})):
        with pytest.raises(InvalidField):
            check_scopes(scopes)


def test_keys_say_where_they_belong_and_never_repeat() -> None:
    keys = {new_api_key("test", 3) for _ in range(1000)}
    assert len(keys) == 1000
    assert all(key.startswith("sk_test_3_") and looks_like_api_key(key) for key in keys)


@given(st.text(max_size=80))
def test_nothing_else_looks_like_a_key(text: str) -> None:
    assert not looks_like_api_key(text)
    assert not looks_like_api_key(new_api_key("live", 0) + text[:1] + "!")


def test_a_signing_secret_is_32_bytes_in_base64() -> None:
    shown, key = new_signing_secret()
    assert shown.startswith("whsec_")
    assert base64.b64decode(shown.removeprefix("whsec_")) == key
    assert len(key) == 32


def test_an_issued_credential_shows_no_secret_in_its_repr() -> None:
    issued = IssuedCredential(1, 2, "sk_x", "CANARY-1", "whsec_CANARY-2", KEY_SCOPES, False)
    assert "CANARY" not in repr(issued)


@pytest.mark.parametrize(
    ("password", "rule"),
    [
        ("", "required"),
        ("1234567", "min"),
        ("x" * 129, "max"),
        ("Password123", "common"),
        ("QWERTYUIOP", "common"),
        ("aaaaaaaaaaaa", "common"),
        ("Buyer@Example.com", "common"),
    ],
)
def test_weak_passwords_are_refused(password: str, rule: str) -> None:
    with pytest.raises(InvalidField, match=f"Invalid Password: {rule}"):
        check_password(password, "buyer@example.com")


def test_long_and_odd_passwords_are_welcome() -> None:
    for password in ("x9$kQm2!", "пароль длинный", "correct horse battery", "ab" * 64):
        check_password(password, "buyer")


@pytest.mark.parametrize("username", ["", "ab", "-abc", "a b c", "ab\x00c", "ü" * 5, "a" * 101])
def test_odd_usernames_are_refused(username: str) -> None:
    with pytest.raises(InvalidField):
        check_username(username)


def test_usernames_are_told_apart_in_lower_case() -> None:
    assert normal_username("Buyer@Example.COM") == "buyer@example.com"
    check_username("buyer@example.com")
