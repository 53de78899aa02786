"""Receives one file of a multipart form: streamed to a temporary file, bounded in every part."""

import asyncio
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, cast

from litestar import Request
from multipart import MultipartError, MultipartSegment, PushMultipartParser

from rewards.core.errors import InvalidBody, InvalidField, Refusal
from rewards.core.text import UNPRINTABLE

# Up to here a file stays in memory; beyond it lies in an unlinked file that nobody else can open.
IN_MEMORY_BYTES_MAX = 4 * 1024 * 1024
FLUSH_BYTES = 1024 * 1024
PARTS_MAX = 16
TEXT_BYTES_MAX = 4 * 1024
FILENAME_CHARS_MAX = 200


class BodyTooLarge(Refusal):
    status = 413
    error = "PayloadTooLarge"
    code = "BODY_TOO_LARGE"
    default_message = "Request body is too large"


@dataclass(slots=True)
class Upload:
    """A received form. Whoever got it closes `file`, which stands at its beginning."""

    file: BinaryIO
    filename: str
    # Line ends seen in the file: about how many rows a text file has.
    lines: int
    size_bytes: int
    texts: dict[str, str]


async def receive(
    request: Request[Any, Any, Any],
    *,
    bytes_max: int,
    texts: Collection[str] = (),
    file_field: str = "file",
) -> Upload:
    """Read a multipart/form-data body: one file, and of the text fields those named in `texts`.

    Refuses what is no such form or is cut off (400), another or a second field (400), a missing
    file (400 `Invalid File: required`), and more than `bytes_max` of body (413). The route must
    lift the application's limit of bodies (`request_max_body_size=None`).
    """
    content_type, options = request.content_type
    boundary = options.get("boundary")
    if content_type != "multipart/form-data" or not boundary:
        raise InvalidBody
    if (request.content_length or 0) > bytes_max:
        raise BodyTooLarge
    form = _Form(texts, file_field)
    try:
        with (
            _refusing(),
            PushMultipartParser(
                boundary, content_length=request.content_length or -1, max_segment_count=PARTS_MAX
            ) as parser,
        ):
            received = 0
            async for chunk in request.stream():
                received += len(chunk)
                if received > bytes_max:
                    raise BodyTooLarge
                for part in parser.parse(chunk):
                    await form.take(part)
        return await form.finish()
    except BaseException:
        form.file.close()
        raise


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except (MultipartError, UnicodeDecodeError) as bad:
        raise InvalidBody from bad


class _Form:
    """Takes the parser's parts one after another."""

    def __init__(self, texts: Collection[str], file_field: str) -> None:
        self.file: BinaryIO = cast(
            "BinaryIO",
            SpooledTemporaryFile(max_size=IN_MEMORY_BYTES_MAX),  # noqa: SIM115
        )
        self._wanted = texts
        self._file_field = file_field
        self._texts: dict[str, str] = {}
        self._field = ""
        self._filename: str | None = None
        self._buffer = bytearray()
        self._lines = 0
        self._size_bytes = 0

    async def take(self, part: MultipartSegment | bytearray | None) -> None:
        if isinstance(part, MultipartSegment):
            self._begin(part)
        elif part:
            self._buffer += part
            if self._field == self._file_field:
                self._lines += part.count(b"\n")
                self._size_bytes += len(part)
                if len(self._buffer) >= FLUSH_BYTES:
                    await self._flush()
            elif len(self._buffer) > TEXT_BYTES_MAX:
                raise InvalidField(self._field.capitalize(), "max")
        elif part is None:
            await self._end()

    def _begin(self, part: MultipartSegment) -> None:
        self._field = part.name or ""
        if self._field == self._file_field:
            if self._filename is not None:
                raise InvalidField("File", "one")
            # The sender's own words; a database text cannot hold all of them.
            self._filename = UNPRINTABLE.sub("", part.filename or "")[:FILENAME_CHARS_MAX]
        elif self._field not in self._wanted or self._field in self._texts:
            raise InvalidBody

    async def _end(self) -> None:
        if self._field == self._file_field:
            await self._flush()
        else:
            self._texts[self._field] = self._buffer.decode("utf-8")
        self._buffer.clear()

    async def _flush(self) -> None:
        written, self._buffer = bytes(self._buffer), bytearray()
        await asyncio.to_thread(self.file.write, written)

    async def finish(self) -> Upload:
        if self._filename is None or not self._size_bytes:
            raise InvalidField("File", "required")
        await asyncio.to_thread(self.file.seek, 0)
        return Upload(self.file, self._filename, self._lines, self._size_bytes, self._texts)
