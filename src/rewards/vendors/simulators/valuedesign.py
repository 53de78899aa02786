"""The server of ValueDesign's EVC API as public clients meet it."""

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from rewards.vendors.simulators.book import Sale, SaleState, SimProduct, SoldCard, Vexed
from rewards.vendors.simulators.faults import Fault
from rewards.vendors.simulators.pull import QUANTITY_MAX, PullSimulator, day, paise, rupees
from rewards.vendors.simulators.serving import Handler, parse

TEXTS = {
    "0": "APPROVAL",
    "-1": "Please Check Card Pools",
    "383": "Invalid Amount specified",
    "384": "Invalid or Mismatched Currency Used in Request",
    "503": "The payment amount exceeds balance",
    "603": "Card Pool Empty To Assign",
    "608": "Access Key or Receipt Number Is Mismatch",
    "700": "Order Id no matching",
    "711": "The Brand does not exist",
    "1101": "IP Address Not Whitelisted",
    "1102": "Invalid Token",
    "1103": "Incorrect Distributor Id",
    "1105": "Your order status is processing, Please check status after sometime",
    "1107": "Order quantity should not be greater than allowed",
    "7002": "SKU not Assigned",
    "7004": "Duplicate Order ID",
    "8025": "Cannot Decrypt String",
    "9001": "Incorrect Parameter",
    "9002": "Incorrect User ID or Password",
}
VEXED = {
    Fault.OUT_OF_STOCK: "603",
    Fault.NO_BALANCE: "503",
    Fault.INACTIVE: "7002",
    Fault.WRONG_VALUE: "383",
    Fault.PRICE_DRIFT: "9001",
}
RUPEE = "356"


