"""An account with a vendor: its settings and secrets, and which of them are right; pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from ipaddress import ip_address
from urllib.parse import urlsplit

from rewards.core.errors import Conflict, InvalidField
from rewards.core.text import printable
from rewards.vendors.port import AdapterKind, Field

# Change feed: the subject is the vendor's id.
CHANGES_TOPIC = "vendors"
NAME_CHARS_MAX = 100
VALUE_CHARS_MAX = 1_000
# A long key in base64 fits; one line, since many a secret travels in a header.
SECRET_CHARS_MAX = 8_000
# Nothing that two parsers could read in two ways: no user, no query, no escapes.
ADDRESS = re.compile(r"https?://[A-Za-z0-9.\-:\[\]]{1,255}(/[A-Za-z0-9._~\-/]{0,500})?", re.ASCII)
MASK = "…"
SHOWN_CHARS = 4
# Of a shorter secret the last four would be too much.
MASKED_CHARS_MIN = 12


class AccountStatus(StrEnum):
    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"  # nothing is bought; what was bought is still read back


@dataclass(frozen=True, slots=True)
class Account:
    """One account with a vendor, without its secrets. `config` holds what differs from defaults."""

    id: int
    name: str
    adapter: str
    config: Mapping[str, str]
    status: AccountStatus
    created_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class SealedAccount:
    """An account with its secrets, still sealed."""

    account: Account
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class NewAccount:
    name: str
    adapter: str
    config: Mapping[str, str]
    secrets: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class AccountChange:
    """None leaves a part as it is. `config` and `secrets` change the fields they name.

    A None in `config` puts that field back to its default.
    """

    name: str | None = None
    status: AccountStatus | None = None
    config: Mapping[str, str | None] | None = None
    secrets: Mapping[str, str] | None = field(default=None, repr=False)
    reason: str | None = None


class VendorNameTaken(Conflict):
    code = "VENDOR_NAME_TAKEN"
    default_message = "Another vendor account has this name"


def check_name(name: str) -> None:
    """Raises `Invalid Name`: `min`, `max` or `printable`."""
    printable("Name", name, NAME_CHARS_MAX)


def check_config(kind: AdapterKind, config: Mapping[str, str], *, loopback: bool) -> None:
    """Every field the adapter needs, no other, and addresses that secrets may be sent to.

    Raises `Invalid Config.<name>`: `unknown`, `required`, `max`, `printable`, `url`, `https`.
    Plain HTTP is for this very machine, and only where `loopback` allows it.
    """
    _check_names("Config", kind.config, config)
    for name, value in config.items():
        printable(f"Config.{name}", value, VALUE_CHARS_MAX)
        if _is_address(name):
            _check_address(f"Config.{name}", value, loopback=loopback)


def check_secrets(kind: AdapterKind, secrets: Mapping[str, str]) -> None:
    """Every secret the adapter needs and no other.

    Raises `Invalid Secrets.<name>`: `unknown`, `required`, `min`, `max`, `printable`.
    """
    _check_names("Secrets", kind.secrets, secrets)
    for name, value in secrets.items():
        printable(f"Secrets.{name}", value, SECRET_CHARS_MAX)


def completed(fields: Iterable[Field], given: Mapping[str, str]) -> dict[str, str]:
    """What an adapter is built with: the given values over the defaults."""
    defaults = {each.name: each.default for each in fields if each.default is not None}
    return {**defaults, **given}


def moved(before: Mapping[str, str], after: Mapping[str, str]) -> bool:
    """Whether any address now belongs to another host, which our secrets were not meant for."""
    names = {name for name in (*before, *after) if _is_address(name)}
    return any(_origin(before.get(name)) != _origin(after.get(name)) for name in names)


def masked(secret: str) -> str:
    """All that is ever shown of a secret: its last four characters, of a long one."""
    return MASK + secret[-SHOWN_CHARS:] if len(secret) >= MASKED_CHARS_MIN else MASK


def _check_names(said: str, fields: Iterable[Field], given: Mapping[str, str]) -> None:
    known = {each.name: each for each in fields}
    for name in given:
        if name not in known:
            raise InvalidField(said, "unknown", details={"allowed": sorted(known)})
    for name, each in known.items():
        if name not in given and each.default is None:
            raise InvalidField(f"{said}.{name}", "required")


def _is_address(name: str) -> bool:
    return name == "url" or name.endswith("_url")


def _check_address(said: str, text: str, *, loopback: bool) -> None:
    if not ADDRESS.fullmatch(text):
        raise InvalidField(said, "url")
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise InvalidField(said, "url") from None
    if not host:
        raise InvalidField(said, "url")
    if parts.scheme != "https" and not (loopback and _is_loopback(host)):
        raise InvalidField(said, "https")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _origin(url: str | None) -> tuple[str, str] | None:
    if url is None:
        return None
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()
