"""What both of Reloadly's servers share: tokens of one audience, errors, money of the account."""

import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import msgspec
from aiohttp import web

from rewards.core.currency import exponent_of
from rewards.core.money import to_decimal
from rewards.vendors.adapters.reloadly_wire import sign
from rewards.vendors.simulators.book import Book, Sale, SaleState, SimClock, SimProduct
from rewards.vendors.simulators.faults import BY_PRODUCT, Fault
from rewards.vendors.simulators.serving import FAULT, JSON, Handler, Simulator, parse

LIFE_S = 86_400
# What one unit of another currency costs an account in dollars.
RATES = {"EUR": Decimal("1.08333"), "INR": Decimal("0.011876"), "JPY": Decimal("0.0066123")}
RESERVED = 9_001
FIVE = Decimal("0.00001")
NUMBERS = msgspec.json.Encoder(decimal_format="number")


class SenderBook(Book):
    """Products have currencies of their own; the account pays in `sender`, with five decimals."""

    def __init__(
        self,
        clock: SimClock,
        products: Sequence[SimProduct],
        *,
        sender: str = "USD",
        rates: Mapping[str, Decimal] = RATES,
        delay_s: float = 0.0,
    ) -> None:
        super().__init__(clock, products, delay_s=delay_s)
        self.sender = sender
        self.rates = {**rates, sender: Decimal(1)}

    def price(self, product: SimProduct, face_minor: int) -> Decimal:
        """Before the discount, for one."""
        face = to_decimal(face_minor, exponent_of(product.currency))
        return face * self.rates[product.currency]

    def charged(self, product: SimProduct, face_minor: int, quantity: int) -> Decimal:
        net = self.price(product, face_minor) * quantity * (100 - product.discount_percent) / 100
        return net.quantize(FIVE)

    def cost_minor(self, product: SimProduct, face_minor: int, quantity: int) -> int:
        amount = self.charged(product, face_minor, quantity).scaleb(exponent_of(self.sender))
        return int(amount.to_integral_value(ROUND_HALF_UP))

    def by_number(self, number: str) -> Sale | None:
        return next((s for s in self.sales.values() if str(number_of(s)) == number), None)


