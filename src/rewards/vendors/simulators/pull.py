"""What all simulated vendors of the encrypted-pull family share: tokens, sealing, products."""

import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from aiohttp import web

from rewards.vendors.cipher import CbcFixedIv, GcmPerMessage, Sealing, Unreadable
from rewards.vendors.simulators.book import Book, SimProduct, SoldCard
from rewards.vendors.simulators.faults import Fault
from rewards.vendors.simulators.serving import FAULT, Simulator, parse

TOKEN_LIFE = timedelta(minutes=30)
ZONE = timezone(timedelta(hours=5, minutes=30))
QUANTITY_MAX = 10
# Something to buy, and one product for each fault a person may want to see.
PRODUCTS = (
    SimProduct("internalfixedtesting", "Fixed testing", "INR", 100_000, 100_000, (100_000,), 500),
    SimProduct("internalslabtesting", "Slab testing", "INR", 50_000, 200_000, (50_000, 200_000)),
    SimProduct("internalopentesting", "Open testing", "INR", 100, 1_000_000),
    *(
        SimProduct(f"sim{fault.lower().replace('_', '')}", fault, "INR", 100, 10**6, fault=fault)
        for fault in (
            Fault.OUT_OF_STOCK,
            Fault.NO_BALANCE,
            Fault.INACTIVE,
            Fault.PARTIAL,
            Fault.NEVER_READY,
            Fault.LATE_FAILURE,
            Fault.DROP_AFTER,
            Fault.BAD_CIPHER,
            Fault.WRONG_VALUE,
            Fault.EXPIRED_CODE,
            Fault.DUPLICATE_CODE,
        )
    ),
)


@dataclass(frozen=True, slots=True)
class Login:
    """What the vendor gave to its client."""

    username: str
    password: str = field(repr=False)
    sealing: Sealing = field(repr=False)
    distributor_id: str = "SIMDISTRIBUTOR"


class PullSimulator(Simulator):
    """A subclass writes the wire: paths, names, codes. `sealed_codes`: plain messages, only the
    code of each voucher is sealed."""

    sealed_codes = False

    def __init__(self, book: Book, login: Login) -> None:
        super().__init__(book)
        self.login = login
        self._tokens: dict[str, datetime] = {}

    def logged_in(self, request: web.Request) -> bool:
        headers, login = request.headers, self.login
        named = hmac.compare_digest(headers.get("username", "").encode(), login.username.encode())
        password = headers.get("password", "").encode()
        return named and hmac.compare_digest(password, login.password.encode())

    def new_token(self) -> str:
        token = f"eyJhbGciOiJIUzI1NiJ9.{secrets.token_urlsafe(24)}.{secrets.token_urlsafe(24)}"
        self._tokens[token] = self.book.clock.now() + TOKEN_LIFE
        return token

    def token_holds(self, request: web.Request) -> bool:
        ends_at = self._tokens.get(request.headers.get("token", ""))
        return ends_at is not None and self.book.clock.now() < ends_at

    def kill_tokens(self) -> None:
        self._tokens.clear()

    def sealed(self, request: web.Request, content: object) -> Any:
        """As it stands in an answer; under another key when the ciphers are to disagree."""
        if self.sealed_codes:
            return content
        plain = content if isinstance(content, str) else json.dumps(content)
        sealing = self.login.sealing
        if request.get(FAULT) is Fault.BAD_CIPHER:
            sealing = _other(sealing)
        return sealing.seal(plain.encode())

    def sealed_code(self, request: web.Request, code: str) -> Any:
        if not self.sealed_codes:
            return code
        spoiled = request.get(FAULT) is Fault.BAD_CIPHER
        sealing = _other(self.login.sealing) if spoiled else self.login.sealing
        return sealing.seal(code.encode())

    def asked(self, body: bytes) -> Mapping[str, Any] | None:
        """The request inside `payload`, None when it does not open."""
        asked = parse(body)
        if self.sealed_codes:
            return asked if isinstance(asked, dict) else None
        try:
            opened = parse(self.login.sealing.open(asked["payload"]))
        except (Unreadable, LookupError, TypeError):
            return None
        return opened if isinstance(opened, dict) else None


def _other(sealing: Sealing) -> Sealing:
    if isinstance(sealing, GcmPerMessage):
        return GcmPerMessage(secrets.token_hex(16))
    return CbcFixedIv(secrets.token_bytes(32), secrets.token_bytes(16))


def rupees(face_minor: int) -> str:
    """`1000.00`"""
    return f"{Decimal(face_minor) / 100:.2f}"


def paise(text: object) -> int:
    """What a client wrote as a value; -1 for nonsense."""
    try:
        return int(Decimal(str(text)) * 100)
    except ArithmeticError:
        return -1


def day(card: SoldCard) -> datetime:
    return card.expires_at.astimezone(ZONE)
