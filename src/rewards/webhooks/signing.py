"""Signatures of what we send: Standard Webhooks to the letter, and the plain pair beside it.

`webhook-signature` holds `v1,<base64>` once for each secret, separated by a blank: the HMAC-SHA256
of `<webhook-id>.<webhook-timestamp>.<body>` under the bytes that `whsec_<base64>` stands for.
`X-Signature` is the lower-case hex HMAC-SHA256 of `<X-Timestamp>.<body>`; it has room for one, so
the present secret makes it, also while the one before still signs the other (spec.md §7).
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence

TOLERANCE_S = 300
SIGNATURES_MAX = 10
VERSION = "v1,"
SECRET_PREFIX = "whsec_"  # noqa: S105
# Seconds without a leading zero: the number is read, and its very text was signed.
TIMESTAMP = re.compile(r"[1-9][0-9]{0,11}", re.ASCII)


def signature(key: bytes, message_id: str, stamp_s: int, body: bytes) -> str:
    """One entry of `webhook-signature`; `stamp_s` are the Unix seconds of the attempt."""
    return VERSION + base64.b64encode(_mac(key, f"{message_id}.{stamp_s}.", body)).decode()


def plain_signature(key: bytes, stamp_s: int, body: bytes) -> str:
    """`X-Signature`."""
    return _mac(key, f"{stamp_s}.", body).hex()


def headers(keys: Sequence[bytes], message_id: str, stamp_s: int, body: bytes) -> dict[str, str]:
    """All that signs one attempt. `keys`: the present one, then the one before while it counts.

    `message_id` is the same in every attempt and has no dot; `stamp_s` is that attempt's own.
    """
    stamp = str(stamp_s)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": stamp,
        "webhook-signature": " ".join(signature(key, message_id, stamp_s, body) for key in keys),
        "X-Timestamp": stamp,
        "X-Signature": plain_signature(keys[0], stamp_s, body),
    }


def verified(key: bytes, given: Mapping[str, str], body: bytes, now_s: float) -> bool:
    """Whether a receiver with this key should believe the attempt; `given` has lower-case names.

    One entry of `webhook-signature` fits, made no more than TOLERANCE_S ago or ahead. That an id
    came before is the receiver's to remember.
    """
    stamp, message_id = given.get("webhook-timestamp", ""), given.get("webhook-id", "")
    if TIMESTAMP.fullmatch(stamp) is None or not message_id:
        return False
    if abs(now_s - int(stamp)) > TOLERANCE_S:
        return False
    expected = signature(key, message_id, int(stamp), body).encode()
    entries = given.get("webhook-signature", "").split(" ")[:SIGNATURES_MAX]
    return any(hmac.compare_digest(expected, _bytes(entry)) for entry in entries)


def key_of(secret: str) -> bytes:
    """The key of the HMAC that `whsec_<base64>` stands for. Raises ValueError for anything else."""
    if not secret.startswith(SECRET_PREFIX):
        raise ValueError("a secret begins with whsec_")
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("a secret is base64 behind whsec_") from None
    if not key:
        raise ValueError("a secret is not empty")
    return key


def _mac(key: bytes, prefix: str, body: bytes) -> bytes:
    return hmac.digest(key, _bytes(prefix) + body, hashlib.sha256)


def _bytes(text: str) -> bytes:
    # What came over the wire may hold what has no UTF-8 form.
    return text.encode(errors="surrogatepass")
