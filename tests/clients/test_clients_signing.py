"""Request signatures: the canonical text, its edges, and that any change breaks it."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.clients.signing import canonical, sign, signed, sorted_query

KEY = bytes(range(32))
NOW = 1_757_321_938
BODY = b'{"product_id":6,"denomination":25.00,"quantity":5}'
EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def header(timestamp: int = NOW, *, body: bytes = BODY, query: bytes = b"") -> str:
    return sign(
        KEY, method="POST", path=b"/api/v1/orders", query=query, body=body, timestamp=timestamp
    )


def good(text: str, **changed: object) -> bool:
    request: dict[str, object] = {
        "method": "POST",
        "path": b"/api/v1/orders",
        "query": b"",
        "body": BODY,
        "now_s": NOW,
    }
    return signed(text, KEY, **(request | changed))  # type: ignore[arg-type]


def test_the_canonical_text_is_five_lines() -> None:
    text = canonical("get", b"/api/v1/orders", b"page=2&limit=10", b"", 1_700_000_000)
    assert text.decode().split("\n") == [
        "GET",
        "/api/v1/orders",
        "limit=10&page=2",
        EMPTY_SHA256,
        "1700000000",
    ]


def test_a_vector_made_by_hand_verifies() -> None:
    """Computed from the documentation alone, without our own functions."""
    digest = hashlib.sha256(BODY).hexdigest()
    text = f"POST\n/api/v1/orders\na=1&b=2\n{digest}\n{NOW}"
    mac = "c66e566a4aa662ee268720dd4f304c175939dc244a0165b6483739271392356d"
    assert hmac.new(KEY, text.encode(), "sha256").hexdigest() == mac
    assert good(f"t={NOW},v1={mac}", query=b"b=2&a=1")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (b"", b""),
        (b"a=1", b"a=1"),
        (b"b=2&a=1", b"a=1&b=2"),
        (b"a=2&a=1&a=10", b"a=1&a=10&a=2"),
        (b"a=b&a", b"a&a=b"),
        (b"b&a=&a", b"a&a=&b"),
        (b"a%20b=1&a+b=2&a=3", b"a=3&a%20b=1&a+b=2"),
        (b"ab=1&a=2", b"a=2&ab=1"),
        (b"&&b=1&&a=1&", b"a=1&b=1"),
        (b"A=1&a=1&B=1", b"A=1&B=1&a=1"),
        (b"a==&a=%3D", b"a=%3D&a=="),
        (b"q=x=y&p=1", b"p=1&q=x=y"),
    ],
)
def test_a_query_is_sorted_as_sent(query: bytes, expected: bytes) -> None:
    assert sorted_query(query) == expected


@given(st.permutations([b"a=1", b"a=2", b"b", b"b=", b"c=%41", b"aa=1", b"a=1"]))
def test_the_order_of_pairs_does_not_matter(pairs: list[bytes]) -> None:
    assert sorted_query(b"&".join(pairs)) == b"a=1&a=1&a=2&aa=1&b&b=&c=%41"


@pytest.mark.parametrize(("age_s", "expected"), [(299, True), (300, True), (301, False)])
@pytest.mark.parametrize("direction", [1, -1])
def test_five_minutes_either_way_and_no_second_more(
    age_s: int, expected: bool, direction: int
) -> None:
    assert good(header(), now_s=NOW + direction * age_s) is expected


def test_fractions_of_a_second_count() -> None:
    assert good(header(), now_s=NOW + 300.0)
    assert not good(header(), now_s=NOW + 300.001)


def test_any_change_of_the_request_breaks_it() -> None:
    assert good(header())
    assert not good(header(), method="PUT")
    assert not good(header(), path=b"/api/v1/orders/")
    assert not good(header(), path=b"/api/v1/%6frders")
    assert not good(header(), query=b"a=1")
    assert not good(header(), body=BODY + b" ")
    assert not good(header(), body=b"")
    assert not good(header().replace(f"t={NOW}", f"t={NOW + 1}"))


def test_every_flipped_bit_of_the_body_breaks_it() -> None:
    text = header()
    for bit in range(len(BODY) * 8):
        flipped = bytearray(BODY)
        flipped[bit // 8] ^= 1 << bit % 8
        assert not good(text, body=bytes(flipped))


def test_every_flipped_digit_of_the_signature_breaks_it() -> None:
    text = header()
    start = text.index("v1=") + 3
    for at in range(start, len(text)):
        other = "0" if text[at] != "0" else "1"
        assert not good(text[:at] + other + text[at + 1 :])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: text.upper(),
        lambda text: text.replace(",", ", "),
        lambda text: " " + text,
        lambda text: text + "\n",
        lambda text: text + ",v1=" + "0" * 64,
        lambda text: text.replace("t=", "t=0"),
        lambda text: text.replace("t=", "t=+"),
        lambda text: text.replace("t=1", "t=\u0661"),
        lambda text: ",".join(reversed(text.split(","))),
        lambda text: text.split(",")[0],
        lambda text: text.split(",")[1],
        lambda text: text.replace("v1=", "v0="),
        lambda text: text[:-1],
    ],
)
def test_a_header_of_another_form_signs_nothing(spoil: object) -> None:
    assert not good(spoil(header()))  # type: ignore[operator]


@given(st.text(max_size=100))
def test_no_text_breaks_the_check(text: str) -> None:
    assert not good(text)
    assert not good(f"t={NOW},v1={text}")


def test_another_key_signs_nothing() -> None:
    assert not signed(
        header(),
        b"x" * 32,
        method="POST",
        path=b"/api/v1/orders",
        query=b"",
        body=BODY,
        now_s=NOW,
    )
