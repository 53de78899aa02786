"""A small picture, for a brand of a test's own."""

import struct
import zlib

from rewards.notices.model import Logo


def logo() -> Logo:
    """A picture of 88 by 32: an orange sun on white."""
    rows = b""
    for y in range(32):
        rows += b"\0"
        for x in range(88):
            sun = (x - 16) ** 2 + (y - 16) ** 2 < 180
            bar = x > 38 and 12 <= y < 20
            rows += b"\xe8\x5d\x04" if sun else b"\x2b\x2d\x42" if bar else b"\xff\xff\xff"

    def chunk(name: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + crc

    head = struct.pack(">IIBBBBB", 88, 32, 8, 2, 0, 0, 0)
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return Logo("image/png", b"\x89PNG\r\n\x1a\n" + b"".join(parts))
