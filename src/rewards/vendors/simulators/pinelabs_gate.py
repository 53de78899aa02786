"""The door of the simulated Woohoo: sign-in in two steps, and the check of every signature.

Written apart from the adapter's signing, so that neither can hide a mistake of the other.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from aiohttp import web

from rewards.vendors.simulators.book import SimClock
from rewards.vendors.simulators.serving import Handler, parse

TOKEN_LIFE = timedelta(days=7)
_UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"


@dataclass(frozen=True, slots=True)
class Partner:
    """Who may ask."""

    client_id: str = "sim-client"
    username: str = "sim-user"
    client_secret: str = field(default="sim-client-secret", repr=False)
    password: str = field(default="sim-password", repr=False)


class Gate:
    """Codes, tokens and signatures of one partner. `as_text`: the way its 401s are written."""

    def __init__(self, partner: Partner, clock: SimClock, *, as_text: bool = False) -> None:
        self.partner = partner
        self.tokens: dict[str, datetime] = {}
        self._codes: set[str] = set()
        self._clock = clock
        self._as_text = as_text

    def kill_tokens(self) -> None:
        """The server forgets them all, as it sometimes does."""
        self.tokens.clear()

    async def verify(self, request: web.Request) -> web.Response:
        asked = parse(await request.read())
        who = self.partner
        wanted = {
            "clientId": who.client_id,
            "username": who.username,
            "password": who.password,
        }
        if asked != wanted:
            return self.refused("consumer_key_rejected")
        code = secrets.token_hex(16)
        self._codes.add(code)
        return web.json_response({"authorizationCode": code})

    async def token(self, request: web.Request) -> web.Response:
        """A code is good once."""
        asked = parse(await request.read())
        known = {"clientId": self.partner.client_id, "clientSecret": self.partner.client_secret}
        code = asked.pop("authorizationCode", None) if isinstance(asked, dict) else None
        if asked != known or code not in self._codes:
            error = {"code": 8321, "message": "Invalid Authorization Code", "messages": []}
            return web.json_response(error, status=400)
        self._codes.discard(code)
        bearer = secrets.token_hex(16)
        self.tokens[bearer] = self._clock.now()
        return web.json_response({"token": bearer})

    def refused(self, problem: str) -> web.Response:
        said = f"oauth_problem={problem}"
        if self._as_text:
            return web.Response(status=401, text=said)
        return web.json_response({"code": 401, "message": said, "messages": []}, status=401)

    def guarding(self, handler: Handler) -> Handler:
        """The handler for those only who hold a token and have signed the request."""

        async def run(request: web.Request) -> web.StreamResponse:
            scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
            issued_at = self.tokens.get(bearer)
            if scheme != "Bearer" or issued_at is None:
                return self.refused("token_rejected")
            if self._clock.now() - issued_at >= TOKEN_LIFE:
                return self.refused("token_rejected")
            if not _is_moment(request.headers.get("dateAtClient", "")):
                error = {"code": 400, "message": "Invalid dateAtClient", "messages": []}
                return web.json_response(error, status=400)
            wanted = signature_of(request, await request.read(), self.partner.client_secret)
            given = request.headers.get("signature", "")
            if not hmac.compare_digest(wanted.encode(), given.encode()):
                return self.refused("signature_invalid")
            return await handler(request)

        return run


def signature_of(request: web.Request, body: bytes, secret: str) -> str:
    """What the request's signature must be, whatever order its query and its keys came in."""
    path, _, query = request.raw_path.partition("?")
    url = f"{request.scheme}://{request.host}{path}"
    if query:
        url += "?" + "&".join(sorted(query.split("&")))
    parts = [request.method, escape(url)]
    if request.method in ("POST", "PUT"):
        parts.append(escape(resorted(body)))
    return hmac.new(secret.encode(), "&".join(parts).encode(), hashlib.sha512).hexdigest()


def resorted(body: bytes) -> str:
    content: Mapping[str, object] | None = parse(body)
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def escape(text: str) -> str:
    return "".join(chr(b) if b in _UNRESERVED else f"%{b:02X}" for b in text.encode())


def _is_moment(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
