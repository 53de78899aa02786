"""Sheets, scripts and pictures under names that change with their content, so they may be kept."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

MEDIA = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
HASH_CHARS = 12
# The files that every room has.
SHARED = "rewards.infra.pages"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file: the name it is served under, and what it is."""

    name: str
    media_type: str
    content: bytes = field(repr=False)


class Assets:
    """The files of the folders `static` of some packages; of two with one name the later counts."""

    def __init__(self, packages: Sequence[str]) -> None:
        self._named: dict[str, Asset] = {}
        for package in packages:
            self._named |= _read(package)
        self._served = {asset.name: asset for asset in self._named.values()}

    def name(self, plain: str) -> str:
        """The name under which `pages.css` is served. Raises KeyError for what is not there."""
        return self._named[plain].name

    def find(self, served: str) -> Asset | None:
        """What is served under this name."""
        return self._served.get(served)


@cache
def _read(package: str) -> dict[str, Asset]:
    found: dict[str, Asset] = {}
    folder = resources.files(package) / "static"
    for file in folder.iterdir() if folder.is_dir() else ():
        stem, dot, kind = file.name.rpartition(".")
        if dot + kind in MEDIA:
            content = file.read_bytes()
            digest = hashlib.sha256(content).hexdigest()[:HASH_CHARS]
            found[file.name] = Asset(f"{stem}.{digest}.{kind}", MEDIA[dot + kind], content)
    return found
