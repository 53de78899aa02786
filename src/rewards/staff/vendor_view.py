"""Vendors as staff see them."""

from datetime import datetime
from decimal import Decimal

import msgspec

from rewards.core.currency import exponent_of
from rewards.core.money import to_decimal
from rewards.vendors.account import AccountStatus
from rewards.vendors.kept import What
from rewards.vendors.model import Balance, Capabilities
from rewards.vendors.port import AdapterKind, Field


class BalanceOut(msgspec.Struct):
    """What the vendor says is left to buy with."""

    currency: str
    amount: Decimal
    read_at: datetime | None = None

    @classmethod
    def of(cls, balance: Balance, read_at: datetime | None = None) -> "BalanceOut":
        exponent = exponent_of(balance.currency)
        return cls(balance.currency, to_decimal(balance.amount_minor, exponent), read_at)


class ReadingOut(msgspec.Struct):
    """How reading something last went; without a `problem` it went well."""

    what: What
    tried_at: datetime
    read_at: datetime | None
    problem: str | None


class VendorOut(msgspec.Struct):
    """An account. Of a secret no more than its last characters, and those only to an admin."""

    id: int
    name: str
    adapter: str
    status: AccountStatus
    config: dict[str, str]
    secrets: dict[str, str]
    balances: list[BalanceOut]
    readings: list[ReadingOut]
    created_at: datetime
    changed_at: datetime


class VendorCallsOut(msgspec.Struct):
    """How one vendor is doing. `open` purchases are under way, `unknown` ones read back, `cases`
    wait for a person; `problem` is why its balance or catalogue cannot be read.

    Of its last `calls` (100 at most) `failed` brought no answer with sense, the newest
    `failed_in_a_row` of them. After five in a row each process has it `left_alone`, but for one
    call every half minute, until one is answered.
    """

    vendor_id: int
    open: int
    unknown: int
    cases: int
    problem: str | None
    calls: int
    failed: int
    failed_in_a_row: int
    left_alone: bool
    answered_at: datetime | None
    failed_at: datetime | None


class CheckOut(msgspec.Struct):
    """`problem` says why the vendor did not answer to our credentials."""

    ok: bool
    problem: str | None
    took_ms: int
    balances: list[BalanceOut]


class FieldOut(msgspec.Struct):
    name: str
    about: str
    default: str | None

    @classmethod
    def of(cls, field: Field) -> "FieldOut":
        return cls(field.name, field.about, field.default)


class RateOut(msgspec.Struct):
    """At most `calls` in any `per_s` seconds; `call` is "*" for all together."""

    call: str
    calls: int
    per_s: float


class CapabilitiesOut(msgspec.Struct):
    """`verified`: whether the wire format was checked against the vendor's own documentation."""

    quantity_max: int
    sync_quantity_max: int
    recharges: bool
    balance: bool
    catalogue: bool
    callbacks: bool
    expected_s: int
    verified: bool

    @classmethod
    def of(cls, told: Capabilities) -> "CapabilitiesOut":
        return cls(**{name: getattr(told, name) for name in cls.__struct_fields__})


class AdapterOut(msgspec.Struct):
    """A kind of vendor that can be plugged in. Without `capabilities` they differ by account."""

    name: str
    capabilities: CapabilitiesOut | None
    config: list[FieldOut]
    secrets: list[FieldOut]
    rates: list[RateOut]

    @classmethod
    def of(cls, kind: AdapterKind) -> "AdapterOut":
        rates = [RateOut(name, rate.calls, rate.per_s) for name, rate in kind.rates.items()]
        return cls(
            kind.name,
            None if kind.capabilities is None else CapabilitiesOut.of(kind.capabilities),
            [FieldOut.of(each) for each in kind.config],
            [FieldOut.of(each) for each in kind.secrets],
            rates,
        )


class SyncOut(msgspec.Struct):
    """A worker will read balance and catalogue soon; `readings` of the account tell how it went."""

    vendor_id: int
    queued: bool = True
