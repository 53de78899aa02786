"""How the encrypted-pull family seals: against values of Node's crypto and OpenSSL, and spoiled."""

from base64 import b64decode, b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.vendors.cipher import CbcFixedIv, GcmPerMessage, Sealing, Unreadable, secret_bytes

CBC = CbcFixedIv(b"k" * 32, b"0123456789abcdef")
GCM = GcmPerMessage("family secret")
PLAIN = '{"a":"₹1"}'.encode()
CBC_OF_OTHERS = "Zi8aObnoH6cvMPaZOMuwIQ=="
GCM_OF_OTHERS = (
    {
        "ciphertext": "d650f3d65108091eb685bec8",
        "iv": "000102030405060708090a0b",
        "tag": "6516d6e9ff3276f44d80c6e71a56725f",
    },
    # Some of their runtimes take a nonce of 16 bytes.
    {
        "ciphertext": "d509b42f7aae93358d3c526c",
        "iv": "000102030405060708090a0b0c0d0e0f",
        "tag": "05f0eaa37a44201ddcb1404f1a83ac06",
    },
)


def test_it_is_what_others_make_of_the_same() -> None:
    assert CBC.seal(PLAIN) == CBC_OF_OTHERS
    assert CBC.open(CBC_OF_OTHERS) == PLAIN
    for sealed in GCM_OF_OTHERS:
        assert GCM.open(sealed) == PLAIN


@given(st.binary(max_size=200), st.sampled_from([CBC, GCM]))
def test_what_was_sealed_opens(plain: bytes, sealing: Sealing) -> None:
    assert sealing.open(sealing.seal(plain)) == plain


def test_only_the_fixed_iv_shows_that_two_messages_are_equal() -> None:
    assert CBC.seal(PLAIN) == CBC.seal(PLAIN)
    assert GCM.seal(PLAIN) != GCM.seal(PLAIN)


@given(st.integers(0, 10_000), st.sampled_from(["ciphertext", "iv", "tag"]))
def test_a_changed_bit_is_seen_where_there_is_a_tag(bit: int, name: str) -> None:
    sealed = dict(GCM_OF_OTHERS[0])
    spoiled = bytearray.fromhex(sealed[name])
    spoiled[bit // 8 % len(spoiled)] ^= 1 << bit % 8
    sealed[name] = spoiled.hex()
    with pytest.raises(Unreadable):
        GCM.open(sealed)


@pytest.mark.parametrize(
    "sealed",
    [
        *(None, 5, "", "no base64!", "AAAA", [], {}, b64encode(b"x" * 17).decode()),
        {"ciphertext": "", "iv": "", "tag": ""},
        {**GCM_OF_OTHERS[0], "tag": GCM_OF_OTHERS[0]["tag"][:8]},
        {**GCM_OF_OTHERS[0], "iv": 5},
        b64encode(b64decode(CBC_OF_OTHERS)[:-1] + b"\x00").decode(),
    ],
)
def test_nonsense_is_unreadable_and_quoted_nowhere(sealed: object) -> None:
    for sealing in (CBC, GCM):
        with pytest.raises(Unreadable) as told:
            sealing.open(sealed)
        assert str(told.value) == "it cannot be decrypted"


def test_keys_are_taken_in_the_three_forms_vendors_give_them() -> None:
    raw = bytes(range(65, 97))
    for text in (raw.decode(), raw.hex(), b64encode(raw).decode()):
        assert secret_bytes(text, 32) == raw
    iv = bytes(range(16))
    for text in (iv.hex(), b64encode(iv).decode()):
        assert secret_bytes(text, 16) == iv


@pytest.mark.parametrize("text", ["", "short", "x" * 64, "é" * 32, "x" * 1000])
def test_other_keys_are_refused_unquoted(text: str) -> None:
    with pytest.raises(ValueError, match="not 32 bytes as text, hex or base64") as told:
        secret_bytes(text, 32)
    assert not text or text not in str(told.value)