class ReloadlySimulator(Simulator):
    """One of the hosts, with the token server beside it."""

    key_name = "customIdentifier"
    # As it stands in host, audience and Accept header.
    product: str
    event: str
    book: SenderBook

    def __init__(
        self,
        book: SenderBook,
        *,
        client_id: str = "client",
        client_secret: str = "secret",  # noqa: S107
        webhook_secret: str = "signing",  # noqa: S107
        callback_url: str | None = None,
    ) -> None:
        super().__init__(book)
        self.credentials = (client_id, client_secret)
        self.webhook_secret = webhook_secret
        self.callback_url = callback_url
        self.token_life_s = LIFE_S
        # Token to its audience and its end.
        self.tokens: dict[str, tuple[str, datetime]] = {}

    def own_routes(self) -> Mapping[tuple[str, str], tuple[str, Handler]]:
        raise NotImplementedError

    def routes(self) -> Mapping[tuple[str, str], tuple[str, Handler]]:
        guarded = {
            where: (call, self._guarded(handler))
            for where, (call, handler) in self.own_routes().items()
        }
        return {
            ("POST", "/oauth/token"): ("token", self.token),
            ("GET", "/accounts/balance"): ("balance", self._guarded(self.balance)),
            **guarded,
        }

    async def token(self, request: web.Request) -> web.Response:
        asked = parse(await request.read()) or {}
        if (asked.get("client_id"), asked.get("client_secret")) != self.credentials:
            return problem(request, 401, "INVALID_CREDENTIALS", "Access Denied")
        token = secrets.token_urlsafe(24)
        end = self.book.clock.now() + timedelta(seconds=self.token_life_s)
        self.tokens[token] = (str(asked.get("audience")), end)
        return shown(
            {
                "access_token": token,
                "scope": "developer",
                "expires_in": self.token_life_s,
                "token_type": "Bearer",
            }
        )

    def _guarded(self, handler: Handler) -> Handler:
        async def run(request: web.Request) -> web.StreamResponse:
            token = request.headers.get("Authorization", "").removeprefix("Bearer ")
            audience, end = self.tokens.get(token, ("", self.book.clock.now()))
            if not self._of_this_host(request, audience):
                return problem(request, 401, "INVALID_TOKEN", "Full authentication is required")
            if end <= self.book.clock.now():
                return problem(request, 401, "TOKEN_EXPIRED", "The token has expired")
            if request.headers.get("Accept") != f"application/com.reloadly.{self.product}-v1+json":
                return web.Response(status=406)
            return await handler(request)

        return run

    def _of_this_host(self, request: web.Request, audience: str) -> bool:
        hosts = (f"{self.product}.reloadly.com", f"{self.product}-sandbox.reloadly.com")
        return audience in [f"https://{host}" for host in hosts] + [f"http://{request.host}"]

    def denied(self, fault: Fault) -> web.Response:
        """A killed token is dead for all calls after this one, too."""
        if fault is Fault.TOKEN_KILLED:
            self.tokens.clear()
            return shown({"errorCode": "INVALID_TOKEN", "message": "The token was revoked"}, 401)
        return shown({"message": "Forbidden", "errorCode": None}, 403)

    def throttled(self) -> web.Response:
        return shown({"message": "Too many requests", "errorCode": None}, 429)

    async def balance(self, _request: web.Request) -> web.Response:
        return shown(
            {
                "balance": to_decimal(self.book.balance_minor, exponent_of(self.book.sender)),
                "currencyCode": self.book.sender,
                "currencyName": self.book.sender,
                "updatedAt": stamp(self.book.clock.now()),
            }
        )

    async def report(self, request: web.Request) -> web.Response:
        """Transactions of a time, or those of one identifier, whatever the case of its letters."""
        asked = request.query.get("customIdentifier", "").lower()
        first, last = (request.query.get(name, "") for name in ("startDate", "endDate"))
        listed = [
            sale
            for sale in self.book.sales.values()
            if asked in ("", sale.key.lower())
            and first <= stamp(sale.placed_at)
            and (not last or stamp(sale.placed_at) <= last)
        ]
        return page([self.record(sale) for sale in listed], request)

    def record(self, sale: Sale) -> dict[str, Any]:
        raise NotImplementedError

    def status(self, sale: Sale) -> str:
        now = self.book.clock.now()
        if sale.state(now) is SaleState.RUNNING:
            return "PENDING" if sale.queued(now) else "PROCESSING"
        return "REFUNDED" if sale.fails else "SUCCESSFUL"

    def tell(self, request: web.Request, sale: Sale) -> None:
        """Call back now, and once more when it is done."""
        if self.callback_url is None:
            return
        fault = request.get(FAULT)
        self._call_back(sale, fault)
        if sale.state(self.book.clock.now()) is SaleState.RUNNING:
            self.when_done(sale, self._call_back)

    def _call_back(self, sale: Sale, fault: Fault | None = None) -> None:
        assert self.callback_url is not None
        told = {
            "type": self.event,
            "date": stamp(self.book.clock.now()),
            "data": {"transaction": self.record(sale)},
        }
        body, at = NUMBERS.encode(told), str(int(self.book.clock.now().timestamp() * 1000))
        headers = {
            "Content-Type": JSON,
            "X-Reloadly-Request-Timestamp": at,
            "X-Reloadly-Signature": sign(self.webhook_secret, at, body),
        }
        self.notify(self.callback_url, body, headers, fault)


def reserved() -> list[SimProduct]:
    """Products that each bring a fault, from 9001 on."""
    return [
        SimProduct(str(number), f"Simulated {fault}", "USD", 100, 50_000, fault=fault)
        for number, fault in enumerate(BY_PRODUCT, RESERVED)
    ]


def number_of(sale: Sale) -> int:
    """Transactions have numbers."""
    return int(sale.ref, 16)


def stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S")


def major(amount_minor: int, currency: str) -> Decimal:
    return to_decimal(amount_minor, exponent_of(currency))


def exact(body: bytes) -> Any:
    """A request whose amounts keep their digits."""
    return json.loads(body, parse_float=Decimal)


def shown(content: object, status: int = 200) -> web.Response:
    return web.Response(body=NUMBERS.encode(content), status=status, content_type=JSON)


def problem(request: web.Request, status: int, code: str | None, message: str) -> web.Response:
    """The body of every error that Reloadly itself has words for."""
    told = {"timeStamp": "2026-01-01 00:00:00", "message": message, "path": request.path}
    return shown({**told, "errorCode": code, "infoLink": None, "details": []}, status)


def page(rows: Sequence[object], request: web.Request) -> web.Response:
    """Counted from 1; the page after the last one is empty."""
    size, number = int(request.query.get("size", "200")), int(request.query.get("page", "1"))
    start = size * (number - 1)
    pages = -(-len(rows) // size)
    return shown(
        {
            "content": rows[start : start + size],
            "totalElements": len(rows),
            "totalPages": pages,
            "number": number,
            "size": size,
            "last": number >= pages,
        }
    )
