"""One request and its answer on an encrypted-pull wire: token, sealing, envelope."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from rewards.vendors.adapters.pull_protocol import TOKEN, UNCLEAR, Call, Protocol, named
from rewards.vendors.cipher import Sealing, Unreadable
from rewards.vendors.model import Reason
from rewards.vendors.outcome import SENSELESS
from rewards.vendors.port import SignInRefused
from rewards.vendors.tokens import Token, Tokens
from rewards.vendors.wire import Answer, NoAnswer, NotSent, Wire, read_json

TOKEN_CHARS_MAX = 8_192
OK_BELOW = 300
UNAUTHORISED = 401
THROTTLED = 429
JSON = {"Content-Type": "application/json"}
# What a vendor may say to the asking for a token that asking again does not change.
_FINAL = frozenset((TOKEN, Reason.BAD_CREDENTIALS, Reason.IP_NOT_ALLOWED, Reason.VENDOR_CONFIG))


@dataclass(frozen=True, slots=True)
class Account:
    """What a vendor gave to whoever buys there. `values`: what `@name` in a request stands for."""

    username: str
    password: str = field(repr=False)
    sealing: Sealing = field(repr=False)
    values: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """An envelope. `verdict` None: the vendor says that it went well."""

    verdict: str | None
    code: str
    content: Mapping[str, Any] = field(default_factory=dict, repr=False)
    retry_after_s: float | None = None


class Channel:
    """Asks a vendor over its wire; nothing that was sealed is ever kept or told."""

    def __init__(self, protocol: Protocol, account: Account, wire: Wire) -> None:
        self._protocol = protocol
        self._account = account
        self._wire = wire
        self._kept = frozenset(protocol.envelope.kept)
        self._tokens = Tokens(self._fetch_token)

    async def ask(
        self, name: str, call: Call, facts: Mapping[str, str | int], proof: str | None = None
    ) -> Reply:
        """The vendor's answer. `proof`: what an answer without any code has when it went well.

        A rejected token is renewed once: it was looked at before anything else, so nothing
        happened yet. Raises NotSent, NoAnswer, SignInRefused.
        """
        plain = msgspec.json.encode(self._filled(call.body, facts))
        proves = proof or self._protocol.envelope.data

        async def send(token: Token) -> Reply:
            return await self._send(name, call, plain, token, proves)

        return await self._tokens.call(send, lambda reply: reply.verdict == TOKEN)

    def opened(self, sealed: Any) -> bytes:
        """What was sealed. Raises NoAnswer: what we cannot read says nothing about the order."""
        try:
            return self._account.sealing.open(sealed)
        except Unreadable:
            raise NoAnswer("the answer cannot be decrypted") from None

    def content(self, reply: Reply) -> Any:
        """The sealed JSON of an answer. Raises NoAnswer."""
        data = reply.content.get(self._protocol.envelope.data)
        return data if self._protocol.sealed == "codes" else read_json(self.opened(data))

    async def _send(self, name: str, call: Call, plain: bytes, held: Token, proof: str) -> Reply:
        token = self._protocol.token
        answer = await self._wire.call(
            name,
            "POST",
            call.path,
            headers={**JSON, token.header: token.prefix + held.text},
            body=self._sealed(plain) if call.sealed else plain,
            shown=plain,
            answer_shown=self._kept,
        )
        return self._reply(answer, proof)

    def _sealed(self, plain: bytes) -> bytes:
        if self._protocol.sealed == "codes":
            return plain
        payload = self._account.sealing.seal(plain)
        return msgspec.json.encode({self._protocol.envelope.payload: payload})

    def _filled(
        self, body: Mapping[str, str], facts: Mapping[str, str | int]
    ) -> dict[str, str | int]:
        filled: dict[str, str | int] = {}
        for name, source in body.items():
            if source.startswith("="):
                filled[name] = source[1:]
            elif source.startswith("@"):
                filled[name] = self._account.values[source[1:]]
            else:
                filled[name] = facts[source]
        return filled

    def _reply(self, answer: Answer, proof: str) -> Reply:
        if answer.status == THROTTLED:
            return Reply(Reason.THROTTLED, "429", retry_after_s=answer.retry_after_s)
        names, unauthorised = self._protocol.envelope, answer.status == UNAUTHORISED
        try:
            content = answer.json()
        except NoAnswer:
            if unauthorised:
                return Reply(TOKEN, "401")
            raise
        if not isinstance(content, dict):
            raise NoAnswer(SENSELESS)
        code = next((content[n] for n in names.code if content.get(n) not in (None, "")), None)
        if code is None and not unauthorised and content.get(proof) in (None, ""):
            raise NoAnswer(SENSELESS)
        if (code is None or str(code) == names.ok) and answer.status < OK_BELOW:
            return Reply(None, names.ok, content)
        text = " ".join(str(content[name]) for name in names.text if content.get(name))
        verdict = self._protocol.verdict(code, text)
        if unauthorised and verdict == UNCLEAR:
            verdict = TOKEN
        return Reply(verdict, named(answer.status if code is None else code), content)

    async def _fetch_token(self) -> Token:
        token = self._protocol.token
        headers = {
            **JSON,
            token.username_header: self._account.username,
            token.password_header: self._account.password,
        }
        body = msgspec.json.encode(self._filled(token.body, {})) if token.body else None
        answer = await self._wire.call(
            *("token", token.method, token.path),
            headers=headers,
            body=body,
            answer_shown=self._kept,
        )
        reply = self._reply(answer, token.field)
        if reply.verdict is None:
            return Token(self._token_text(reply.content.get(token.field)), token.lives_s)
        said = f"no token: {reply.code}"
        if reply.verdict in _FINAL:
            no = Reason.BAD_CREDENTIALS if reply.verdict == TOKEN else Reason(reply.verdict)
            raise SignInRefused(no, said)
        throttled = reply.verdict == Reason.THROTTLED
        raise NotSent(said, throttled=throttled, retry_after_s=reply.retry_after_s or 0)

    def _token_text(self, value: Any) -> str:
        whole = self._protocol.sealed == "messages"
        raw = self.opened(value) if whole else str(value).encode()
        text = raw.decode("ascii", "replace").strip().strip('"')
        # It becomes a header.
        if not 0 < len(text) <= TOKEN_CHARS_MAX or not text.isascii() or not text.isprintable():
            raise NoAnswer("the token makes no sense")
        return text
