"""How Woohoo (Pine Labs) knows who asks: a token in two steps, and a signature on every request."""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from rewards.core.clock import Clock
from rewards.vendors.model import Reason
from rewards.vendors.port import SignInRefused
from rewards.vendors.tokens import EARLY, Token, Tokens
from rewards.vendors.wire import Answer, NoAnswer, NotSent, Wire

# A token lives about seven days; given up a tenth early, this one is renewed after six.
LIVES_S = 6 * 86_400 * EARLY // (EARLY - 1)
USER_AGENT = "starship-rewards"
_HEADERS = {"Content-Type": "application/json", "Accept": "*/*", "User-Agent": USER_AGENT}
_REJECTED = b"token_rejected"
_JSON = msgspec.json.Encoder(decimal_format="number", order="sorted")


@dataclass(frozen=True, slots=True)
class Account:
    """Who asks."""

    client_id: str
    username: str
    client_secret: str = field(repr=False)
    password: str = field(repr=False)


def encode(text: str) -> str:
    """Percent-encoding of RFC 3986: all but letters, digits and `-._~`; a space is %20.

    Runtimes differ in `!'()*~`; a difference there breaks the signature.
    """
    return quote(text, safe="")


def sorted_json(content: Mapping[str, Any]) -> bytes:
    """Compact JSON with the keys sorted at every level, slashes and other letters as they are."""
    return _JSON.encode(content)


def sign(secret: str, method: str, url: str, body: bytes | None = None) -> str:
    """The signature of a request; `url` absolute with its query sorted, `body` sorted JSON."""
    base = f"{method}&{encode(url)}"
    if body is not None:
        base += f"&{encode(body.decode())}"
    return hmac.new(secret.encode(), base.encode(), hashlib.sha512).hexdigest()


class Session:
    """Signed calls of one account; `now` counts the seconds of a token's life."""

    def __init__(
        self,
        account: Account,
        wire: Wire,
        clock: Clock,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._account = account
        self._wire = wire
        self._clock = clock
        self._tokens = Tokens(self._sign_in, now)

    async def call(
        self,
        call: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Answer:
        """The vendor's answer. Raises SignInRefused, NotSent, NoAnswer.

        A rejected token proves that nothing else was done: then, once, with a new one again.
        """

        async def send(token: Token) -> Answer:
            return await self._signed(token, call, method, path, query, body)

        return await self._tokens.call(
            send, lambda answer: answer.status == 401 and _REJECTED in answer.body
        )

    async def _signed(
        self,
        token: Token,
        call: str,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
    ) -> Answer:
        ordered = dict(sorted(query.items())) if query else None
        url = self._wire.base_url + path
        if ordered:
            url += "?" + urlencode(ordered, quote_via=quote, safe="")
        raw = sorted_json(body) if body is not None else None
        headers = {
            **_HEADERS,
            "Authorization": f"Bearer {token.text}",
            "dateAtClient": self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
            "signature": sign(self._account.client_secret, method, url, raw),
        }
        return await self._wire.call(call, method, path, query=ordered, headers=headers, body=raw)

    async def _sign_in(self) -> Token:
        who = self._account
        code = await self._step(
            "verify",
            {"clientId": who.client_id, "username": who.username, "password": who.password},
            "authorizationCode",
        )
        bearer = await self._step(
            "token",
            {
                "clientId": who.client_id,
                "clientSecret": who.client_secret,
                "authorizationCode": code,
            },
            "token",
        )
        return Token(bearer, LIVES_S)

    async def _step(self, call: str, body: Mapping[str, str], wanted: str) -> str:
        answer = await self._wire.call(
            *(call, "POST", f"/oauth2/{call}"),
            headers=_HEADERS,
            body=sorted_json(body),
            answer_shown=False,
        )
        if answer.status == 429:
            wait_s = answer.retry_after_s or 0.0
            raise NotSent("sign-in asked too often", throttled=True, retry_after_s=wait_s)
        if answer.status == 403:
            raise SignInRefused(forbidden(answer), "sign-in is answered 403")
        if answer.status in (400, 401):
            raise SignInRefused(Reason.BAD_CREDENTIALS, f"sign-in is answered {answer.status}")
        content = answer.json()
        got = content.get(wanted) if isinstance(content, dict) else None
        if not isinstance(got, str) or not got:
            raise NoAnswer("the answer to signing in makes no sense")
        return got


def forbidden(answer: Answer) -> Reason:
    """What a 403 means: the vendor's own is JSON, its gate's (unknown address) is a page."""
    own = answer.body.lstrip().startswith(b"{")
    return Reason.BAD_CREDENTIALS if own else Reason.IP_NOT_ALLOWED
