"""Master keys: they wrap the data keys and live outside the database (spec.md §4, Sealing)."""

import base64
import binascii
import hashlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from rewards.infra.settings import Settings

log = structlog.get_logger()

KEY_BYTES = 32
NONCE_BYTES = 12
FILE_BYTES_MAX = 4096
FILE_NAME = "master.key"


class MasterKeyProblem(Exception):
    """The master key is missing, malformed or not the one the data keys were wrapped with.

    An outage for an operator to end, never a refusal; no message holds key material.
    """


class KeyWrapper(Protocol):
    """What wraps data keys. A KMS takes the place of the local key by having these three.

    `name` is stored beside each key it wrapped and tells keys apart for ever. `context` is bound to
    the wrapped key: unwrapping under another context must fail with MasterKeyProblem.
    """

    @property
    def name(self) -> str: ...

    async def wrap(self, key: bytes, context: bytes) -> bytes: ...

    async def unwrap(self, wrapped: bytes, context: bytes) -> bytes: ...


class LocalKey:
    """An AES-256-GCM master key held in this process."""

    __slots__ = ("_cipher", "_name")

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise MasterKeyProblem(f"a master key is {KEY_BYTES} bytes, in base64")
        self._cipher = AESGCM(key)
        # Names the key and tells nothing of it: 64 bits of a digest of 256 random ones.
        self._name = "local:" + hashlib.sha256(b"rewards master key name" + key).hexdigest()[:16]

    @property
    def name(self) -> str:
        return self._name

    async def wrap(self, key: bytes, context: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, key, context)

    async def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        try:
            return self._cipher.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], context)
        except (InvalidTag, ValueError) as bad:
            raise MasterKeyProblem(f"a data key does not unwrap under {self._name}") from bad

    def __repr__(self) -> str:
        return f"LocalKey({self._name})"


def parse(text: str) -> list[LocalKey]:
    """Keys in base64, separated by white space or commas: the first wraps, all of them unwrap."""
    keys = []
    for word in text.replace(",", " ").split():
        try:
            keys.append(LocalKey(base64.b64decode(word, validate=True)))
        except binascii.Error as bad:
            raise MasterKeyProblem("a master key is not base64") from bad
    return keys


def known_keys(settings: Settings, *, may_make: bool) -> Sequence[LocalKey]:
    """The master keys of this process: the setting, else the named file, else `home`/master.key.

    That last file is made, mode 0600, when there is none and `may_make`: a database that already
    has wrapped keys needs the key they were wrapped with, and a new one would only hide its loss.
    """
    keys = parse(settings.master_key.get_secret_value())
    if keys:
        return keys
    path = settings.master_key_file or settings.home / FILE_NAME
    if settings.master_key_file is None and not path.exists() and may_make:
        _make(path)
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o007:
                log.warning("master_key_file_readable_by_others", path=str(path))
            keys = parse(file.read(FILE_BYTES_MAX).decode("ascii"))
    except FileNotFoundError as missing:
        raise MasterKeyProblem(f"the master key file {path} is missing") from missing
    except UnicodeDecodeError as bad:
        raise MasterKeyProblem(f"the master key file {path} is not base64") from bad
    if not keys:
        raise MasterKeyProblem(f"the master key file {path} is empty")
    return keys


def _make(path: Path) -> None:
    """Write a fresh key under a name of our own, then link it: two starters end with one file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
        log.info("master_key_made", path=str(path))
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
