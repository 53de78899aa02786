"""The sandbox's mailbox: takes what is sent, tells it as JSON, and shows it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiosmtplib import SMTP

from rewards.core.clock import SystemClock
from rewards.infra.loopback import LOOPBACK
from rewards.sandbox.post import SinkAddress, open_mailbox
from tests.notices.mailroom import CUSTOMER, Mailroom, open_mailroom


@pytest.fixture
async def sink() -> AsyncIterator[SinkAddress]:
    async with open_mailbox(SystemClock()) as opened:
        yield opened


@pytest.fixture
async def sunk(dsn: str, tmp_path: Path, sink: SinkAddress) -> AsyncIterator[Mailroom]:
    async with open_mailroom(dsn, tmp_path, sink.smtp_port) as opened:
        yield opened


async def test_what_is_mailed_is_told_and_shown(sunk: Mailroom, sink: SinkAddress) -> None:
    product = await sunk.shop.product(name="<b>Bold</b> & Co")
    await sunk.shop.stock(product, 60)
    client_id = await sunk.shop.client(minor=10_000_000)
    await sunk.order(product, 1, client_id=client_id)
    await sunk.deliver()
    await sunk.order(product, 5, client_id=client_id, email="other@shop.example")
    await sunk.deliver()
    async with aiohttp.ClientSession(sink.url) as session:
        async with session.get("/mails.json", params={"to": CUSTOMER}) as answer:
            [mail] = await answer.json()
        assert sunk.shop.codes[0] in mail["text"] + mail["html"]
        assert mail["subject"] == "Your <b>Bold</b> & Co is here"
        async with session.get("/mails.json") as answer:
            assert len(await answer.json()) == 2
        async with session.get("/") as answer:
            assert "<b>Bold" not in (shown := await answer.text())
            assert "&lt;b&gt;Bold" in shown
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        async with session.get(f"/mails/{mail['id']}") as answer:
            assert 'iframe sandbox title="The mail"' in await answer.text()
        async with session.get(f"/mails/{mail['id']}/html") as answer:
            assert await answer.text() == mail["html"]
        async with session.get("/mails/77") as answer:
            assert answer.status == 404


async def test_lines_that_begin_with_a_dot_come_as_they_were(sink: SinkAddress) -> None:
    text = "Subject: dots\r\n\r\n.\r\n..two\r\nend\r\n"
    async with SMTP(hostname=LOOPBACK, port=sink.smtp_port, start_tls=False) as smtp:
        await smtp.sendmail("a@b.example", ["c@d.example"], text)
        await smtp.sendmail("a@b.example", ["c@d.example", "e@d.example"], text)
    async with aiohttp.ClientSession(sink.url) as session, session.get("/mails.json") as answer:
        first, second = await answer.json()
    assert first["text"].splitlines() == [".", "..two", "end"]
    assert second["to"] == ["c@d.example", "e@d.example"]


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\r\n\r\n",
        b"DATA\r\nQUIT\r\n",
        b"BDAT 7\r\n\xff\xfe\r\nQUIT\r\n",
        b"RCPT TO:<a@b.example>\r\nDATA\r\nSubject: torn",
        b"x" * 200_000 + b"\r\n",
    ],
)
async def test_nonsense_ends_a_connection_and_nothing_else(sink: SinkAddress, said: bytes) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, sink.smtp_port)
    writer.write(said)
    writer.write_eof()
    await asyncio.wait_for(reader.read(), 10)
    writer.close()
    async with SMTP(hostname=LOOPBACK, port=sink.smtp_port, start_tls=False) as smtp:
        await smtp.noop()
    async with aiohttp.ClientSession(sink.url) as session, session.get("/mails.json") as answer:
        assert await answer.json() == []
