"""The settings that tell one encrypted-pull vendor from another; pure."""

import re
from typing import Any, Literal

import msgspec

from rewards.core.currency import CURRENCIES
from rewards.vendors.model import Reason

# What a code can mean besides a Reason.
IN_PROCESS = "IN_PROCESS"  # the vendor has the order and is not done
NOT_KNOWN = "NOT_KNOWN"  # no order under this key
DUPLICATE = "DUPLICATE"  # the key was used before
OTHER_BODY = "OTHER_BODY"  # the key was used before, for something else
TOKEN = "TOKEN"  # noqa: S105  the token is not taken, nothing else was looked at
UNCLEAR = "UNCLEAR"  # may mean anything, also that it was sold
VERDICTS = frozenset(
    (IN_PROCESS, NOT_KNOWN, DUPLICATE, OTHER_BODY, TOKEN, UNCLEAR, *(reason for reason in Reason))
)
# What a request can be filled with; `=text` is that text, `@name` a value of the account.
FACTS = frozenset(("key", "ref", "sku", "face", "quantity"))
_CODE = re.compile(r"[A-Za-z0-9_-]{1,32}", re.ASCII)


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A group of settings."""


class Token(Part, frozen=True, kw_only=True):
    """How a token is got and shown, and how long it lives."""

    path: str
    header: str
    lives_s: int
    field: str
    method: Literal["GET", "POST"] = "GET"
    body: dict[str, str] = {}
    username_header: str = "username"
    password_header: str = "password"  # noqa: S105
    prefix: str = ""


class Envelope(Part, frozen=True, kw_only=True):
    """Names around what is sealed. Of several names the first that is there counts."""

    code: tuple[str, ...]
    ok: str
    text: tuple[str, ...]
    # Values that may be kept of an answer; all else of it is not.
    kept: tuple[str, ...]
    payload: str = "payload"
    data: str = "data"
    # The vendor's name for the order, where it gives one.
    ref: str | None = None


class Call(Part, frozen=True, kw_only=True):
    """A POST; `body` says by name what it is filled with."""

    path: str
    body: dict[str, str]
    sealed: bool = True

    def __post_init__(self) -> None:
        for source in self.body.values():
            if source not in FACTS and source[:1] not in ("=", "@"):
                raise ValueError(f"a request cannot be filled with {source!r}")


class Calls(Part, frozen=True, kw_only=True):
    place: Call
    status: Call
    # Where the codes are when `status` says that it is done and brings none.
    codes: Call | None = None
    brands: Call
    stock: Call | None = None
    balance: Call | None = None


class Order(Part, frozen=True, kw_only=True):
    """Names inside a sealed order. `fields`: for each name of ours, theirs; first filled wins, and
    each of theirs is used once."""

    groups: str
    items: str
    fields: dict[str, tuple[str, ...]]
    face: str
    expires: str
    date_formats: tuple[str, ...]
    # Success is this word here, whatever the code says.
    result: str | None = None
    success: str = "SUCCESS"
    failed: str = "FAILED"
    code: str = "ErrorCode"
    text: str = "ErrorMessage"
    key: str | None = None


class Brand(Part, frozen=True, kw_only=True):
    """Names inside a brand. `kind` begins with F where only the listed values are sold."""

    sku: str
    name: str
    kind: str
    fixed: str
    min: str
    max: str
    available: str


class Rule(Part, frozen=True, kw_only=True):
    """What a code means when its text contains `text` (in any case)."""

    code: str
    verdict: str
    text: str = ""

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise ValueError(f"{self.verdict!r} is no verdict")


class Protocol(Part, frozen=True, kw_only=True):
    """One vendor's wire. `sealed`: whole messages, or in plain messages only the codes.

    `final`: codes of an envelope that say of the order that is read that it failed for good; all
    others may refuse the product, the account or the asking.
    """

    token: Token
    envelope: Envelope
    calls: Calls
    order: Order
    brand: Brand
    rules: tuple[Rule, ...]
    final: tuple[str, ...] = ()
    cipher: Literal["cbc-fixed-iv", "gcm-per-message"] = "cbc-fixed-iv"
    sealed: Literal["messages", "codes"] = "messages"
    stock_at: tuple[str, ...] = ()
    balance_at: tuple[str, ...] = ()
    currency: str = "INR"

    def __post_init__(self) -> None:
        if self.currency not in CURRENCIES:
            raise ValueError(f"{self.currency!r} is no currency")

    def verdict(self, code: object, text: object) -> str:
        """What the vendor's no means; the first rule that fits. Not listed: UNCLEAR."""
        code, text = named(code), str(text or "").lower()
        fitting = (r.verdict for r in self.rules if r.code == code and r.text.lower() in text)
        return next(fitting, UNCLEAR)

    def wanted(self) -> frozenset[str]:
        """The values of the account that requests are filled with."""
        calls = (getattr(self.calls, name) for name in self.calls.__struct_fields__)
        bodies = (self.token.body, *(call.body for call in calls if call is not None))
        sources = (source for body in bodies for source in body.values())
        return frozenset(source[1:] for source in sources if source.startswith("@"))


def named(code: object) -> str:
    """A vendor's code as it may be shown: nothing but a short word."""
    text = str(code)
    return text if _CODE.fullmatch(text) else "a code without sense"


def adapted(preset: Protocol, changes: str) -> Protocol:
    """The preset with what an account's settings change of it: JSON of the same names.

    Objects are merged, everything else replaces; `rules` come before the preset's. Raises
    ValueError for what is no JSON object, an unknown name or a wrong type.
    """
    base = msgspec.to_builtins(preset)
    try:
        asked = msgspec.json.decode(changes or "{}", type=dict[str, Any])
        own = msgspec.convert(asked.pop("rules", []), list[Any])
        merged = {**_merged(base, asked), "rules": [*own, *base["rules"]]}
        return msgspec.convert(merged, Protocol)
    except msgspec.DecodeError as problem:
        raise ValueError(f"settings: {problem}") from None


def _merged(base: Any, asked: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(asked, dict)):
        return asked
    return {**base, **{name: _merged(base.get(name), value) for name, value in asked.items()}}
