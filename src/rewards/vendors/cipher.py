"""The two ways in which vendors of the encrypted-pull family seal their messages; pure."""

import hashlib
import os
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.padding import PKCS7

KEY_BYTES = 32
BLOCK_BYTES = 16
NONCE_BYTES = 12
TAG_BYTES = 16


class Unreadable(Exception):
    """It does not open with our key; the words quote nothing of it."""

    def __init__(self) -> None:
        super().__init__("it cannot be decrypted")


class Sealing(Protocol):
    """What is sealed is a JSON value: text, or an object of texts."""

    def seal(self, plain: bytes) -> str | dict[str, str]: ...

    def open(self, sealed: Any) -> bytes:
        """Raises Unreadable, also for what is no sealed value at all."""
        ...


class CbcFixedIv:
    """AES-256-CBC with PKCS7 under one key and one IV for ever, base64.

    The family's own choice, and a weak one: equal messages look equal, and nothing tells whether a
    message was changed on its way. Only TLS protects it.
    """

    def __init__(self, key: bytes, iv: bytes) -> None:
        if len(key) != KEY_BYTES or len(iv) != BLOCK_BYTES:
            raise ValueError(f"a key of {KEY_BYTES} bytes and an IV of {BLOCK_BYTES}")
        self._cipher = Cipher(algorithms.AES(key), modes.CBC(iv))

    def seal(self, plain: bytes) -> str:
        padder, encryptor = PKCS7(BLOCK_BYTES * 8).padder(), self._cipher.encryptor()
        padded = padder.update(plain) + padder.finalize()
        return b64encode(encryptor.update(padded) + encryptor.finalize()).decode()

    def open(self, sealed: Any) -> bytes:
        unpadder, decryptor = PKCS7(BLOCK_BYTES * 8).unpadder(), self._cipher.decryptor()
        try:
            padded = decryptor.update(b64decode(sealed, validate=True)) + decryptor.finalize()
            return unpadder.update(padded) + unpadder.finalize()
        except (ValueError, TypeError):
            raise Unreadable from None


class GcmPerMessage:
    """AES-256-GCM with a nonce for each message: `{ciphertext, iv, tag}` in hex; the key is the
    SHA-256 of a shared secret."""

    def __init__(self, secret: str) -> None:
        if not secret:
            raise ValueError("a secret that is not empty")
        self._aead = AESGCM(hashlib.sha256(secret.encode()).digest())

    def seal(self, plain: bytes) -> dict[str, str]:
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._aead.encrypt(nonce, plain, None)
        return {
            "ciphertext": sealed[:-TAG_BYTES].hex(),
            "iv": nonce.hex(),
            "tag": sealed[-TAG_BYTES:].hex(),
        }

    def open(self, sealed: Any) -> bytes:
        try:
            # The last 16 bytes are taken as the tag, so that a shorter one never fits.
            whole = bytes.fromhex(sealed["ciphertext"]) + bytes.fromhex(sealed["tag"])
            return self._aead.decrypt(bytes.fromhex(sealed["iv"]), whole, None)
        except (ValueError, TypeError, LookupError, InvalidTag):
            raise Unreadable from None


def secret_bytes(text: str, count: int) -> bytes:
    """`count` bytes as vendors hand them over: as plain text, in hex or in base64, told by length.

    Raises ValueError, quoting nothing.
    """
    forms: dict[int, Callable[[str], bytes]] = {
        count: str.encode,
        2 * count: bytes.fromhex,
        4 * -(-count // 3): b64decode,
    }
    try:
        found = forms[len(text)](text)
    except (LookupError, ValueError):
        found = b""
    if len(found) != count:
        raise ValueError(f"not {count} bytes as text, hex or base64")
    return found
