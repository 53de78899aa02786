"""Uploads: what arrives is what was sent, and nothing is read without a bound."""

import io
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from litestar import Litestar, Request, Response, post

from rewards.infra import upload
from rewards.infra.http import EXCEPTION_HANDLERS, encode
from rewards.infra.upload import receive
from tests.serving import served

LIMIT = 3 * 1024 * 1024


@post("/files", request_max_body_size=None)
async def take(request: Request[Any, Any, Any]) -> Response[bytes]:
    got = await receive(request, bytes_max=LIMIT, texts={"name"})
    with got.file as file:
        content = file.read()
    return encode(
        {
            "filename": got.filename,
            "lines": got.lines,
            "size": got.size_bytes,
            "same": len(content),
            "head": content[:8].decode("latin-1"),
            "tail": content[-8:].decode("latin-1"),
            "texts": got.texts,
        },
        200,
    )


@pytest.fixture
async def url() -> AsyncIterator[str]:
    app = Litestar([take], exception_handlers=EXCEPTION_HANDLERS, request_max_body_size=1024)
    async with served(app) as base:
        yield base + "/files"


async def send(url: str, form: Any, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=form, headers=headers) as answer,
    ):
        return answer.status, await answer.json()


def form(content: bytes, **texts: str) -> aiohttp.FormData:
    made = aiohttp.FormData()
    for name, text in texts.items():
        made.add_field(name, text)
    made.add_field("file", io.BytesIO(content), filename="stock.csv", content_type="text/csv")
    return made


@pytest.mark.parametrize("size", [1, 100, 70_000, 2_500_000])
async def test_a_file_arrives_as_it_was_sent(
    url: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "IN_MEMORY_BYTES_MAX", 50_000)
    monkeypatch.setattr(upload, "FLUSH_BYTES", 20_000)
    content = (b"line\r\n--not-a-boundary\n" * (size // 20 + 1))[:size]
    status, told = await send(url, form(content, name="spring"))
    assert status == 200
    assert (told["size"], told["same"]) == (size, size)
    assert told["lines"] == content.count(b"\n")
    assert told["head"] == content[:8].decode()
    assert told["tail"] == content[-8:].decode()
    assert (told["filename"], told["texts"]) == ("stock.csv", {"name": "spring"})


async def test_a_filename_keeps_only_what_can_be_stored(url: str) -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a\x00b\x07c"\r\n\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    status, told = await send(url, head + b"x\r\n--b--\r\n", headers)
    assert (status, told["filename"]) == (200, "abc")


async def test_too_much_is_refused_before_and_while_it_is_read(url: str) -> None:
    assert (await send(url, form(b"x" * (LIMIT + 1))))[0] == 413

    async def endless() -> AsyncIterator[bytes]:
        head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
        yield head
        for _ in range(60):
            yield b"x" * 65_536

    status, told = await send(url, endless(), {"Content-Type": "multipart/form-data; boundary=b"})
    assert (status, told["code"]) == (413, "BODY_TOO_LARGE")


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        (b"{}", "application/json", "Invalid request body format"),
        (b"--b--", "multipart/form-data", "Invalid request body format"),
        (b"", "multipart/form-data; boundary=b", "Invalid request body format"),
        (b"--b\r\ncut off", "multipart/form-data; boundary=b", "Invalid request body format"),
        (
            b'--b\r\nContent-Disposition: form-data; name="other"\r\n\r\nx\r\n--b--\r\n',
            "multipart/form-data; boundary=b",
            "Invalid request body format",
        ),
        (
            b'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\n\xff\r\n--b--\r\n',
            "multipart/form-data; boundary=b",
            "Invalid request body format",
        ),
        (
            b'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\nx\r\n--b--\r\n',
            "multipart/form-data; boundary=b",
            "Invalid File: required",
        ),
        (
            b'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\n'
            + b"x" * 5000
            + b"\r\n--b--\r\n",
            "multipart/form-data; boundary=b",
            "Invalid Name: max",
        ),
    ],
)
async def test_what_is_no_such_form_is_refused(
    url: str, body: bytes, content_type: str, message: str
) -> None:
    status, told = await send(url, body, {"Content-Type": content_type})
    assert (status, told["message"]) == (400, message)
