"""Clients as values: who calls, what they may do, and the shape of what they prove it with."""

import base64
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TypeAlias
from uuid import UUID

from rewards.core.errors import InvalidField, NotFound
from rewards.core.text import printable

Network: TypeAlias = IPv4Network | IPv6Network

CHANGES_TOPIC = "clients"

NAME_CHARS_MAX = 200
ALLOWED_IPS_MAX = 100
API_KEY_RANDOM_BYTES = 18
API_KEY_CHARS_MAX = 64
API_SECRET_CHARS_MAX = 128
SIGNING_SECRET_BYTES = 32
SIGNING_SECRET_PREFIX = "whsec_"  # noqa: S105
LIMIT_MAX = 2**31 - 1
CONVERSION_FEE_DECIMALS_MAX = 4
MAPPED_V4 = IPv6Network("::ffff:0:0/96")


class ClientStatus(StrEnum):
    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"


class Scope(StrEnum):
    ORDERS_WRITE = "orders:write"
    ORDERS_READ = "orders:read"
    PRODUCTS_READ = "products:read"
    WALLETS_READ = "wallets:read"
    WEBHOOKS_WRITE = "webhooks:write"
    WEBHOOKS_READ = "webhooks:read"
    REQUESTS_READ = "requests:read"
    # For people alone: a key that was stolen must not make keys, let people in, or silence mail.
    # Codes of delivered orders; a key sees them with `orders:read`.
    VOUCHERS_READ = "vouchers:read"
    MEMBERS_READ = "members:read"
    MEMBERS_WRITE = "members:write"
    CREDENTIALS_READ = "credentials:read"
    CREDENTIALS_WRITE = "credentials:write"
    SETTINGS_READ = "settings:read"
    SETTINGS_WRITE = "settings:write"


# What an owner may do.
ALL_SCOPES: frozenset[str] = frozenset(scope.value for scope in Scope)
# What a credential may be given, and has where nothing narrower was asked.
KEY_SCOPES: frozenset[str] = frozenset(
    {
        Scope.ORDERS_WRITE.value,
        Scope.ORDERS_READ.value,
        Scope.PRODUCTS_READ.value,
        Scope.WALLETS_READ.value,
        Scope.WEBHOOKS_WRITE.value,
        Scope.WEBHOOKS_READ.value,
        Scope.REQUESTS_READ.value,
    }
)


class ClientNotFound(NotFound):
    code = "CLIENT_NOT_FOUND"
    default_message = "Client not found"


class CredentialNotFound(NotFound):
    code = "CREDENTIAL_NOT_FOUND"
    default_message = "Credential not found"


@dataclass(frozen=True, slots=True)
class Limits:
    """How many orders a client may ask for; each at least 1 (spec.md §2)."""

    per_minute: int = 60
    per_10s: int = 10
    per_day: int = 5000
    concurrent: int = 3


@dataclass(frozen=True, slots=True)
class Principal:
    """Who an authenticated request comes from. Exactly one of credential_id and login_id is set."""

    client_id: int
    credential_id: int | None
    login_id: int | None
    scopes: frozenset[str]
    limits: Limits
    max_quantity: int
    # Charged on top when an order needs FX (D11).
    conversion_fee_percent: Decimal
    status: ClientStatus
    # Empty: every address is allowed.
    networks: tuple[Network, ...]
    token_epoch: int
    # The session of a login: all tokens that descend from one login.
    family: UUID | None = None

    @property
    def sees_codes(self) -> bool:
        """Machines fetch what they ordered; people are told apart by their roles."""
        return self.credential_id is not None or Scope.VOUCHERS_READ in self.scopes


@dataclass(frozen=True, slots=True)
class Client:
    id: int
    name: str
    status: ClientStatus
    limits: Limits
    max_quantity: int
    conversion_fee_percent: Decimal
    allowed_ips: tuple[str, ...]
    token_epoch: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NewClient:
    name: str
    limits: Limits = Limits()
    max_quantity: int = 1000
    conversion_fee_percent: Decimal = Decimal(0)
    allowed_ips: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClientChange:
    """What is None stays as it is."""

    name: str | None = None
    status: ClientStatus | None = None
    limits: Limits | None = None
    max_quantity: int | None = None
    conversion_fee_percent: Decimal | None = None
    allowed_ips: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class NewCredential:
    client_id: int
    scopes: frozenset[str] = KEY_SCOPES
    # Every request, reads included, must then carry X-Signature.
    signing_required: bool = False
    name: str | None = None


