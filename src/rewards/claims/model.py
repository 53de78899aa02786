"""Links as values, their tokens, and how long they may be used; pure."""

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from rewards.core.errors import Refusal, TooManyRequests

# 256 random bits, in 43 characters of URL-safe base64.
TOKEN_BYTES = 32
TOKEN = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
# Wrong passwords for one link in one window; it is counted with the link, whoever tries from where.
TRIES_MAX = 5
TRIES_PER = timedelta(minutes=15)


class WrongPassword(Refusal):
    """The link is right, and what was typed is not what its buyer chose."""

    status = 403
    error = "Forbidden"
    code = "WRONG_CLAIM_PASSWORD"
    default_message = "Password is not right"


class TriesSpent(TooManyRequests):
    """Nobody may try a password on this link for a while, not even the right one."""

    code = "CLAIM_TRIES_SPENT"

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": str(int(TRIES_PER.total_seconds()))})


@dataclass(frozen=True, slots=True)
class Link:
    """A link as its row has it; where it leads is the order's to say."""

    id: int
    order_id: int
    position: int
    claim_before: datetime
    created_at: datetime
    claimed_at: datetime | None
    ended_at: datetime | None

    def fits(self, at: datetime) -> bool:
        """Whether this key may be used at that time: always once it was, until it is replaced."""
        if self.ended_at is not None:
            return False
        return self.claimed_at is not None or at < self.claim_before


def new_token() -> str:
    return secrets.token_urlsafe(TOKEN_BYTES)


def digest_of(token: str) -> bytes:
    """What is stored of a token to find it again: nobody can go back from it."""
    return hashlib.sha256(token.encode()).digest()


def claim_before(at: datetime, days: int, expires_at: datetime | None) -> datetime:
    """Until when a link made at `at` must be used: so many days, or while its voucher lives."""
    latest = at + timedelta(days=days)
    return latest if expires_at is None else min(latest, expires_at)
