"""Finds a secret wherever it lies and in whatever dress: as it is, UTF-16, base64, hex, escaped."""

import base64
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

CHUNK_BYTES = 8 * 1024 * 1024
OVERLAP_BYTES = 1024
WATCH_EVERY_S = 0.01


def forms(secret: str) -> set[bytes]:
    """Every way these characters may stand somewhere, also in the middle of a longer text."""
    raw = secret.encode()
    found = {raw, raw.hex().encode(), raw.hex().upper().encode(), quote(secret, safe="").encode()}
    found |= {secret.encode("utf-16-le"), secret.encode("utf-16-be")}
    for shift in range(3):
        # What stands before and after changes the first and the last characters; the rest is ours.
        shifted = base64.b64encode(b"\0" * shift + raw)
        whole = (shift + len(raw)) % 3 == 0
        cut = shifted[-(-shift * 8 // 6) : None if whole else -4]
        found |= {cut, cut.replace(b"+", b"-").replace(b"/", b"_")}
    return found


class Sweep:
    """Looks for `marks` in every form and for `secrets` as they are; says where, never what."""

    def __init__(self, marks: Iterable[str], secrets: Mapping[str, str]) -> None:
        self._patterns = [("mark", form) for mark in marks for form in forms(mark)]
        self.secrets = {name: value for name, value in secrets.items() if value}
        self._patterns += [(name, value.encode()) for name, value in self.secrets.items()]
        self._dressed = self._patterns + [
            (name, form) for name, value in self.secrets.items() for form in forms(value)
        ]
        self.bytes_read = 0
        self.places = 0

    def text(self, where: str, content: str | bytes) -> list[str]:
        """Where in this text something secret stands; all forms of everything."""
        data = content.encode(errors="replace") if isinstance(content, str) else content
        self.places += 1
        return sorted(set(self._hits(where, data, self._dressed)))

    def folder(self, root: Path, *, but: Iterable[Path] = ()) -> list[str]:
        """Where in any file below `root`, byte by byte."""
        spared = set(but)
        hits: set[str] = set()
        for path in files(root):
            if path in spared:
                continue
            self.places += 1
            for part in _parts(path):
                hits.update(self._hits(str(path.relative_to(root)), part, self._patterns))
        return sorted(hits)

    def _hits(
        self, where: str, data: bytes, patterns: Iterable[tuple[str, bytes]]
    ) -> Iterator[str]:
        self.bytes_read += len(data)
        return (f"{where}: {name}" for name, pattern in patterns if pattern in data)


def files(root: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink():
                yield path


def _parts(path: Path) -> Iterator[bytes]:
    """The file in pieces that overlap; nothing for one that is gone meanwhile."""
    try:
        with path.open("rb") as file:
            tail = b""
            while chunk := file.read(CHUNK_BYTES):
                # A new segment of the log is mostly zeros: nothing to look at.
                if chunk.count(0) < len(chunk):
                    yield tail + chunk
                tail = chunk[-OVERLAP_BYTES:]
    except FileNotFoundError:
        return


class Watch:
    """Keeps what appears in a folder while something runs, even when it goes again at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.seen: dict[str, bytes] = {}

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(WATCH_EVERY_S):
            for path in files(self._folder):
                try:
                    self.seen[str(path)] = path.read_bytes()
                except OSError:
                    continue
