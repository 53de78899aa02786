"""What no client of ours sends: heads without end, two lengths, halves of requests (T50)."""

import asyncio
import json

import pytest
from structlog.testing import capture_logs

from rewards.infra import protocol
from tests.http.bad_input import FINE_BODY
from tests.http.calling import ORDERS, Api

WALLETS = "GET /api/v1/wallets HTTP/1.1"


async def said(api: Api, text: bytes, *, ends: bool = True) -> bytes:
    """All that comes back until the server closes."""
    host, _, port = api.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(text)
    if ends:
        await writer.drain()
    async with asyncio.timeout(20):
        answer = await reader.read()
    writer.close()
    return answer


def head(api: Api, line: str, *more: str) -> bytes:
    shown = [f"{name}: {value}" for name, value in api.key.items()]
    return "\r\n".join([line, "Host: x", *shown, *more, "Connection: close", "", ""]).encode()


def refused(answer: bytes, status: int, code: str) -> None:
    """It is the contract's form, and the only answer on the line."""
    top, _, body = answer.partition(b"\r\n\r\n")
    assert top.startswith(b"HTTP/1.1 %d " % status), answer[:300]
    assert json.loads(body)["code"] == code
    assert answer.count(b"HTTP/1.1") == 1


HEADS = {
    "10,000 headers": [f"X-{turn}: b" for turn in range(10_000)],
    "one header 10,000 times": ["X-A: b"] * 10_000,
    "a few too many": ["X-A: b"] * 200,
    "a header of 100 kB": ["X-A: " + "b" * 100_000],
    "a header of 5 MB": ["X-A: " + "b" * 5_000_000],
}


@pytest.mark.parametrize("kind", HEADS)
async def test_a_head_without_measure_is_refused_unread(api: Api, kind: str) -> None:
    refused(await said(api, head(api, WALLETS, *HEADS[kind])), 431, "HEADERS_TOO_LARGE")


async def test_what_browsers_and_proxies_add_is_welcome(api: Api) -> None:
    more = [f"X-{turn}: b" for turn in range(150)] + ["Cookie: " + "c" * 30_000]
    assert (await said(api, head(api, WALLETS, *more))).startswith(b"HTTP/1.1 200 ")


async def test_an_endless_address_is_refused(api: Api) -> None:
    answer = await said(api, head(api, f"GET /api/v1/wallets?x={'y' * 1_000_000} HTTP/1.1"))
    assert answer.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 "))


LENGTH = f"Content-Length: {len(FINE_BODY)}"
CHUNKED = "Transfer-Encoding: chunked"
SMUGGLED = {
    "length and chunks": [LENGTH, CHUNKED],
    "chunks and length": [CHUNKED, LENGTH],
    "two lengths": [LENGTH, "Content-Length: 5"],
    "signed length": [f"Content-Length: +{len(FINE_BODY)}"],
    "list of lengths": [f"Content-Length: {len(FINE_BODY)}, {len(FINE_BODY)}"],
    "no such encoding": ["Transfer-Encoding: xchunked"],
    "chunks not last": ["Transfer-Encoding: chunked, identity"],
    "space before the colon": [f"Content-Length : {len(FINE_BODY)}"],
    "folded line": ["X-A: b\r\n c: d", LENGTH],
    "bare line end": ["X-A: b\nX-B: c", LENGTH],
}


@pytest.mark.parametrize("kind", SMUGGLED)
async def test_a_request_with_two_ends_is_no_request(api: Api, kind: str) -> None:
    before = await api.everything()
    text = head(api, f"POST {ORDERS} HTTP/1.1", *SMUGGLED[kind]) + FINE_BODY
    refused(await said(api, text), 400, "INVALID_REQUEST")
    assert await api.everything() == before


async def test_a_forged_host_is_not_believed(api: Api) -> None:
    line = f"GET {ORDERS}?limit=1 HTTP/1.1"
    for more in ("Host: evil.example", "X-Forwarded-Host: evil.example"):
        answer = await said(api, head(api, line, more))
        assert b"evil.example" not in answer


@pytest.mark.parametrize(
    "begun", ["", "G", "GET / HTTP/1.1\r\nHost: x\r\nX-A", "no request", "body"]
)
async def test_who_never_ends_is_hung_up_on(
    api: Api, begun: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT_S", 0.2)
    monkeypatch.setattr(protocol, "BODY_TIMEOUT_S", 0.2)
    monkeypatch.setattr(protocol, "LINGER_S", 0.1)
    before = await api.everything()
    text = begun.encode()
    if begun == "body":
        text = head(api, f"POST {ORDERS} HTTP/1.1", LENGTH) + FINE_BODY[:-1]
    answer = await said(api, text, ends=False)
    if begun == "no request":
        refused(answer, 400, "INVALID_REQUEST")
    elif begun:
        refused(answer, 408, "REQUEST_TIMEOUT")
    else:
        assert answer == b""
    assert await api.everything() == before


async def test_others_are_served_while_500_dawdle_and_nothing_fails_when_they_go(
    api: Api,
) -> None:
    host, _, port = api.url.removeprefix("http://").partition(":")
    lines = [await asyncio.open_connection(host, int(port)) for _ in range(500)]
    for turn, (_, writer) in enumerate(lines):
        text = b"GET / HTTP/1.1\r\nHo"
        if turn % 2:
            text = head(api, f"POST {ORDERS} HTTP/1.1", LENGTH) + FINE_BODY[:-1]
        writer.write(text)
    with capture_logs() as told:
        assert (await api.call("GET", "/api/v1/wallets")).status == 200
        for _, writer in lines:
            writer.close()
            await writer.wait_closed()
        assert (await api.call("GET", "/api/v1/wallets")).status == 200
    assert told == []
