"""Names for things: references, request ids, tokens."""

import base64
import secrets
from datetime import datetime

REF_RANDOM_BYTES = 16
TOKEN_BYTES = 32


def auto_ref(at: datetime) -> str:
    """Unix seconds and 26 base32 characters, as the seed shows (spec.md §3)."""
    random = base64.b32encode(secrets.token_bytes(REF_RANDOM_BYTES)).decode().rstrip("=")
    return f"{int(at.timestamp())}{random}"


def request_id() -> str:
    return "req_" + secrets.token_hex(12)


def secret_token(prefix: str = "") -> str:
    """256 random bits in URL-safe text: enough that a plain digest of it may be stored."""
    return prefix + secrets.token_urlsafe(TOKEN_BYTES)
