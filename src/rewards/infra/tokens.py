"""Signed access tokens (JWT, HS256): one algorithm, one audience for each kind of caller."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import jwt

from rewards.core.errors import Unauthorized

ALGORITHM = "HS256"
ISSUER = "starship-rewards"
TOKEN_CHARS_MAX = 1024
# Two machines' clocks may differ this much.
LEEWAY = timedelta(seconds=30)
KEY_BYTES_MIN = 32
# Unpadded base64url; the last of a signature's 43 digits carries four bits, and the other two must
# be zero. So one token has one spelling.
TOKEN_PATTERN = re.compile(r"[\w-]{1,200}\.[\w-]{1,800}\.[\w-]{42}[AEIMQUYcgkosw048]", re.ASCII)
REGISTERED = frozenset({"iss", "aud", "sub", "epoch", "iat", "exp"})
NOTHING: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Claims:
    subject_id: int
    # Of the subject when the token was made; a later epoch means it was logged out since.
    epoch: int
    expires_at: datetime
    # Further numbers by name, as they were given when the token was made.
    extra: Mapping[str, int] = field(default_factory=dict)


class Signer:
    """Makes and checks tokens of one audience with one key (at least 32 bytes)."""

    def __init__(self, key: bytes, audience: str) -> None:
        assert len(key) >= KEY_BYTES_MIN, "HS256 needs a key as long as its digest"
        self._key = key
        self._audience = audience
        # Names the key without giving it away. The whole header must be this one: no token chooses
        # its key, its algorithm, or an extension.
        key_id = hashlib.sha256(b"key id " + key).hexdigest()[:16]
        self._header = {"alg": ALGORITHM, "kid": key_id, "typ": "JWT"}
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

    def issue(
        self,
        subject_id: int,
        epoch: int,
        at: datetime,
        lifetime: timedelta,
        extra: Mapping[str, int] = NOTHING,
    ) -> str:
        """A token for `subject_id` from `at` on, for `lifetime`."""
        claims = {
            **extra,
            "iss": ISSUER,
            "aud": self._audience,
            "sub": str(subject_id),
            "epoch": epoch,
            "iat": int(at.timestamp()),
            "exp": int((at + lifetime).timestamp()),
        }
        return jwt.encode(claims, self._key, algorithm=ALGORITHM, headers=self._header)

    def read(self, token: str, at: datetime) -> Claims:
        """What the token says. Raises Unauthorized for a bad, foreign or expired one."""
        if len(token) > TOKEN_CHARS_MAX or TOKEN_PATTERN.fullmatch(token) is None:
            raise Unauthorized
        try:
            whole = self._decoder.decode_complete(
                token, self._key, algorithms=[ALGORITHM], audience=self._audience, issuer=ISSUER
            )
            if whole["header"] != self._header:
                raise Unauthorized
            body = whole["payload"]
            expires_at = datetime.fromtimestamp(int(body["exp"]), UTC)
            issued_at = datetime.fromtimestamp(int(body["iat"]), UTC)
            extra = {name: int(body[name]) for name in body.keys() - REGISTERED}
            claims = Claims(int(body["sub"]), int(body["epoch"]), expires_at, extra)
        except (jwt.InvalidTokenError, ValueError, TypeError, KeyError, OverflowError) as bad:
            raise Unauthorized from bad
        if at >= expires_at or issued_at > at + LEEWAY:
            raise Unauthorized
        return claims
