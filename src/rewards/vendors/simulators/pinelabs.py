"""The server of Pine Labs' Woohoo, REST v3.

Some products have the names and habits they have in the vendor's own sandbox.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

from rewards.core.currency_number import NUMBERS
from rewards.vendors.simulators.book import Book, Sale, SaleState, SimProduct, SoldCard, Vexed
from rewards.vendors.simulators.faults import BY_PRODUCT, Fault
from rewards.vendors.simulators.pinelabs_answers import (
    CODES,
    STATUSES,
    currency_of,
    error_of,
    minor_of,
    page_of,
    shown,
)
from rewards.vendors.simulators.pinelabs_gate import Gate, Partner
from rewards.vendors.simulators.serving import Handler, Simulator, parse

REFNO_CHARS_MAX = 25
SYNC_QUANTITY_MAX = 10
QUANTITY_MAX = 25_000
ROOT, BRANCH = "121", "122"
WITHOUT_PIN = "VOUCHERCODE"
WITH_LINK = "UBERLOW"


def _sold(sku: str, name: str, fault: Fault | None = None) -> SimProduct:
    return SimProduct(sku, name, "INR", 100, 1_000_000, fault=fault)


PRODUCTS = (
    _sold("CNPIN", "Card number and PIN"),
    SimProduct(WITHOUT_PIN, "Code alone", "INR", 10_000, 50_000, (10_000, 50_000)),
    _sold(WITH_LINK, "Card with a link"),
    _sold("DISABLEDSTS", "Not sold any more", Fault.INACTIVE),
    _sold("PROCESSINGSTS", "Never done", Fault.NEVER_READY),
    _sold("testsuccess001", "No answer, and sold", Fault.DROP_AFTER),
    _sold("APIFAILTESTING", "Cancelled later", Fault.LATE_FAILURE),
    *(
        _sold(f"SIM-{fault}", f"Simulated {fault}", fault)
        for fault in (*BY_PRODUCT, Fault.VELOCITY_LIMIT)
        if fault not in (Fault.DUPLICATE_CALLBACK, Fault.REORDER_CALLBACKS)
    ),
)


class _Wrong(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class PineLabsSimulator(Simulator):
    """`unseen_s`: how long an order whose answer was dropped is not available by its refno.

    `activation_s`: how long a large order is complete before its cards are ready.
    """

    key_name = "refno"

    def __init__(
        self,
        book: Book,
        *,
        partner: Partner | None = None,
        unseen_s: float = 40.0,
        activation_s: float = 5.0,
        archived_after: timedelta = timedelta(days=90),
        default_address: bool = False,
        as_text: bool = False,
    ) -> None:
        super().__init__(book)
        self.gate = Gate(partner or Partner(), book.clock, as_text=as_text)
        self._unseen = timedelta(seconds=unseen_s)
        self._activation = timedelta(seconds=activation_s)
        self._archived_after = archived_after
        self._default_address = default_address
        self._seen_at: dict[str, datetime] = {}

    def routes(self) -> Mapping[tuple[str, str], tuple[str, Handler]]:
        v3, catalog = "/rest/v3", "/rest/v3/catalog"
        signed: dict[tuple[str, str], tuple[str, Handler]] = {
            ("POST", f"{v3}/orders"): ("place", self.place),
            ("GET", f"{v3}/orders"): ("orders", self.orders),
            ("GET", f"{v3}/orders/{{order_id}}"): ("details", self.details),
            ("GET", f"{v3}/order/{{refno}}/status"): ("status", self.status),
            ("GET", f"{v3}/order/{{order_id}}/cards/"): ("cards", self.cards),
            ("GET", f"{v3}/accounts"): ("balance", self.accounts),
            ("GET", f"{catalog}/categories"): ("categories", self.categories),
            ("GET", f"{catalog}/categories/{{id}}/products"): ("products", self.products),
            ("GET", f"{catalog}/products/{{sku}}"): ("product", self.product),
        }
        return {
            ("POST", "/oauth2/verify"): ("verify", self.gate.verify),
            ("POST", "/oauth2/token"): ("token", self.gate.token),
            **{route: (call, self.gate.guarding(run)) for route, (call, run) in signed.items()},
        }

    def throttled(self) -> web.Response:
        error = {"code": 429, "message": "Too many requests", "messages": []}
        return web.json_response(error, status=429, headers={"Retry-After": "1"})

    def denied(self, fault: Fault) -> web.Response:
        if fault is Fault.TOKEN_KILLED:
            self.gate.kill_tokens()
            return self.gate.refused("token_rejected")
        page = "<html><body>403 ERROR: The request could not be satisfied.</body></html>"
        return web.Response(status=403, text=page, content_type="text/html")

    async def place(self, request: web.Request) -> web.Response:
        try:
            return self._placed(request, parse(await request.read()))
        except _Wrong as wrong:
            return error_of(wrong.code)
        except Vexed as refused:
            return error_of(CODES[refused.fault])

    def _placed(self, request: web.Request, asked: Any) -> web.Response:
        line = self._checked(asked)
        refno, sync = asked["refno"], asked.get("syncOnly") is True
        fault = self.fault(request, line["sku"])
        in_vain = fault is Fault.VELOCITY_LIMIT
        now_or_never = Fault.NEVER_READY if in_vain else fault
        at_once = sync and line["qty"] <= SYNC_QUANTITY_MAX
        sale = self.book.sell(
            *(refno, line["sku"], line["face_minor"], line["qty"]),
            fault=now_or_never,
            extra={"sync": str(at_once)},
        )
        self._seen_at[refno] = sale.placed_at
        if fault is Fault.DROP_AFTER:
            self._seen_at[refno] += self._unseen
        if in_vain:
            raise _Wrong(6015)
        done = sale.state(self.book.clock.now()) in (SaleState.DONE, SaleState.PARTIAL)
        body = {**self._brief(sale), "payments": [self._wallet(sale.currency)]}
        if not at_once:
            return web.json_response({**body, "status": "PROCESSING"}, status=202)
        cards = [self._card(sale, card) for card in sale.cards] if done else []
        body |= {"cards": cards, "products": {sale.sku: {"sku": sale.sku}}}
        return web.json_response(body, status=201)

    def _checked(self, asked: Any) -> dict[str, Any]:
        """The line of an order that is well formed. Raises _Wrong."""
        match asked:
            case {"refno": str(refno), "products": [{**line}], "payments": [{**payment}]}:
                pass
            case _:
                raise _Wrong(400)
        if not 0 < len(refno) <= REFNO_CHARS_MAX:
            raise _Wrong(5329)
        if refno in self.book.sales:
            raise _Wrong(5313)
        if asked.get("deliveryMode") != "API":
            raise _Wrong(5311)
        if not (self._default_address or (asked.get("address") and asked.get("billing"))):
            raise _Wrong(5312)
        if payment.get("code") != "svc":
            raise _Wrong(5035)
        return self._line(line, payment)

    def _line(self, line: Mapping[Any, Any], payment: Mapping[Any, Any]) -> dict[str, Any]:
        quantity = line.get("qty")
        if not isinstance(quantity, int) or not 0 < quantity <= QUANTITY_MAX:
            raise _Wrong(11159)
        product = self.book.products.get(str(line.get("sku")))
        if product is None:
            raise _Wrong(5310)
        if line.get("currency") != NUMBERS[product.currency]:
            raise _Wrong(5316)
        face_minor = minor_of(line.get("price"), product.currency)
        if face_minor is None:
            raise _Wrong(5318)
        if minor_of(payment.get("amount"), product.currency) != face_minor * quantity:
            raise _Wrong(5036)
        return {"sku": product.sku, "qty": quantity, "face_minor": face_minor}

    async def status(self, request: web.Request) -> web.Response:
        sale = self.book.sales.get(request.match_info["refno"])
        return self._trouble(sale) or web.json_response(self._brief(_known(sale)))

    async def details(self, request: web.Request) -> web.Response:
        """The order, with a summary where the codes might be looked for."""
        sale = self.book.by_ref(request.match_info["order_id"])
        trouble = self._trouble(sale)
        if trouble is not None:
            return trouble
        sale = _known(sale)
        total = shown(sale.face_minor * sale.quantity, sale.currency)
        body = {
            **self._brief(sale),
            "date": sale.placed_at.isoformat(timespec="seconds"),
            "grandTotal": total,
            "subTotal": total,
            "totalQty": sale.quantity,
            "cards": {"summary": {"totalCardsCount": len(sale.cards)}},
        }
        return web.json_response(body)

    async def cards(self, request: web.Request) -> web.Response:
        """A page; an offset counts in whole pages."""
        sale = self.book.by_ref(request.match_info["order_id"])
        trouble = self._trouble(sale)
        if trouble is not None:
            return trouble
        sale = _known(sale)
        now = self.book.clock.now()
        activating = sale.extra["sync"] != "True" and now < sale.ready_at + self._activation
        state = sale.state(now)
        if state is SaleState.FAILED or state is SaleState.RUNNING or activating:
            gone = state is SaleState.FAILED
            word = "CANCELED" if gone else "PROCESSING"
            body = {"state": word, "orderId": sale.ref, "refno": sale.key}
            return web.json_response(body, status=410 if gone else 409)
        offset, limit = page_of(request)
        page = sale.cards[offset // limit * limit :][:limit]
        return web.json_response(
            {
                "products": {sale.sku: {"sku": sale.sku, "name": sale.sku}},
                "cards": [self._card(sale, card) for card in page],
                "currency": currency_of(sale.currency),
                "deliveryMode": "API",
                "total_cards": len(sale.cards),
            }
        )

    def _trouble(self, sale: Sale | None) -> web.Response | None:
        now = self.book.clock.now()
        if sale is None or now < self._seen_at[sale.key]:
            return error_of(5320)
        return error_of(11429) if now - sale.placed_at >= self._archived_after else None

    def _brief(self, sale: Sale) -> dict[str, Any]:
        status = STATUSES[sale.state(self.book.clock.now())]
        return {
            "status": status,
            "statusLabel": f"Woohoo {status.capitalize()}",
            "orderId": sale.ref,
            "refno": sale.key,
            "cancel": {"allowed": False, "allowedWithIn": 0},
            "currency": currency_of(sale.currency),
        }

    def _card(self, sale: Sale, card: SoldCard) -> dict[str, Any]:
        link = f"https://claim.example/{card.code}" if sale.sku == WITH_LINK else None
        return {
            "sku": sale.sku,
            "productName": self.book.products[sale.sku].name,
            "labels": {"cardNumber": "Card Number", "cardPin": "Card Pin", "validity": "Expiry"},
            "cardNumber": card.code,
            "cardPin": None if sale.sku == WITHOUT_PIN else card.pin,
            "activationCode": None,
            "barcode": None,
            "activationUrl": link,
            "amount": shown(card.face_minor, card.currency),
            "validity": card.expires_at.isoformat(timespec="seconds"),
            "issuanceDate": sale.placed_at.isoformat(timespec="seconds"),
            "cardId": int(card.serial[:12], 16),
            "recipientDetails": {"status": "", "delivery": {"mode": "API"}},
        }

    def _wallet(self, currency: str) -> dict[str, Any]:
        return {"code": "svc", "balance": shown(self.book.balance_minor, currency)}

    async def orders(self, _request: web.Request) -> web.Response:
        rows = [
            {**self._brief(sale), "refNo": sale.key, "totalQtyOrdered": sale.quantity}
            for sale in self.book.sales.values()
            if self._trouble(sale) is None
        ]
        return web.json_response({"ordersCount": len(rows), "orders": rows})

    async def accounts(self, _request: web.Request) -> web.Response:
        currencies = sorted({product.currency for product in self.book.products.values()})
        rows = [{**self._wallet(code), "currency": currency_of(code)} for code in currencies]
        return web.json_response({"accounts": rows})

    async def categories(self, _request: web.Request) -> web.Response:
        branch = {"id": BRANCH, "name": "Brands", "url": "brands", "subcategoriesCount": 0}
        root = {"id": ROOT, "name": "Root", "url": "/root", "description": None}
        return web.json_response({**root, "subcategoriesCount": 1, "subcategories": [branch]})

    async def products(self, request: web.Request) -> web.Response:
        """Every other product is in the branch, and the first in both."""
        category = request.match_info["id"]
        if category not in (ROOT, BRANCH):
            return error_of(6652)
        everything = list(self.book.products.values())
        start = 0 if category == ROOT else 1
        within = everything[start::2] + (everything[:1] if start else [])
        offset, limit = page_of(request)
        rows = [
            {
                "sku": product.sku,
                "name": product.name,
                "currency": currency_of(product.currency),
                "minPrice": shown(product.min_minor, product.currency),
                "maxPrice": shown(product.max_minor, product.currency),
            }
            for product in within[offset : offset + limit]
        ]
        return web.json_response(
            {"id": category, "name": "", "productsCount": len(within), "products": rows}
        )

    async def product(self, request: web.Request) -> web.Response:
        product = self.book.products.get(request.match_info["sku"])
        if product is None:
            return error_of(1303)
        price = {
            "type": "SLAB" if product.fixed_minor else "RANGE",
            "min": shown(product.min_minor, product.currency),
            "max": shown(product.max_minor, product.currency),
            "denominations": [shown(one, product.currency) for one in product.fixed_minor],
            "currency": currency_of(product.currency),
        }
        facts = {"id": "1", "sku": product.sku, "name": product.name, "type": "DIGITAL"}
        return web.json_response({**facts, "price": price, "images": {}, "tnc": {}})


def _known(sale: Sale | None) -> Sale:
    assert sale is not None, "the unknown one was answered"
    return sale
