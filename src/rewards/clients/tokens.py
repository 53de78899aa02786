"""Access tokens of client logins, and the shape of the refresh tokens beside them."""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from rewards.core import ids
from rewards.core.errors import Unauthorized
from rewards.infra.crypto import Vault
from rewards.infra.tokens import Signer

AUDIENCE = "client"
KEY_PURPOSE = "access-token"
CLIENT_CLAIM = "cid"
FAMILY_CLAIM = "fam"
# spec.md §2.
ACCESS_LIFETIME = timedelta(minutes=15)
REFRESH_LIFETIME = timedelta(days=7)
REFRESH_PREFIX = "rt_"
REFRESH_CHARS_MAX = 128


@dataclass(frozen=True, slots=True)
class Access:
    """An access token and when it ends (a whole second)."""

    token: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """What a genuine access token says; whether the client still honours it is not looked at."""

    login_id: int
    client_id: int
    epoch: int
    # All sessions that descend from one login.
    family: UUID
    expires_at: datetime


class AccessTokens:
    """Makes and reads access tokens: HS256 under a key of the vault, for the audience "client"."""

    def __init__(self, vault: Vault) -> None:
        self._signer = Signer(vault.mac_key(KEY_PURPOSE), AUDIENCE)

    def issue(
        self, *, login_id: int, client_id: int, epoch: int, family: UUID, at: datetime
    ) -> Access:
        at = at.replace(microsecond=0)
        extra = {CLIENT_CLAIM: client_id, FAMILY_CLAIM: family.int}
        token = self._signer.issue(login_id, epoch, at, ACCESS_LIFETIME, extra)
        return Access(token, at + ACCESS_LIFETIME)

    def read(self, token: str, at: datetime) -> TokenClaims:
        """Raises Unauthorized for a bad, foreign or expired one."""
        claims = self._signer.read(token, at)
        client_id, family = claims.extra.get(CLIENT_CLAIM), claims.extra.get(FAMILY_CLAIM)
        if client_id is None or family is None or not 0 <= family < 2**128:
            raise Unauthorized
        return TokenClaims(
            claims.subject_id, client_id, claims.epoch, UUID(int=family), claims.expires_at
        )


def new_refresh_token() -> str:
    """256 random bits, opaque; only its digest is stored."""
    return ids.secret_token(REFRESH_PREFIX)


def refresh_digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
