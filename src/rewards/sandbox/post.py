"""A mailbox for all mail of the sandbox: an SMTP server on this machine, and a page to read it."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from html import escape
from typing import Any

from aiohttp import web

from rewards.core.clock import Clock
from rewards.infra.loopback import LOOPBACK, serving

# The newest are kept, in memory: they hold codes.
MAILS_MAX = 500
MAIL_BYTES_MAX = 10 * 1024 * 1024
LINE_BYTES_MAX = 64 * 1024
WAIT_S = 60.0
COMMANDS_MAX = 10_000
PAGE_HEADERS = {
    # What was mailed runs nothing here, and loads nothing from elsewhere.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:;"
    " frame-src 'self'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
li { margin: .6rem 0; } time, .to { opacity: .75; font-size: .9rem; }
iframe { width: 100%; height: 70vh; border: 1px solid #8884; border-radius: 8px; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; }
"""


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail as it came in."""

    id: int
    sender: str
    recipients: tuple[str, ...]
    at: datetime
    message: EmailMessage = field(repr=False)

    def part(self, kind: str) -> str:
        body = self.message.get_body((kind,))
        return str(body.get_content()) if body is not None else ""

    def told(self) -> dict[str, Any]:
        """As JSON tells it."""
        files = [part.get_filename() for part in self.message.iter_attachments()]
        return {
            "id": self.id,
            "received_at": self.at.isoformat().replace("+00:00", "Z"),
            "from": str(self.message["From"]),
            "to": list(self.recipients),
            "envelope_from": self.sender,
            "subject": str(self.message["Subject"]),
            "message_id": str(self.message["Message-ID"]),
            "language": str(self.message["Content-Language"] or ""),
            "text": self.part("plain"),
            "html": self.part("html"),
            "attachments": [name for name in files if name],
        }


class Quit(Exception):
    """Whoever talks to us is done, or has to be."""


@dataclass
class MailSink:
    """Takes every mail for everybody, delivers none."""

    clock: Clock
    mails: deque[Mail] = field(default_factory=lambda: deque(maxlen=MAILS_MAX))
    count: int = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection (RFC 5321): as much of it as a client that sends mail needs."""
        sender = ""
        recipients: list[str] = []
        try:
            _say(writer, "220 sandbox ready")
            for _ in range(COMMANDS_MAX):
                line = (await _line(reader)).decode("latin-1").strip()
                verb, _, rest = line.partition(" ")
                match verb.upper():
                    case "EHLO" | "HELO" | "RSET" | "NOOP":
                        sender, recipients = ("", []) if verb != "NOOP" else (sender, recipients)
                        _say(writer, "250 sandbox")
                    case "MAIL":
                        sender = _path(rest)
                        _say(writer, "250 OK")
                    case "RCPT":
                        recipients.append(_path(rest))
                        _say(writer, "250 OK")
                    case "DATA" if recipients:
                        _say(writer, "354 go on")
                        self._keep(sender, recipients, await _content(reader))
                        sender, recipients = "", []
                        _say(writer, "250 OK")
                    case "DATA":
                        _say(writer, "503 RCPT first")
                    case "QUIT":
                        _say(writer, "221 bye")
                        break
                    case _:
                        _say(writer, "502 not here")
                await writer.drain()
        except (Quit, OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    def _keep(self, sender: str, recipients: list[str], content: bytes) -> None:
        message = message_from_bytes(content, policy=default)
        assert isinstance(message, EmailMessage)
        self.count += 1
        self.mails.append(Mail(self.count, sender, tuple(recipients), self.clock.now(), message))

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/", self._index)
        app.router.add_get("/mails.json", self._json)
        app.router.add_get("/mails/{id:[0-9]{1,9}}", self._one)
        app.router.add_get("/mails/{id:[0-9]{1,9}}/html", self._html)
        return app

    def _found(self, request: web.Request) -> Mail:
        wanted = int(request.match_info["id"])
        for mail in self.mails:
            if mail.id == wanted:
                return mail
        raise web.HTTPNotFound

    async def _json(self, request: web.Request) -> web.Response:
        """The mails, oldest first; `?to=` narrows to one address."""
        to = request.query.get("to")
        told = [mail.told() for mail in self.mails if to is None or to in mail.recipients]
        return web.json_response(told, headers=PAGE_HEADERS)

    async def _index(self, _request: web.Request) -> web.Response:
        lines = [
            f'<li><a href="/mails/{mail.id}">{escape(str(mail.message["Subject"]))}</a>'
            f' <span class="to">to {escape(", ".join(mail.recipients))},'
            f" <time>{mail.at:%Y-%m-%d %H:%M:%S} UTC</time></span></li>"
            for mail in reversed(self.mails)
        ]
        body = f"<ul>{''.join(lines)}</ul>" if lines else "<p>No mail yet.</p>"
        return _page("Mail of the sandbox", body)

    async def _one(self, request: web.Request) -> web.Response:
        mail = self._found(request)
        subject = str(mail.message["Subject"])
        told = (
            f'<p class="to">From {escape(str(mail.message["From"]))}'
            f" to {escape(', '.join(mail.recipients))}</p>"
            f'<iframe sandbox title="The mail" src="/mails/{mail.id}/html"></iframe>'
            f"<h2>As plain text</h2><pre>{escape(mail.part('plain'))}</pre>"
            '<p><a href="/">All mail</a></p>'
        )
        return _page(subject, told)

    async def _html(self, request: web.Request) -> web.Response:
        return web.Response(
            text=self._found(request).part("html"),
            content_type="text/html",
            charset="utf-8",
            headers=PAGE_HEADERS,
        )


def _page(title: str, body: str) -> web.Response:
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body><h1>{escape(title)}</h1>{body}</body></html>"
    )
    return web.Response(text=text, content_type="text/html", charset="utf-8", headers=PAGE_HEADERS)


def _say(writer: asyncio.StreamWriter, line: str) -> None:
    writer.write(f"{line}\r\n".encode())


def _path(rest: str) -> str:
    """`a@b.example` of `FROM:<a@b.example> SIZE=7`."""
    return rest.partition("<")[2].partition(">")[0]


async def _line(reader: asyncio.StreamReader) -> bytes:
    line = await asyncio.wait_for(reader.readline(), WAIT_S)
    if not line:
        raise Quit
    return line


async def _content(reader: asyncio.StreamReader) -> bytes:
    """What follows DATA, its dots as they were (RFC 5321 §4.5.2)."""
    lines: list[bytes] = []
    size = 0
    while (line := await _line(reader)) != b".\r\n":
        size += len(line)
        if size > MAIL_BYTES_MAX:
            raise Quit
        lines.append(line[1:] if line.startswith(b".") else line)
    return b"".join(lines)


@dataclass(frozen=True, slots=True)
class SinkAddress:
    """Where mail goes to, and where it is read."""

    smtp_port: int
    url: str


@asynccontextmanager
async def open_mailbox(clock: Clock) -> AsyncIterator[SinkAddress]:
    """Serve both on ports of its own until left."""
    sink = MailSink(clock)
    server = await asyncio.start_server(sink.talk, LOOPBACK, 0, limit=LINE_BYTES_MAX)
    try:
        async with serving(sink.app()) as url:
            yield SinkAddress(server.sockets[0].getsockname()[1], url)
    finally:
        server.close()
