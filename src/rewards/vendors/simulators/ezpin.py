"""EZ PIN's server: tokens that end, orders under a UUID, cards by a call of their own."""

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from aiohttp import web

from rewards.vendors.amounts import NUMBERS, decimal_of, minor_of
from rewards.vendors.simulators.book import Book, Sale, SaleState, SimProduct, Vexed
from rewards.vendors.simulators.faults import BY_PRODUCT, Fault
from rewards.vendors.simulators.serving import JSON, Handler, Simulator, parse

BASE = "/vendors/v2"
CURRENCY = "USD"
TOKEN_LIFE = timedelta(minutes=10)
IMMEDIATE_MAX = 10
CODES = {
    Fault.OUT_OF_STOCK: 614,
    Fault.NO_BALANCE: 610,
    Fault.INACTIVE: 602,
    Fault.PRICE_DRIFT: 611,
    Fault.WRONG_VALUE: 605,
}
# Nobody published what a known reference answers; 618 is "set order problem".
KNOWN_REFERENCE = 618
TOO_MANY = 624
NOT_READY = 609
NO_TOKEN = {"detail": "Token is invalid or expired"}
TEXTS = {SaleState.RUNNING: "pending", SaleState.FAILED: "reject"}
PRODUCTS = (
    SimProduct("EZ-ANY", "Any value", CURRENCY, 100, 50_000),
    SimProduct("EZ-20", "Twenty", CURRENCY, 2_000, 2_000, (2_000,)),
    *(
        SimProduct(f"EZ-{fault}", f"Simulated {fault}", CURRENCY, 100, 50_000, fault=fault)
        # Orders here are delivered whole.
        for fault in BY_PRODUCT
        if fault not in (Fault.PARTIAL, Fault.DUPLICATE_CALLBACK, Fault.REORDER_CALLBACKS)
    ),
)


