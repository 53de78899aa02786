"""Time-based one-time codes of six digits (RFC 6238, SHA-1, 30 s); pure."""

import hmac
from base64 import b32encode
from datetime import datetime
from urllib.parse import quote, urlencode

DIGITS = 6
STEP_S = 30
# A phone's clock may be half a minute off, either way.
STEPS_ASIDE = 1
# As long as the digest, as RFC 4226 §4 recommends.
SECRET_BYTES = 20
ISSUER = "Starship Rewards"


def step_at(at: datetime) -> int:
    """The number of the half minute that `at` is in."""
    return int(at.timestamp()) // STEP_S


def code_of(secret: bytes, step: int, digits: int = DIGITS) -> str:
    """The code of one half minute (RFC 4226 §5.3)."""
    digest = hmac.digest(secret, step.to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 15
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**digits:0{digits}d}"


def step_shown(secret: bytes, code: str, at: datetime, last_step: int) -> int | None:
    """The half minute whose code this is, around `at` and after `last_step`; None for any other.

    Every candidate is compared, each in constant time: how long it takes tells nothing.
    """
    now, shown = step_at(at), None
    for step in range(now + STEPS_ASIDE, now - STEPS_ASIDE - 1, -1):
        same = hmac.compare_digest(code_of(secret, step).encode(), code.encode())
        # The earliest, so that a code which two half minutes share uses up one of them.
        shown = step if same and step > last_step else shown
    return shown


def key_of(secret: bytes) -> str:
    """The secret as people type it into an authenticator."""
    return b32encode(secret).decode()


def uri_of(secret: bytes, username: str) -> str:
    """What an authenticator reads from a QR code (Key Uri Format)."""
    label = quote(f"{ISSUER}:{username}", safe=":@")
    asked = {
        "secret": key_of(secret),
        "issuer": ISSUER,
        "algorithm": "SHA1",
        "digits": DIGITS,
        "period": STEP_S,
    }
    return f"otpauth://totp/{label}?{urlencode(asked, quote_via=quote)}"
