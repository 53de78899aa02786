"""Bamboo's server: bare-string answers, documented limits, orders that walk, both callbacks."""

import base64
import hmac
import secrets
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

from aiohttp import web

from rewards.vendors import svix
from rewards.vendors.amounts import NUMBERS, decimal_of, minor_of
from rewards.vendors.simulators.bamboo_shapes import brands, order, status_of
from rewards.vendors.simulators.book import Book, Sale, SimProduct, Vexed
from rewards.vendors.simulators.faults import BY_PRODUCT, Fault
from rewards.vendors.simulators.serving import JSON, Handler, Simulator, parse
from rewards.vendors.throttle import Rate

SANDBOX_ACCOUNT = 555
LIVE_ACCOUNT = 556
CURRENCY = "USD"
CARDS_MAX = 500
# As documented.
LIMITS = {
    "place": Rate(2, 1.0),
    "read": Rate(120, 60.0),
    "accounts": Rate(1, 1.0),
    "catalogue": Rate(1, 1.0),
    "notification": Rate(1, 1.0),
}
WORDS = {
    Fault.OUT_OF_STOCK: "ProductIsOutOfStock",
    Fault.NO_BALANCE: "InsufficientBalance",
    Fault.INACTIVE: "InvalidProduct",
    Fault.PRICE_DRIFT: "ClientPriceInvalid",
    Fault.WRONG_VALUE: "InvalidDenomination",
}
# No public text names the event of a finished order; this follows `productupdated.v1`.
ORDER_EVENT = "ordercompleted.v1"
PRODUCTS = (
    SimProduct("510001", "Amazon US", CURRENCY, 100, 50_000),
    SimProduct("510002", "Steam 20", CURRENCY, 2_000, 2_000, (2_000,)),
    SimProduct("510003", "Steam 50", CURRENCY, 5_000, 5_000, (5_000,), stock=3),
    *(
        SimProduct(str(519_001 + number), f"Simulated {fault}", CURRENCY, 100, 50_000, fault=fault)
        for number, fault in enumerate(BY_PRODUCT)
    ),
)


