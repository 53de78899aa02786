"""Who has a page open: a sealed cookie that holds the API's own token, and nothing else is kept."""

import base64
import binascii
import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime
from time import monotonic
from typing import Any

import msgspec
from litestar import Request
from litestar.datastructures import Cookie

from rewards.core.clock import Clock
from rewards.infra.crypto import KeyUnknown, SealBroken, Vault

NONCE_BYTES = 16
COOKIE_CHARS_MAX = 4_000
# How long a page for signing in may stay open.
STRANGER_LIFE_S = 12 * 3600
# What a form of two steps carries from the first to the second.
STEP_LIFE_S = 300
# A word about what was just done waits for the next page, and no longer.
TOLD_LIFE_S = 60
TOLD_CHARS_MAX = 600
# A cookie may name any key: made-up ones cost the database no more than one look a second.
LEARN_EVERY_S = 1.0
CSRF = "pages.csrf"
TOLD = "pages.told"


class Session(msgspec.Struct, frozen=True):
    """What the cookie seals. `nonce` is new at every sign-in; forms are bound to it.

    `token` is the API's, empty of somebody who has not signed in. `facts` say who it is, for the
    page to show; nothing is decided by them.
    """

    nonce: str
    expires_at: int
    token: str = ""
    facts: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Session({'signed in' if self.token else 'stranger'})"


class Step(msgspec.Struct, frozen=True):
    """What the first step of a form was given; the browser carries it, and cannot read it."""

    nonce: str
    expires_at: int
    given: dict[str, str]

    def __repr__(self) -> str:
        return "Step([redacted])"


class Told(msgspec.Struct, frozen=True):
    """A word for the next page: what came of what was just done."""

    text: str
    tone: str = "good"


class Sessions:
    """Makes and reads the cookies of one room (`console`, `portal`).

    Sealed with the vault for this room alone, so that nobody can make one, read the token out of
    a stolen disk, or carry one from room to room. There is no row behind it: the session that can
    be listed and ended is the API's, and counts at every request.
    """

    def __init__(self, room: str, vault: Vault, clock: Clock, *, secure: bool) -> None:
        self._vault = vault
        self._clock = clock
        self._secure = secure
        self._place = f"pages.{room}"
        # A browser takes such a name from this host alone, over TLS alone, for all of its paths.
        self._name = f"__Host-{room}" if secure else room
        self._told = f"{self._name}-told"
        # By the monotonic clock.
        self._learns_again_s = 0.0

    def stranger(self) -> Session:
        """Somebody who is about to sign in; the form that does it is bound to them."""
        return Session(secrets.token_urlsafe(NONCE_BYTES), self._now() + STRANGER_LIFE_S)

    def signed_in(self, token: str, expires_at: datetime, facts: Mapping[str, str]) -> Session:
        """A fresh session; whatever the browser had before is not in it."""
        nonce = secrets.token_urlsafe(NONCE_BYTES)
        return Session(nonce, int(expires_at.timestamp()), token, dict(facts))

    async def read(self, request: Request[Any, Any, Any]) -> Session | None:
        """The session of the browser; None when it has none, or one that is over or not ours."""
        sealed = _decoded(request.cookies.get(self._name, ""))
        if not sealed:
            return None
        try:
            session = msgspec.json.decode(await self._open(sealed), type=Session)
        except (SealBroken, msgspec.MsgspecError):
            return None
        return session if self._now() < session.expires_at else None

    async def _open(self, sealed: bytes) -> bytes:
        try:
            return self._vault.open(self._place, 0, sealed)
        except KeyUnknown:
            # Another process sealed it under a key that is newer than what we have read.
            if monotonic() < self._learns_again_s:
                raise
            self._learns_again_s = monotonic() + LEARN_EVERY_S
            await self._vault.learn([sealed])
            return self._vault.open(self._place, 0, sealed)

    def carry(self, session: Session, given: Mapping[str, str]) -> str:
        """What was given so far, sealed for the next step of this session's form."""
        step = Step(session.nonce, self._now() + STEP_LIFE_S, dict(given))
        sealed = self._vault.seal(f"{self._place}.step", 0, msgspec.json.encode(step))
        return base64.urlsafe_b64encode(sealed).decode()

    def carried(self, session: Session, text: str) -> Mapping[str, str] | None:
        """What `carry` sealed; None for anything else, another session's, after five minutes."""
        try:
            plain = self._vault.open(f"{self._place}.step", 0, _decoded(text))
            step = msgspec.json.decode(plain, type=Step)
        except (SealBroken, msgspec.MsgspecError):
            return None
        ours = hmac.compare_digest(step.nonce, session.nonce)
        return step.given if ours and self._now() < step.expires_at else None

    def cookie(self, session: Session) -> Cookie:
        """The browser keeps it until the session's end."""
        sealed = self._vault.seal(self._place, 0, msgspec.json.encode(session))
        value = base64.urlsafe_b64encode(sealed).decode()
        return self._made(self._name, value, session.expires_at - self._now())

    def gone(self) -> Cookie:
        """Takes the session from the browser."""
        return self._made(self._name, "", 0)

    def csrf(self, session: Session) -> str:
        """What every form of this session carries; only our pages know it."""
        return self._vault.mac(CSRF, f"{self._place} {session.nonce}".encode()).hex()

    def is_ours(self, session: Session, csrf: str) -> bool:
        """Whether a form came from a page of this session."""
        return hmac.compare_digest(self.csrf(session).encode(), csrf.encode())

    def tell(self, session: Session, told: Told) -> Cookie:
        """A word for the next page of this session."""
        body = msgspec.json.encode(Told(told.text[:TOLD_CHARS_MAX], told.tone))
        value = base64.urlsafe_b64encode(self._sign(session, body) + body).decode()
        return self._made(self._told, value, TOLD_LIFE_S)

    def told(self, session: Session, request: Request[Any, Any, Any]) -> Told | None:
        """The word that waits for this page, if we wrote it and for this session."""
        raw = _decoded(request.cookies.get(self._told, ""))
        size = len(self._sign(session, b""))
        if len(raw) <= size or not hmac.compare_digest(raw[:size], self._sign(session, raw[size:])):
            return None
        return msgspec.json.decode(raw[size:], type=Told)

    def heard(self) -> Cookie:
        """Takes the word away once it was shown."""
        return self._made(self._told, "", 0)

    def _sign(self, session: Session, body: bytes) -> bytes:
        return self._vault.mac(TOLD, f"{self._place} {session.nonce} ".encode() + body)

    def _made(self, name: str, value: str, life_s: int) -> Cookie:
        return Cookie(
            name,
            value=value,
            path="/",
            max_age=life_s,
            httponly=True,
            samesite="strict",
            secure=self._secure,
        )

    def _now(self) -> int:
        return int(self._clock.now().timestamp())


def _decoded(text: str) -> bytes:
    if not text or len(text) > COOKIE_CHARS_MAX:
        return b""
    try:
        return base64.b64decode(text, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