@dataclass(frozen=True, slots=True)
class CredentialChange:
    """What is None stays as it is."""

    scopes: frozenset[str] | None = None
    signing_required: bool | None = None


@dataclass(frozen=True, slots=True)
class Credential:
    """A credential as staff see it: nothing that proves anything."""

    id: int
    client_id: int
    api_key: str
    scopes: frozenset[str]
    signing_required: bool
    created_at: datetime
    revoked_at: datetime | None
    name: str | None = None
    # To the hour.
    last_used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class IssuedCredential:
    """The only time the two secrets are readable; they are in no repr."""

    id: int
    client_id: int
    api_key: str
    api_secret: str = field(repr=False)
    signing_secret: str = field(repr=False)
    scopes: frozenset[str]
    signing_required: bool
    name: str | None = None


def check_client(
    *,
    name: str | None = None,
    limits: Limits | None = None,
    max_quantity: int | None = None,
    conversion_fee_percent: Decimal | None = None,
    allowed_ips: Sequence[str] | None = None,
) -> None:
    """Raise InvalidField for the first value that a client may not have; None is not looked at."""
    if name is not None:
        if not name.strip():
            raise InvalidField("Name", "required")
        printable("Name", name, NAME_CHARS_MAX)
    if limits is not None:
        for label, value in (
            ("OrdersPerMinute", limits.per_minute),
            ("OrdersPer10s", limits.per_10s),
            ("OrdersPerDay", limits.per_day),
            ("ConcurrentOrders", limits.concurrent),
        ):
            _check_count(label, value)
    if max_quantity is not None:
        _check_count("MaxQuantity", max_quantity)
    if conversion_fee_percent is not None:
        _check_fee(conversion_fee_percent)
    if allowed_ips is not None:
        networks_of(allowed_ips)


def _check_count(label: str, value: int) -> None:
    if value < 1:
        raise InvalidField(label, "min")
    if value > LIMIT_MAX:
        raise InvalidField(label, "max")


def _check_fee(percent: Decimal) -> None:
    if not percent.is_finite() or percent < 0:
        raise InvalidField("ConversionFeePercent", "min")
    if percent >= 100:
        raise InvalidField("ConversionFeePercent", "max")
    exponent = percent.as_tuple().exponent
    assert isinstance(exponent, int)
    if -exponent > CONVERSION_FEE_DECIMALS_MAX:
        raise InvalidField("ConversionFeePercent", "precision")


def networks_of(allowed_ips: Sequence[str]) -> tuple[Network, ...]:
    """Addresses and CIDR ranges, v4 or v6, as networks. Raises InvalidField for anything else.

    A range with host bits set (10.0.0.1/8) is refused: it may have been meant as the address. So is
    a v4 range in v6 clothes (::ffff:10.0.0.0/104): callers are told apart by their v4 form.
    """
    if len(allowed_ips) > ALLOWED_IPS_MAX:
        raise InvalidField("AllowedIps", "max")
    try:
        networks = tuple(ip_network(text) for text in allowed_ips)
    except ValueError as bad:
        raise InvalidField("AllowedIps", "ip") from bad
    if any(isinstance(each, IPv6Network) and each.subnet_of(MAPPED_V4) for each in networks):
        raise InvalidField("AllowedIps", "ip")
    return networks


def check_scopes(scopes: frozenset[str]) -> None:
    if not scopes:
        raise InvalidField("Scopes", "required")
    if not scopes <= KEY_SCOPES:
        raise InvalidField("Scopes", "oneof")


def new_api_key(environment: str, cell: int) -> str:
    """`sk_<environment>_<cell>_<random>`: says where it belongs; a proxy can route by it."""
    return f"sk_{environment}_{cell}_{secrets.token_hex(API_KEY_RANDOM_BYTES)}"


API_KEY_PATTERN = re.compile(r"sk_[a-z]{1,16}_[0-9]{1,6}_[0-9a-f]{36}", re.ASCII)


def looks_like_api_key(text: str) -> bool:
    """Whether we could have made it; nothing else is worth a look into the database."""
    return len(text) <= API_KEY_CHARS_MAX and API_KEY_PATTERN.fullmatch(text) is not None


def new_signing_secret() -> tuple[str, bytes]:
    """`whsec_<base64>` as it is shown once, and the 32 bytes it stands for: the key of the HMAC."""
    key = secrets.token_bytes(SIGNING_SECRET_BYTES)
    return SIGNING_SECRET_PREFIX + base64.b64encode(key).decode(), key
