"""The dialogue with the SMTP server that takes our mail, and what its outcome is called."""

import asyncio
import ssl
from dataclasses import dataclass, field
from types import TracebackType

from aiosmtplib import SMTP, SMTPException, SMTPResponseException

from rewards.infra.settings import Settings
from rewards.notices.model import Outcome, Reply, reply_of

QUIT_S = 2.0
# What a broken, slow or absent connection raises.
BROKEN = (SMTPException, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A mail as it goes over the wire; its content may hold codes."""

    sender: str
    recipient: str = field(repr=False)
    content: bytes = field(repr=False)


class Relay:
    """The server of the settings. `line()` is one connection to it, opened when it is needed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tls = ssl.create_default_context(cafile=settings.mail_ca_file)

    def line(self) -> "Line":
        return Line(self)

    async def connect(self) -> SMTP:
        """A connection over which mail may be sent: encrypted and logged in where it must be."""
        chosen = self._settings
        smtp = SMTP(
            hostname=chosen.mail_host,
            port=chosen.mail_port,
            use_tls=chosen.mail_tls == "TLS",
            # Required where it is asked for: nobody on the way can talk us out of it.
            start_tls=chosen.mail_tls == "STARTTLS",
            tls_context=self._tls,
            username=chosen.mail_username or None,
            password=chosen.mail_password.get_secret_value() or None,
            # Our own name would be looked up otherwise.
            local_hostname=chosen.mail_from.rpartition("@")[2],
            timeout=chosen.mail_timeout_s,
        )
        try:
            async with asyncio.timeout(chosen.mail_connect_s):
                await smtp.connect()
        except BaseException:
            smtp.close()
            raise
        return smtp

    async def dialogue(self, smtp: SMTP, envelope: Envelope) -> Reply:
        """One mail: MAIL, RCPT, DATA. Never raises what the server or the network did."""
        stage = "MAIL"
        try:
            async with asyncio.timeout(self._settings.mail_timeout_s):
                await smtp.mail(envelope.sender)
                stage = "RCPT"
                await smtp.rcpt(envelope.recipient)
                stage = "DATA"
                answer = await smtp.data(envelope.content)
        except SMTPResponseException as refused:
            return reply_of(stage, refused.code, refused.message)
        except BROKEN:
            return Reply(Outcome.LOST, stage)
        return Reply(Outcome.ACCEPTED, stage, answer.code)


class Line:
    """One connection, used for one mail after the other; a failure ends it, the next opens anew."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._smtp: SMTP | None = None

    async def __aenter__(self) -> "Line":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._smtp is not None and problem is None:
            try:
                await self._smtp.quit(timeout=QUIT_S)
            except BROKEN:
                self._drop()
        self._drop()

    async def send(self, envelope: Envelope) -> Reply:
        """Send one mail; how it went."""
        if self._smtp is None:
            try:
                self._smtp = await self._relay.connect()
            except BROKEN as problem:
                return _not_connected(problem)
        sent = False
        try:
            reply = await self._relay.dialogue(self._smtp, envelope)
            sent = reply.outcome is Outcome.ACCEPTED
        finally:
            # What is left of a dialogue that failed is not for the next mail to find.
            if not sent:
                self._drop()
        return reply

    def _drop(self) -> None:
        if self._smtp is not None:
            self._smtp.close()
        self._smtp = None


def _not_connected(problem: BaseException) -> Reply:
    """Nobody there, or one who will not have us: then somebody must look at the settings."""
    if isinstance(problem, SMTPResponseException):
        away = 400 <= problem.code < 500
        # Its words may repeat who we said we are.
        return Reply(Outcome.UNREACHED if away else Outcome.TURNED_AWAY, "CONNECT", problem.code)
    if isinstance(problem, ssl.SSLError) or isinstance(problem.__cause__, ssl.SSLError):
        return Reply(Outcome.TURNED_AWAY, "TLS")
    # Whatever else the library says without a broken connection is that the server cannot.
    broken = isinstance(problem, OSError | TimeoutError)
    return Reply(Outcome.UNREACHED if broken else Outcome.TURNED_AWAY, "CONNECT")
