"""The sandbox vendor's server."""

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from aiohttp import web

from rewards.vendors.simulators.book import Sale, SaleState, SimProduct, Vexed
from rewards.vendors.simulators.faults import REFUSED_NUMBER, Fault
from rewards.vendors.simulators.serving import Handler, Simulator, parse

REASONS = {
    Fault.OUT_OF_STOCK: "out_of_stock",
    Fault.NO_BALANCE: "no_balance",
    Fault.WRONG_VALUE: "bad_value",
    Fault.INACTIVE: "inactive",
    Fault.PRICE_DRIFT: "price_changed",
}

EVER = ("0001-01-01T00:00:00+00:00", "9999-12-31T00:00:00+00:00")
Row = TypeVar("Row")


class SandboxSimulator(Simulator):
    """Any bearer key is right; what an order of it came to is told to its `callback_url`.

    `pins`: skus whose recharges are PINs.
    """

    pins: frozenset[str] = frozenset()

    def routes(self) -> Mapping[tuple[str, str], tuple[str, Handler]]:
        return {
            ("POST", "/orders"): ("place", self.place),
            ("GET", "/orders/{key}"): ("read", self.read),
            ("GET", "/orders"): ("book", self.listed),
            ("GET", "/products"): ("catalogue", self.catalogue),
            ("GET", "/balance"): ("balance", self.balance),
        }

    async def place(self, request: web.Request) -> web.Response:
        asked = parse(await request.read())
        if asked["key"] in self.book.sales:
            return web.json_response({"reason": "key_used"}, status=409)
        fault = self.fault(request, asked["sku"])
        if _refused_number(asked.get("mobile") or {}):
            fault = Fault.LATE_FAILURE
        try:
            sale = self.book.sell(
                *(asked["key"], asked["sku"], asked["face_minor"], asked["quantity"]),
                fault=fault,
                extra=asked.get("mobile"),
            )
        except Vexed as refused:
            return web.json_response({"reason": REASONS[refused.fault]}, status=422)
        if asked.get("callback_url"):
            self._tell(request, asked["callback_url"], sale, fault)
        return web.json_response(self._shown(sale), status=201)

    def _tell(self, request: web.Request, url: str, sale: Sale, fault: Fault | None) -> None:
        key = request.headers.get("Authorization", "").removeprefix("Bearer ").encode()
        told = {"key": sale.key, "ref": sale.ref, "message_id": secrets.token_hex(8)}
        body = json.dumps(told).encode()
        signed = {"X-Signature": hmac.new(key, body, hashlib.sha256).hexdigest()}
        self.when_done(sale, lambda _: self.notify(url, body, signed, fault))

    async def read(self, request: web.Request) -> web.Response:
        sale = self.book.sales.get(request.match_info["key"])
        if sale is None:
            return web.json_response({"reason": "not_found"}, status=404)
        return web.json_response(self._shown(sale))

    async def listed(self, request: web.Request) -> web.Response:
        """What was placed in that time, or ever, oldest first; without codes."""
        asked = request.query
        since = datetime.fromisoformat(asked.get("since", EVER[0]))
        until = datetime.fromisoformat(asked.get("until", EVER[1]))
        within = [sale for sale in self.book.sales.values() if since <= sale.placed_at < until]
        return web.json_response([self._listed(sale) for sale in _page(request, within)])

    def _listed(self, sale: Sale) -> dict[str, object]:
        state = sale.state(self.book.clock.now())
        return {
            "ref": sale.ref,
            "key": sale.key,
            "state": state,
            "currency": sale.currency,
            "cost_minor": sale.cost_minor,
            # A recharge is one thing, whatever it brings.
            "delivered": sale.quantity if sale.extra else len(sale.cards),
        }

    async def catalogue(self, request: web.Request) -> web.Response:
        page = _page(request, list(self.book.products.values()))
        return web.json_response([_offer(product) for product in page])

    async def balance(self, _request: web.Request) -> web.Response:
        currencies = sorted({product.currency for product in self.book.products.values()})
        return web.json_response(
            [{"currency": code, "balance_minor": self.book.balance_minor} for code in currencies]
        )

    def _shown(self, sale: Sale) -> dict[str, object]:
        now = self.book.clock.now()
        state = sale.state(now)
        ready = state in (SaleState.DONE, SaleState.PARTIAL)
        # A recharge brings nothing that could be handed on, unless it is a PIN.
        cards = sale.cards if ready and (not sale.extra or sale.sku in self.pins) else []
        return {
            "ref": sale.ref,
            "key": sale.key,
            # Only recharges wait for somebody else to begin.
            "state": "QUEUED" if sale.extra and sale.queued(now) else state,
            "reason": "bad_recipient" if _refused_number(sale.extra) else None,
            "currency": sale.currency,
            "cost_minor": sale.cost_minor,
            "cards": [
                {
                    "serial": card.serial,
                    "code": card.code,
                    "pin": card.pin,
                    "face_minor": card.face_minor,
                    "currency": card.currency,
                    "expires_at": card.expires_at.isoformat(),
                }
                for card in cards
            ],
        }


def _refused_number(mobile: Mapping[str, str]) -> bool:
    return mobile.get("mobile_number", "").endswith(REFUSED_NUMBER)


def _offer(product: SimProduct) -> dict[str, object]:
    return {
        "sku": product.sku,
        "name": product.name,
        "currency": product.currency,
        "min_minor": product.min_minor,
        "max_minor": product.max_minor,
        "fixed_minor": list(product.fixed_minor),
        "stock": product.stock,
        "active": True,
    }


def _page(request: web.Request, rows: Sequence[Row]) -> Sequence[Row]:
    """As `offset` and `limit` say; all of it where they say nothing."""
    start, count = (int(request.query.get(name, 0)) for name in ("offset", "limit"))
    return rows[start:][: count or None]
