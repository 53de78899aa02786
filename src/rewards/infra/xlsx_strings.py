"""The texts that a workbook's cells share: read once, kept on disk, looked up by number."""

import re
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from tempfile import TemporaryFile
from typing import IO

from rewards.infra.xlsx_parts import XmlPart

# A row with more text than that is refused, so no single text need be kept longer.
TEXT_CHARS_MAX = 64 * 1024
BLOCK_BYTES = 4 * 1024
BLOCK_TEXTS_MAX = 512
BLOCKS_REMEMBERED = 64
# XML has no NUL, so it can stand between the texts of a block.
BETWEEN = "\0"
_ESCAPE = re.compile(r"_x([0-9A-Fa-f]{4})_")


def unescape(text: str) -> str:
    """The text that is meant: `_x000D_` is how the format writes what XML cannot hold."""
    if "_x" not in text:
        return text
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)


class SharedStrings:
    """Texts by number. They may be codes: the file has no name, and goes when it is closed.

    Memory holds where each block of texts begins, some thousandths of them, and the blocks used
    last; neighbours in a sheet are mostly neighbours here.
    """

    def __init__(self) -> None:
        self._file = TemporaryFile()  # noqa: SIM115
        self._numbers = array("Q")
        self._places = array("Q", [0])
        self._block: list[str] = []
        self._block_bytes = 0
        self._count = 0
        self._texts = lru_cache(BLOCKS_REMEMBERED)(self._read_block)

    def __enter__(self) -> "SharedStrings":
        return self

    def __exit__(self, *_: object) -> None:
        self._texts.cache_clear()
        self._file.close()

    def __len__(self) -> int:
        return self._count

    def append(self, text: str) -> None:
        """Keep one more text, without its escapes."""
        self._block.append(text)
        self._block_bytes += len(text)
        self._count += 1
        if self._block_bytes >= BLOCK_BYTES or len(self._block) == BLOCK_TEXTS_MAX:
            self.flush()

    def flush(self) -> None:
        """Write what was appended; a text can be read from then on."""
        if not self._block:
            return
        data = BETWEEN.join(self._block).encode()
        self._file.write(data)
        self._numbers.append(self._count - len(self._block))
        self._places.append(self._places[-1] + len(data))
        self._block = []
        self._block_bytes = 0

    def __getitem__(self, number: int) -> str:
        if not 0 <= number < self._count:
            raise IndexError
        block = bisect_right(self._numbers, number) - 1
        return unescape(self._texts(block)[number - self._numbers[block]])

    def _read_block(self, block: int) -> Sequence[str]:
        start, end = self._places[block], self._places[block + 1]
        self._file.seek(start)
        return self._file.read(end - start).decode().split(BETWEEN)


class SharedStringsPart(XmlPart):
    """Reads sharedStrings.xml: `si` elements of `t`, plain or in rich runs; phonetics are none."""

    def __init__(self, strings: SharedStrings) -> None:
        super().__init__()
        self._strings = strings
        self._pieces: list[str] = []
        self._chars = 0
        self._in_text = False
        self._in_phonetics = False

    def read(self, part: IO[bytes]) -> None:
        super().read(part)
        self._strings.flush()

    def started(self, name: str, attributes: dict[str, str]) -> None:
        if name == "t":
            self._in_text = not self._in_phonetics
        elif name == "rPh":
            self._in_phonetics = True
        elif name == "si":
            self._pieces = []
            self._chars = 0

    def said(self, text: str) -> None:
        if self._in_text and self._chars <= TEXT_CHARS_MAX:
            self._chars += len(text)
            self._pieces.append(text)

    def ended(self, name: str) -> None:
        if name == "t":
            self._in_text = False
        elif name == "rPh":
            self._in_phonetics = False
        elif name == "si":
            self._strings.append("".join(self._pieces))
