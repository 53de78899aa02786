"""Svix signatures, against the vector of its own documentation."""

from datetime import UTC, datetime, timedelta

import pytest

from rewards.vendors.model import CallbackRefused
from rewards.vendors.svix import TOLERANCE_S, sign, verify

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
STAMP_S = 1_614_265_330
BODY = b'{"test": 2432232314}'
SIGNED = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
MESSAGE_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = datetime.fromtimestamp(STAMP_S, UTC)


def headers(**changed: str) -> dict[str, str]:
    known = {"id": MESSAGE_ID, "timestamp": str(STAMP_S), "signature": SIGNED}
    return {f"svix-{name}": value for name, value in (known | changed).items()}


def test_the_documented_vector() -> None:
    assert sign(MESSAGE_ID, STAMP_S, BODY, SECRET) == SIGNED
    assert verify(headers(), BODY, SECRET, AT) == MESSAGE_ID


def test_one_of_several_signatures_is_enough() -> None:
    assert verify(headers(signature=f"v1,old {SIGNED}"), BODY, SECRET, AT) == MESSAGE_ID


@pytest.mark.parametrize(
    ("changed", "body", "secret", "late_s"),
    [
        ({"id": "msg_other"}, BODY, SECRET, 0),
        ({"timestamp": str(STAMP_S + 1)}, BODY, SECRET, 0),
        ({"timestamp": "yesterday"}, BODY, SECRET, 0),
        ({"timestamp": ""}, BODY, SECRET, 0),
        ({"signature": ""}, BODY, SECRET, 0),
        ({"signature": "v1,\udcff"}, BODY, SECRET, 0),
        ({}, BODY + b" ", SECRET, 0),
        ({}, BODY, "whsec_AAAA", 0),
        ({}, BODY, "", 0),
        ({}, BODY, "whsec_!", 0),
        ({}, BODY, SECRET, TOLERANCE_S + 1),
        ({}, BODY, SECRET, -TOLERANCE_S - 1),
    ],
)
def test_anything_else_is_refused(
    changed: dict[str, str], body: bytes, secret: str, late_s: int
) -> None:
    with pytest.raises(CallbackRefused):
        verify(headers(**changed), body, secret, AT + timedelta(seconds=late_s))
