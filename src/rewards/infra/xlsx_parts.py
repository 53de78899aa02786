"""Reads one XML part of a workbook as a stream, whatever somebody put into it."""

from collections.abc import Iterator
from typing import IO, Any
from xml.parsers import expat

CHUNK_BYTES = 64 * 1024
# expat keeps every name it ever saw, every open element, and a tag or comment until it ends (and
# reads that anew with each chunk). A workbook needs few of each.
NAMES_MAX = 1_000
DEPTH_MAX = 64
TOKEN_BYTES_MAX = 1024 * 1024
CANNOT_BE_READ = "the workbook cannot be read"


class WorkbookRefused(Exception):
    """A workbook that is not read, and why; nothing it holds is quoted."""


class XmlPart:
    """A parser to derive from: `started`, `said` and `ended` are called as the part is fed.

    UTF-8 whatever the part declares. Refuses a document type, so that there are no entities to
    expand. Names come without prefix.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._parser = expat.ParserCreate("utf-8", intern={})
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self.said

    def read(self, part: IO[bytes]) -> None:
        """Feed the whole part."""
        for _ in self.chunks(part):
            pass

    def chunks(self, part: IO[bytes]) -> Iterator[None]:
        """Feed the part; stop after each chunk for what it brought to be taken."""
        fed = 0
        while chunk := part.read(CHUNK_BYTES):
            fed += len(chunk)
            self._parse(chunk, last=False)
            if (
                self._depth > DEPTH_MAX
                or len(self._parser.intern) > NAMES_MAX
                or fed - self._parser.CurrentByteIndex > TOKEN_BYTES_MAX
            ):
                raise WorkbookRefused(CANNOT_BE_READ)
            yield
        self._parse(b"", last=True)
        yield

    def started(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""

    def said(self, text: str) -> None:
        """Text, or a piece of one."""

    def ended(self, name: str) -> None:
        """An element ends."""

    def _parse(self, chunk: bytes, *, last: bool) -> None:
        try:
            self._parser.Parse(chunk, last)
        except expat.ExpatError:
            raise WorkbookRefused(CANNOT_BE_READ) from None

    def _doctype(self, *_: Any) -> None:
        raise WorkbookRefused(CANNOT_BE_READ)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self.started(name.rpartition(":")[2] if ":" in name else name, attributes)

    def _end(self, name: str) -> None:
        self._depth -= 1
        self.ended(name.rpartition(":")[2] if ":" in name else name)