class ValueDesignSimulator(PullSimulator):
    """Orders are read under our own id and request id. `activated`: of each order so many cards
    are shown by getactivatedevc at first, None for all."""

    key_name = "order_id"
    activated: int | None = None

    def routes(self) -> Mapping[tuple[str, str], tuple[str, Handler]]:
        return {
            ("POST", "/distributor/api-generatetoken/"): ("token", self.token),
            ("POST", "/distributor/api-getbrand/"): ("catalogue", self.brands),
            ("POST", "/distributor/getevc/"): ("place", self.evc),
            ("POST", "/distributor/getevcstatus/"): ("status", self.status),
            ("POST", "/distributor/getactivatedevc/"): ("codes", self.codes),
            ("POST", "/distributor/getwalletbalance/"): ("balance", self.balance),
        }

    def denied(self, fault: Fault) -> web.Response:
        if fault is Fault.IP_DENIED:
            return _said("1101")
        self.kill_tokens()
        return _said("1102")

    async def token(self, request: web.Request) -> web.Response:
        asked = parse(await request.read())
        if not self.logged_in(request):
            return _said("9002")
        if asked.get("distributor_id") != self.login.distributor_id:
            return _said("1103")
        token = self.sealed(request, self.new_token())
        return web.json_response({"status": "SUCCESS", "responseCode": 0, "token": token})

    async def brands(self, request: web.Request) -> web.Response:
        if not self.token_holds(request):
            return _said("1102")
        brands = [_brand(product) for product in self.book.products.values()]
        # No code at all where it went well.
        return web.json_response({"data": self.sealed(request, brands)})

    async def evc(self, request: web.Request) -> web.Response:
        if not self.token_holds(request):
            return _said("1102")
        asked = self.asked(await request.read())
        if asked is None:
            return _said("8025")
        bad = self._bad(asked)
        if bad:
            return _said(bad)
        key, sku = asked["order_id"], str(asked["sku_code"])
        known = self.book.sales.get(key)
        if known is not None:
            same = known.extra["asked"] == json.dumps(asked, sort_keys=True)
            return _said("7004" if same else "608")
        fault = self.fault(request, sku)
        try:
            sale = self.book.sell(
                *(key, sku, paise(asked["amount"]), int(asked["no_of_card"])),
                fault=fault,
                extra={"asked": json.dumps(asked, sort_keys=True)},
            )
        except Vexed as refused:
            return _said(VEXED[refused.fault])
        if sale.state(self.book.clock.now()) is SaleState.RUNNING:
            return _said("1105", sale)
        return self._cards(request, sale, sale.cards)

    async def status(self, request: web.Request) -> web.Response:
        sale, no = await self._sale(request)
        return no or _said("0", sale)

    async def codes(self, request: web.Request) -> web.Response:
        sale, no = await self._sale(request)
        if no is not None or sale is None:
            return no or _said("700")
        shown, self.activated = sale.cards[: self.activated], None
        return self._cards(request, sale, shown)

    async def balance(self, request: web.Request) -> web.Response:
        if not self.token_holds(request):
            return _said("1102")
        details = {"balance": rupees(self.book.balance_minor), "currency": "INR"}
        said = {"responseCode": "0", "responseMsg": TEXTS["0"], "walletdetails": details}
        return web.json_response(said)

    async def _sale(self, request: web.Request) -> tuple[Sale | None, web.Response | None]:
        """The order a plain request asks for, or what is wrong with it."""
        if not self.token_holds(request):
            return None, _said("1102")
        asked = parse(await request.read())
        sale = self.book.sales.get(str(asked["order_id"]))
        if sale is None or asked["request_ref_no"] != sale.key:
            return None, _said("700")
        state = sale.state(self.book.clock.now())
        if state is SaleState.RUNNING:
            return sale, _said("1105", sale)
        return sale, _said("-1", sale) if state is SaleState.FAILED else None

    def _bad(self, asked: Mapping[str, Any]) -> str | None:
        names = ("order_id", "sku_code", "no_of_card", "amount", "receiptNo", "reqId")
        if not all(asked.get(name) for name in (*names, "firstname", "lastname")):
            return "9001"
        if asked.get("distributor_id") != self.login.distributor_id:
            return "1103"
        if asked.get("curr") != RUPEE:
            return "384"
        return "1107" if int(asked["no_of_card"]) > QUANTITY_MAX else None

    def _cards(self, request: web.Request, sale: Sale, cards: list[SoldCard]) -> web.Response:
        product = self.book.products[sale.sku]
        items = [self._item(request, card) for card in cards]
        group = {"product_name": product.name, "voucher_name": sale.sku, "items": items}
        return _said("0", sale, data=self.sealed(request, {"brand_details": [group]}))

    def _item(self, request: web.Request, card: SoldCard) -> dict[str, object]:
        return {
            "getCardNo": self.sealed_code(request, card.code),
            "getCardPin": self.sealed_code(request, card.pin),
            "getCardStatus": "ACTIVE",
            "getExpiryDate": day(card).strftime("%Y-%m-%d"),
            "balanceBasic": rupees(card.face_minor),
            "balanceBonus": "0.00",
            "balanceTotal": rupees(card.face_minor),
            "bonusGiven": "0.00",
            "dealNo": card.serial,
            "receiptNo": "",
        }


def _said(code: str, sale: Sale | None = None, **more: object) -> web.Response:
    order = {"order_id": sale.key, "request_ref_no": sale.key} if sale else {}
    return web.json_response(
        {
            "resultCode": code,
            "responseCode": code,
            "responseMsg": TEXTS[code],
            "statusmessage": TEXTS[code],
            "getMarketingMessage": "",
            **order,
            **more,
        }
    )


def _brand(product: SimProduct) -> dict[str, object]:
    return {
        "BrandCode": product.sku,
        "BrandName": product.name,
        "Brandtype": "Fixed" if product.fixed_minor else "Variable",
        "Discount": f"{product.discount_percent:.2f}",
        "minPrice": str(product.min_minor // 100),
        "maxPrice": str(product.max_minor // 100),
        "DenominationList": ",".join(str(value // 100) for value in product.fixed_minor),
        "StockAvailable": "false" if product.stock == 0 else "true",
        "Category": "Testing",
        "Description": "",
        "Images": "{}",
        "TnC": "",
        "ImportantInstruction": "{}",
        "RedeemSteps": "[]",
    }
