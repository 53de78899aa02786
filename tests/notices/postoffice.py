"""A post office for tests: aiosmtpd as a real SMTP server, with the faults that happen."""
# Its methods are named as aiosmtpd calls them.
# ruff: noqa: N802

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

OK = "250 OK"


@dataclass
class Fault:
    """What happens at a stage (MAIL, RCPT, DATA), the next so many times.

    `said`: a reply, or `drop` (the connection ends), `slow` (no answer until the end), `torn` (of
    DATA: it is taken, and the connection ends before the reply).
    """

    stage: str
    said: str
    times: int = 1
    to: str = ""


@dataclass
class PostOffice:
    """The server's handler: what it took lies in `taken`, by the order it came in."""

    taken: list[EmailMessage] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    senders: list[str] = field(default_factory=list)
    faults: deque[Fault] = field(default_factory=deque)
    greetings: list[str] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0

    def fail(self, stage: str, said: str, times: int = 1, to: str = "") -> None:
        self.faults.append(Fault(stage, said, times, to))

    async def _met(self, server: SMTP, stage: str, to: str = "") -> str | None:
        for fault in list(self.faults):
            if fault.stage == stage and fault.to in ("", to):
                fault.times -= 1
                if not fault.times:
                    self.faults.remove(fault)
                if fault.said == "slow":
                    await self.over.wait()
                if fault.said in ("drop", "slow", "torn"):
                    assert server.transport is not None
                    server.transport.close()
                    return "421 gone"
                return fault.said
        return None

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, name: str, answers: list[str]
    ) -> list[str]:
        session.host_name = name
        self.greetings.append(name)
        return answers

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if said := await self._met(server, "MAIL"):
            return said
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return OK

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if said := await self._met(server, "RCPT", address):
            return said
        envelope.rcpt_tos.append(address)
        return OK

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        torn = any(fault.stage == "DATA" and fault.said == "torn" for fault in self.faults)
        said = None if torn else await self._met(server, "DATA")
        if said:
            # As some servers do: they quote what they will not have.
            return said.replace("{content}", _quoted(envelope))
        content = envelope.content
        assert isinstance(content, bytes)
        self.raw.append(content)
        self.taken.append(message_from_bytes(content, policy=default))  # type: ignore[arg-type]
        self.recipients += envelope.rcpt_tos
        self.senders.append(envelope.mail_from or "")
        self.encrypted.append(session.ssl is not None)
        return (await self._met(server, "DATA") if torn else None) or OK


def _quoted(envelope: Envelope) -> str:
    assert isinstance(envelope.content, bytes)
    mail = message_from_bytes(envelope.content, policy=default)
    body = mail.get_body(("plain",))
    assert body is not None
    return " ".join(body.get_content().split())[:400]


def text_of(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def html_of(mail: EmailMessage) -> str:
    body = mail.get_body(("html",))
    assert body is not None
    return str(body.get_content())


class _Logins:
    """Knows one name and one password."""

    def __call__(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> Any:
        good = (data.login, data.password) == (b"rewards", b"open sesame")
        return AuthResult(success=good, handled=False)


@asynccontextmanager
async def post_office(
    tls: ssl.SSLContext | None = None, *, implicit: bool = False, login: bool = False
) -> AsyncIterator[PostOffice]:
    """Open on a port of its own; with `tls` it wants STARTTLS, or TLS at once (`implicit`)."""
    office = PostOffice()

    def answer() -> SMTP:
        return SMTP(
            office,
            hostname="post.example",
            ident="Post",
            tls_context=None if implicit else tls,
            require_starttls=tls is not None and not implicit,
            authenticator=_Logins() if login else None,
            # It warns of the combination; the whole connection is encrypted.
            auth_required=login and not implicit,
            auth_require_tls=login and not implicit,
            loop=asyncio.get_running_loop(),
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(answer, "127.0.0.1", 0, ssl=tls if implicit else None)
    office.port = server.sockets[0].getsockname()[1]
    try:
        yield office
    finally:
        office.over.set()
        server.close()