class BambooSimulator(Simulator):
    """One client with a sandbox account, and a live account that its credentials do not reach."""

    key_name = "RequestId"
    page_max = 100

    def __init__(self, book: Book, client_id: str, client_secret: str) -> None:
        super().__init__(book)
        pair = base64.b64encode(f"{client_id}:{client_secret}".encode()).decode()
        self._authorization = f"Basic {pair}"
        self._limits = {call: book.limit(rate) for call, rate in LIMITS.items()}
        self._notification = {"notificationUrl": "", "notificationUrlSandbox": "", "secretKey": ""}
        self._webhook: tuple[str, str] | None = None

    def routes(self) -> Mapping[tuple[str, str], tuple[str, Handler]]:
        v1, notification = "/api/integration/v1.0", "/api/Integration/v1/notification"
        routes: dict[tuple[str, str], tuple[str, Handler]] = {
            ("POST", f"{v1}/orders/checkout"): ("place", self.place),
            ("GET", f"{v1}/orders/{{request_id}}"): ("read", self.read),
            ("GET", f"{v1}/accounts"): ("accounts", self.accounts),
            ("GET", "/api/integration/v2.0/catalog"): ("catalogue", self.catalogue),
            ("GET", notification): ("notification", self.show_notification),
            ("POST", notification): ("notification", self.take_notification),
        }
        return {at: (call, self._guarded(call, run)) for at, (call, run) in routes.items()}

    def _guarded(self, call: str, handler: Handler) -> Handler:
        async def run(request: web.Request) -> web.StreamResponse:
            given = request.headers.get("Authorization", "")
            if not hmac.compare_digest(given.encode(), self._authorization.encode()):
                return self.denied(Fault.TOKEN_KILLED)
            if self._limits[call].reserve(0.0) is None:
                return self.throttled()
            return await handler(request)

        return run

    def throttled(self) -> web.Response:
        said = "Too many requests. Please try again in 1 seconds."
        return web.json_response({"message": said}, status=429)

    async def place(self, request: web.Request) -> web.Response:
        asked = parse(await request.read())
        try:
            key = str(UUID(asked["RequestId"]))
            [product] = asked["Products"] or [None]
            account_id = asked["AccountId"]
        except (ValueError, LookupError, TypeError, AttributeError):
            return _refused("One or more validation errors occurred.")
        if account_id != SANDBOX_ACCOUNT:
            return _refused("WrongAccount")
        if product is None:
            return _refused("NoProducts")
        if key in self.book.sales:
            return _refused("OrderAlreadyExists")
        if product["Quantity"] > CARDS_MAX:
            return _refused("CardsLimitExceeded")
        sku = str(product["ProductId"])
        fault = self.fault(request, sku)
        try:
            face_minor = minor_of(str(product["Value"]), CURRENCY)
            sale = self.book.sell(key, sku, face_minor, product["Quantity"], fault)
        except (TypeError, ValueError):
            return _refused("InvalidDenomination")
        except Vexed as refused:
            return _refused(WORDS[refused.fault])
        self.when_done(sale, lambda done: self._tell(done, fault))
        # Not an object: the bare id is the whole answer.
        return web.json_response(key)

    async def read(self, request: web.Request) -> web.Response:
        sale = self.book.sales.get(request.match_info["request_id"].lower())
        if sale is None:
            return _refused("OrderNotFound")
        return _json(order(sale, self.book.clock.now()))

    async def accounts(self, _request: web.Request) -> web.Response:
        balance = decimal_of(self.book.balance_minor, CURRENCY)
        rows = [
            {
                "id": account_id,
                "currency": CURRENCY,
                "balance": balance if account_id == SANDBOX_ACCOUNT else 0,
                "isActive": True,
                "sandboxMode": account_id == SANDBOX_ACCOUNT,
            }
            for account_id in (SANDBOX_ACCOUNT, LIVE_ACCOUNT)
        ]
        return _json({"accounts": rows})

    async def catalogue(self, request: web.Request) -> web.Response:
        index = int(request.query.get("PageIndex", 0))
        size = min(int(request.query.get("PageSize", 100)), self.page_max)
        all_brands = brands(self.book.products.values())
        page = all_brands[index * size : (index + 1) * size]
        return _json(
            {"pageIndex": index, "pageSize": size, "count": len(all_brands), "items": page}
        )

    async def show_notification(self, _request: web.Request) -> web.Response:
        return _json(self._notification)

    async def take_notification(self, request: web.Request) -> web.Response:
        asked = parse(await request.read())
        self._notification = {name: str(asked.get(name, "")) for name in self._notification}
        return _json(self._notification)

    def subscribe(self, url: str) -> str:
        """What a person does in the portal: an endpoint for webhooks. Gives its secret."""
        secret = svix.PREFIX + base64.b64encode(secrets.token_bytes(24)).decode()
        self._webhook = (url, secret)
        return secret

    def _tell(self, sale: Sale, fault: Fault | None) -> None:
        """Over both systems, where they are set up."""
        content: dict[str, Any] = {
            "orderId": int(sale.ref, 16),
            "requestId": sale.key,
            "status": status_of(sale, self.book.clock.now()),
            "totalCards": len(sale.cards),
            "createdDate": sale.placed_at.isoformat(),
        }
        url = self._notification["notificationUrlSandbox"]
        if url:
            body = NUMBERS.encode(content | {"secretKey": self._notification["secretKey"]})
            self.notify(url, body, {"Content-Type": JSON}, fault)
        if self._webhook:
            url, secret = self._webhook
            self._sign_and_send(url, secret, {"type": ORDER_EVENT, "data": content}, fault)

    def _sign_and_send(
        self, url: str, secret: str, event: Mapping[str, Any], fault: Fault | None
    ) -> None:
        message_id, stamp_s = f"msg_{uuid4().hex}", int(self.book.clock.true_now().timestamp())
        body = NUMBERS.encode(event)
        headers = {
            "Content-Type": JSON,
            "svix-id": message_id,
            "svix-timestamp": str(stamp_s),
            "svix-signature": svix.sign(message_id, stamp_s, body, secret),
        }
        self.notify(url, body, headers, fault)


def _refused(word: str) -> web.Response:
    return web.json_response({"message": word}, status=400)


def _json(content: object) -> web.Response:
    return web.Response(body=NUMBERS.encode(content), content_type=JSON)
