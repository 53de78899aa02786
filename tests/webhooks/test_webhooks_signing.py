"""Signatures of what we send: published vectors, another implementation, flipped bits."""

import base64
import hashlib
import hmac
import json
import random
import secrets
from datetime import UTC, datetime

import pytest
import time_machine
from hypothesis import example, given, settings
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from rewards.clients.model import new_signing_secret
from rewards.webhooks import envelope, signing

SECRET, KEY = "whsec_" + base64.b64encode(bytes(range(32))).decode(), bytes(range(32))
NOW_S = 1_732_190_400
NOW = datetime.fromtimestamp(NOW_S, UTC)
BODY = b'{"id":"evt_1","event":"order.delivered"}'
FLIPS = 10_000


def judge(secret: str, headers: dict[str, str], body: bytes, now_s: float = NOW_S) -> bool:
    """What the reference implementation says; it reads the clock itself."""
    with time_machine.travel(now_s, tick=False):
        try:
            Webhook(secret).verify(body, headers, json_parse=False)
        except (WebhookVerificationError, ValueError):
            return False
        return True


def lower(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def test_the_published_vector() -> None:
    """From the tests that the specification ships with its libraries."""
    key = signing.key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    made = signing.signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_plain_pair_is_what_its_documentation_says() -> None:
    """Made by hand: the hex HMAC of the time, a dot and the body."""
    headers = signing.headers([KEY], "evt_1", NOW_S, BODY)
    expected = hmac.new(KEY, str(NOW_S).encode() + b"." + BODY, hashlib.sha256).hexdigest()
    assert (headers["X-Timestamp"], headers["X-Signature"]) == (str(NOW_S), expected)
    assert headers["webhook-timestamp"] == headers["X-Timestamp"]


@settings(max_examples=300, deadline=None)
@given(st.binary(min_size=24, max_size=64), st.integers(1, 2**62), st.text(max_size=300))
@example(KEY, 1, "")
@example(KEY, 1, "Ünïcödé \u202e 🎁 \x00")
def test_the_reference_implementation_agrees(key: bytes, event_id: int, text: str) -> None:
    secret = signing.SECRET_PREFIX + base64.b64encode(key).decode()
    body = text.encode()
    headers = signing.headers([key], envelope.message_id(event_id), NOW_S, body)
    assert signing.key_of(secret) == key
    assert judge(secret, headers, body)
    assert signing.verified(key, lower(headers), body, NOW_S)
    theirs = Webhook(secret).sign(headers["webhook-id"], NOW, text)
    assert headers["webhook-signature"] == theirs


def test_a_megabyte_is_signed_as_well() -> None:
    body = json.dumps({"data": "é" * 500_000}, ensure_ascii=False).encode()
    headers = signing.headers([KEY], "evt_1", NOW_S, body)
    assert len(body) > 1_000_000
    assert judge(SECRET, headers, body)
    assert signing.verified(KEY, lower(headers), body, NOW_S)


def test_no_bit_of_id_time_or_body_can_flip() -> None:
    """Each of 10,000 flips breaks both signatures it is under (T40)."""
    chance = random.Random(40)
    headers = lower(signing.headers([KEY], "evt_1234567890", NOW_S, BODY))
    for _ in range(FLIPS):
        where = chance.choice(["webhook-id", "webhook-timestamp", "body"])
        forged, body = dict(headers), BODY
        if where == "body":
            body = flipped(chance, BODY)
        else:
            forged[where] = flipped(chance, headers[where].encode()).decode("latin-1")
        assert not signing.verified(KEY, forged, body, NOW_S), (where, forged, body)
        if where == "body":
            assert signing.plain_signature(KEY, NOW_S, body) != headers["x-signature"]


def test_no_bit_of_the_signature_can_flip() -> None:
    headers = lower(signing.headers([KEY], "evt_1", NOW_S, BODY))
    entry = headers["webhook-signature"].encode()
    for bit in range(len(entry) * 8):
        turned = bytearray(entry)
        turned[bit // 8] ^= 1 << bit % 8
        forged = headers | {"webhook-signature": turned.decode("latin-1")}
        assert not signing.verified(KEY, forged, BODY, NOW_S)


def flipped(chance: random.Random, text: bytes) -> bytes:
    turned = bytearray(text)
    bit = chance.randrange(len(turned) * 8)
    turned[bit // 8] ^= 1 << bit % 8
    return bytes(turned)


def test_two_secrets_sign_while_one_is_rotated() -> None:
    """Who knows only the old one verifies, who knows only the new one does too (T41)."""
    new, old = secrets.token_bytes(32), secrets.token_bytes(32)
    headers = signing.headers([new, old], "evt_1", NOW_S, BODY)
    assert len(headers["webhook-signature"].split(" ")) == 2
    for key in (new, old):
        secret = signing.SECRET_PREFIX + base64.b64encode(key).decode()
        assert signing.verified(key, lower(headers), BODY, NOW_S)
        assert judge(secret, headers, BODY)
    assert headers["X-Signature"] == signing.plain_signature(new, NOW_S, BODY)
    assert not signing.verified(secrets.token_bytes(32), lower(headers), BODY, NOW_S)


@pytest.mark.parametrize(("away_s", "good"), [(299, True), (300, True), (301, False)])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_edges_of_time(away_s: int, good: bool, sign: int) -> None:
    """Both ways, and as the reference implementation has it (T42)."""
    headers = signing.headers([KEY], "evt_1", NOW_S, BODY)
    now_s = NOW_S + sign * away_s
    assert signing.verified(KEY, lower(headers), BODY, now_s) is good
    assert judge(SECRET, headers, BODY, now_s) is good


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": ""},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": "0" + str(NOW_S)},
        {"webhook-timestamp": f"{NOW_S}.0"},
        {"webhook-timestamp": f"+{NOW_S}"},
        {"webhook-timestamp": "١٧٣٢١٩٠٤٠٠"},
        {"webhook-timestamp": "9" * 400},
        {"webhook-signature": ""},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,\udcff"},
        {"webhook-signature": "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
    ],
)
def test_headers_that_prove_nothing(change: dict[str, str]) -> None:
    headers = lower(signing.headers([KEY], "evt_1", NOW_S, BODY))
    assert signing.verified(KEY, headers, BODY, NOW_S)
    assert not signing.verified(KEY, headers | change, BODY, NOW_S)
    for name in change:
        without = {key: value for key, value in headers.items() if key != name}
        assert not signing.verified(KEY, without, BODY, NOW_S)


def test_a_signature_behind_too_many_others_is_not_looked_for() -> None:
    headers = lower(signing.headers([KEY], "evt_1", NOW_S, BODY))
    crowd = " ".join(["v1,x"] * signing.SIGNATURES_MAX + [headers["webhook-signature"]])
    assert not signing.verified(KEY, headers | {"webhook-signature": crowd}, BODY, NOW_S)


def test_a_secret_is_what_its_text_stands_for() -> None:
    shown, key = new_signing_secret()
    assert signing.key_of(shown) == key
    assert 24 <= len(key) <= 64
    for bad in ("", "whsec_", key.hex(), "whsec_%%%", shown.removeprefix("whsec_")):
        with pytest.raises(ValueError):
            signing.key_of(bad)


def test_the_envelope_is_as_the_contract_says() -> None:
    told = envelope.envelope(
        7, "order.delivered", NOW, 12, '{"order_id": 5, "amount": 10.00, "ref": "ü"}'
    )
    made = envelope.body(told)
    assert made.decode() == (
        '{"id":"evt_7","event":"order.delivered","type":"order.delivered",'
        '"timestamp":"2024-11-21T12:00:00Z","sequence":12,'
        '"data":{"order_id": 5, "amount": 10.00, "ref": "ü"}}'
    )
    assert envelope.body(told) == made
    assert "." not in told.id
