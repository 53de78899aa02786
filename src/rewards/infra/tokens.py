"""Signed access tokens (JWT, HS256): one algorithm, one audience for each kind of caller."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import jwt

from rewards.core.errors import Unauthorized

ALGORITHM = "HS256"
ISSUER = "starship-rewards"
TOKEN_CHARS_MAX = 1024
# Two machines' clocks may differ this much.
LEEWAY = timedelta(seconds=30)
KEY_BYTES_MIN = 32


@dataclass(frozen=True, slots=True)
class Claims:
    subject_id: int
    # Of the subject when the token was made; a later epoch means it was logged out since.
    epoch: int
    expires_at: datetime


class Signer:
    """Makes and checks tokens of one audience with one key (at least 32 bytes)."""

    def __init__(self, key: bytes, audience: str) -> None:
        assert len(key) >= KEY_BYTES_MIN, "HS256 needs a key as long as its digest"
        self._key = key
        self._audience = audience
        self._decoder = jwt.PyJWT(
            options={
                "require": ["iss", "aud", "sub", "iat", "exp"],
                # Times are compared below, with the clock that tests can move.
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            }
        )

    def __repr__(self) -> str:
        return f"Signer({self._audience})"

    def issue(self, subject_id: int, epoch: int, at: datetime, lifetime: timedelta) -> str:
        """A token for `subject_id` from `at` on, for `lifetime`."""
        claims = {
            "iss": ISSUER,
            "aud": self._audience,
            "sub": str(subject_id),
            "epoch": epoch,
            "iat": int(at.timestamp()),
            "exp": int((at + lifetime).timestamp()),
        }
        return jwt.encode(claims, self._key, algorithm=ALGORITHM)

    def read(self, token: str, at: datetime) -> Claims:
        """What the token says. Raises Unauthorized for a bad, foreign or expired one."""
        if len(token) > TOKEN_CHARS_MAX:
            raise Unauthorized
        try:
            body = self._decoder.decode(
                token, self._key, algorithms=[ALGORITHM], audience=self._audience, issuer=ISSUER
            )
            expires_at = datetime.fromtimestamp(int(body["exp"]), UTC)
            issued_at = datetime.fromtimestamp(int(body["iat"]), UTC)
            claims = Claims(int(body["sub"]), int(body["epoch"]), expires_at)
        except (jwt.InvalidTokenError, ValueError, TypeError, KeyError, OverflowError) as bad:
            raise Unauthorized from bad
        if at >= expires_at or issued_at > at + LEEWAY:
            raise Unauthorized
        return claims