class EzPinSimulator(Simulator):
    """One client. `expires_in_ms`: whether a token's `expire` counts milliseconds or seconds."""

    key_name = "reference_code"
    page_max = 100

    def __init__(
        self, book: Book, client_id: str, secret_key: str, *, expires_in_ms: bool = True
    ) -> None:
        super().__init__(book)
        self._who = (client_id, secret_key)
        self._unit = timedelta(milliseconds=1) if expires_in_ms else timedelta(seconds=1)
        self._tokens: dict[str, datetime] = {}

    def routes(self) -> Mapping[tuple[str, str], tuple[str, Handler]]:
        orders = f"{BASE}/orders/"
        routes: dict[tuple[str, str], tuple[str, Handler]] = {
            ("POST", orders): ("place", self.place),
            ("GET", orders): ("book", self.listed),
            ("GET", f"{orders}{{reference_code}}/"): ("read", self.read),
            ("GET", f"{orders}{{reference_code}}/cards/"): ("cards", self.cards),
            ("GET", f"{BASE}/balance/"): ("balance", self.balance),
            ("GET", f"{BASE}/catalogs/"): ("catalogue", self.catalogue),
        }
        guarded = {at: (call, self._guarded(run)) for at, (call, run) in routes.items()}
        return guarded | {("POST", f"{BASE}/auth/token/"): ("token", self.token)}

    def _guarded(self, handler: Handler) -> Handler:
        async def run(request: web.Request) -> web.StreamResponse:
            scheme, _, token = request.headers.get("Authorization", "").partition(" ")
            ends_at = self._tokens.get(token)
            if scheme != "Bearer" or ends_at is None or self.book.clock.now() >= ends_at:
                return _json(NO_TOKEN, 401)
            return await handler(request)

        return run

    def throttled(self) -> web.Response:
        return _json({"detail": "Request was throttled."}, 429)

    def denied(self, fault: Fault) -> web.Response:
        if fault is Fault.IP_DENIED:
            return _json({"detail": "You do not have permission to perform this action."}, 403)
        self._tokens.clear()
        return _json(NO_TOKEN, 401)

    async def token(self, request: web.Request) -> web.Response:
        asked = parse(await request.read())
        if (asked.get("client_id"), asked.get("secret_key")) != self._who:
            return _json({"detail": "Invalid credentials"}, 400)
        token = secrets.token_urlsafe(24)
        self._tokens[token] = self.book.clock.now() + TOKEN_LIFE
        return _json({"access": token, "expire": TOKEN_LIFE // self._unit})

    async def place(self, request: web.Request) -> web.Response:
        asked = parse(await request.read())
        try:
            key = str(UUID(asked["reference_code"]))
        except ValueError:
            return _json({"reference_code": ["Must be a valid UUID."]}, 400)
        if key in self.book.sales:
            return _refused(KNOWN_REFERENCE)
        if asked["quantity"] > IMMEDIATE_MAX:
            return _refused(TOO_MANY)
        fault = self.fault(request, asked["sku"])
        try:
            face_minor = minor_of(str(asked["price"]), CURRENCY)
            sale = self.book.sell(key, asked["sku"], face_minor, asked["quantity"], fault)
        except (TypeError, ValueError):
            return _refused(CODES[Fault.WRONG_VALUE])
        except Vexed as refused:
            return _refused(CODES[refused.fault])
        return _json(self._shown(sale), 201)

    async def read(self, request: web.Request) -> web.Response:
        sale = self._sale(request)
        return _json(self._shown(sale)) if sale else _json({"detail": "Not found."}, 404)

    async def listed(self, request: web.Request) -> web.Response:
        asked = request.query
        start, size = int(asked["offset"]), min(int(asked["limit"]), self.page_max)
        within = [
            sale
            for sale in self.book.sales.values()
            if asked["start_date"] <= sale.placed_at.date().isoformat() <= asked["end_date"]
        ]
        rows = [self._shown(sale) for sale in within[start : start + size]]
        return _json({"count": len(within), "next": None, "previous": None, "results": rows})

    async def cards(self, request: web.Request) -> web.Response:
        sale = self._sale(request)
        if sale is None:
            return _json({"detail": "Not found."}, 404)
        if sale.state(self.book.clock.now()) is SaleState.RUNNING:
            return _refused(NOT_READY)
        rows = [
            {"card_number": card.code, "pin_code": card.pin, "claim_url": ""} for card in sale.cards
        ]
        return _json({"count": len(rows), "results": rows})

    async def balance(self, _request: web.Request) -> web.Response:
        balance = decimal_of(self.book.balance_minor, CURRENCY)
        return _json([{"currency": CURRENCY, "balance": balance}])

    async def catalogue(self, request: web.Request) -> web.Response:
        start, size = int(request.query["offset"]), int(request.query["limit"])
        products = list(self.book.products.values())
        rows = [_listed(product) for product in products[start : start + min(size, self.page_max)]]
        return _json({"count": len(products), "results": rows})

    def _sale(self, request: web.Request) -> Sale | None:
        return self.book.sales.get(request.match_info["reference_code"])

    def _shown(self, sale: Sale) -> dict[str, Any]:
        state = sale.state(self.book.clock.now())
        status = {SaleState.RUNNING: 0, SaleState.FAILED: -1}.get(state, 1)
        face_minor = sum(card.face_minor for card in sale.cards[: sale.quantity])
        cost = decimal_of(sale.cost_minor, sale.currency)
        return {
            "order_id": int(sale.ref, 16),
            "delivery_type": 0,
            "destination": "",
            "status": status,
            "status_text": TEXTS.get(state, "accept"),
            "created_time": sale.placed_at.isoformat(),
            "terminal_id": None,
            "share_link": "",
            "reference_code": sale.key,
            "product": {"sku": sale.sku, "title": self.book.products[sale.sku].name},
            "count": sale.quantity,
            "total_face_value": decimal_of(face_minor, sale.currency),
            "total_fees": 0,
            "total_discounts": 0,
            "total_customer_cost": cost,
            "is_completed": status == 1,
        }


def _listed(product: SimProduct) -> dict[str, Any]:
    low, high = (decimal_of(m, product.currency) for m in (product.min_minor, product.max_minor))
    return {
        "sku": product.sku,
        "upc": product.sku,
        "title": product.name,
        "min_price": low,
        "max_price": high,
        "pre_order": False,
        "activation_fee": 0,
        "percentage_of_buying_price": -product.discount_percent,
        "currency": {"currency": product.currency, "symbol": "$", "code": product.currency},
        "categories": [],
        "regions": [],
        "image": "",
        "description": "",
        "showing_price": {},
    }


def _refused(code: int) -> web.Response:
    return _json({"detail": f"Error {code}", "code": code}, 400)


def _json(content: object, status: int = 200) -> web.Response:
    return web.Response(body=NUMBERS.encode(content), content_type=JSON, status=status)
