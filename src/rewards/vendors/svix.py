"""Signatures of webhooks that come through Svix, in its headers `svix-…`."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime

from rewards.vendors.model import CallbackRefused

TOLERANCE_S = 300
SIGNATURES_MAX = 10
PREFIX = "whsec_"


def verify(headers: Mapping[str, str], body: bytes, secret: str, now: datetime) -> str:
    """The id of a message that was signed with `secret` not long ago. Raises CallbackRefused.

    Several signatures may stand in the header, as while a secret is rotated: one has to fit.
    """
    message_id, stamp = headers.get("svix-id", ""), headers.get("svix-timestamp", "")
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) < 12):
        raise CallbackRefused("no time of sending")
    if abs(now.timestamp() - int(stamp)) > TOLERANCE_S:
        raise CallbackRefused("sent too long ago, or not yet")
    expected = sign(message_id, int(stamp), body, secret).encode()
    given = headers.get("svix-signature", "").split(" ")[:SIGNATURES_MAX]
    if not any(hmac.compare_digest(expected, one.encode(errors="replace")) for one in given):
        raise CallbackRefused("the signature does not fit")
    return message_id


def sign(message_id: str, stamp_s: int, body: bytes, secret: str) -> str:
    """One entry of `svix-signature`. Raises CallbackRefused for a secret that is none."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise CallbackRefused("no secret to check with") from None
    if not key:
        raise CallbackRefused("no secret to check with")
    signed = f"{message_id}.{stamp_s}.".encode(errors="replace") + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
