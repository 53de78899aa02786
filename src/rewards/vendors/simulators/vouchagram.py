"""The server of the pull API of GyFTR/Vouchagram, and of VoucherKart as we imagine it."""

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from rewards.vendors.simulators.book import Sale, SaleState, SimProduct, SoldCard, Vexed
from rewards.vendors.simulators.faults import Fault
from rewards.vendors.simulators.pull import QUANTITY_MAX, PullSimulator, day, paise, rupees
from rewards.vendors.simulators.serving import Handler, parse

ORDER_ID_CHARS_MAX = 50
DONE = "Process successfully completed"
TEXTS = {
    "ER001": "Wrong Credentials",
    "ER010": "External OrderID missing",
    "ER022": "Quantity must be numeric",
    "ER023": "Quantity must be greater than 0",
    "ER032": "Inactive Product",
    "ER048": "Duplicate external order id",
    "ER057": "IP not whitelisted",
    "ER059": "Max [10] quantity is allowed per product",
    "ER061": "External Order ID not exists",
    "ER076": "Please enter valid BrandProductCode",
    "ER077": "Please enter valid Denomination",
    "ER079": "External order id and previous requested data not matched",
    "ER082": "Error in decrypt data",
    "ER083": "Invalid token",
    "ER1000": "Unexpected error occurred during execution",
    "ER1006": "Vouchers are no more available",
    "ER1011": "Error encountered while processing your request. Please try again later",
    "ER1012": "Insufficient balance, please contact administrator",
    "EROIP": "Order/request already in process",
}
VEXED = {
    Fault.OUT_OF_STOCK: "ER1006",
    Fault.NO_BALANCE: "ER1012",
    Fault.INACTIVE: "ER032",
    Fault.WRONG_VALUE: "ER077",
    Fault.PRICE_DRIFT: "ER1000",
}


class VouchagramSimulator(PullSimulator):
    """`code_name`: which of its two fields holds the code when only one is filled; None: both."""

    key_name = "ExternalOrderId"
    code_name: str | None = None

    def routes(self) -> Mapping[tuple[str, str], tuple[str, Handler]]:
        return {
            ("GET", "/API/v1/gettoken"): ("token", self.token),
            ("POST", "/API/v1/getbrands"): ("catalogue", self.brands),
            ("POST", "/API/v1/getstock"): ("stock", self.stock),
            ("POST", "/API/v1/pullvoucher"): ("place", self.pull),
            ("POST", "/API/v1/pullvoucher/checkstatus"): ("status", self.status),
        }

    def denied(self, fault: Fault) -> web.Response:
        if fault is Fault.IP_DENIED:
            return _no("ER057")
        self.kill_tokens()
        return _no("ER083")

    async def token(self, request: web.Request) -> web.Response:
        if not self.logged_in(request):
            return _no("ER001")
        return self._yes(request, self.new_token())

    async def brands(self, request: web.Request) -> web.Response:
        if not self.token_holds(request):
            return _no("ER083")
        wanted = parse(await request.read())["BrandProductCode"]
        products = self.book.products.values()
        return self._yes(request, [_brand(p) for p in products if wanted in ("", p.sku)])

    async def stock(self, request: web.Request) -> web.Response:
        if not self.token_holds(request):
            return _no("ER083")
        asked = self.asked(await request.read())
        if asked is None:
            return _no("ER082")
        product = self.book.products.get(str(asked["BrandProductCode"]))
        if product is None or not product.sells(paise(asked["Denomination"])):
            return _no("ER076" if product is None else "ER077")
        left = 1_000 if product.stock is None else product.stock
        return self._yes(request, {"AvailableQuantity": str(left), "BrandName": product.name})

    async def pull(self, request: web.Request) -> web.Response:
        if not self.token_holds(request):
            return _no("ER083")
        asked = self.asked(await request.read())
        if asked is None:
            return _no("ER082")
        bad = _bad(asked)
        if bad:
            return _no(bad)
        key, sku = asked["ExternalOrderId"], str(asked["BrandProductCode"])
        known = self.book.sales.get(key)
        if known is not None:
            return _no(self._again(known, asked))
        fault, face_minor = self.fault(request, sku), paise(asked["Denomination"])
        try:
            sale = self.book.sell(
                *(key, sku, face_minor, int(asked["Quantity"])),
                fault=fault,
                extra={"asked": json.dumps(asked, sort_keys=True)},
            )
        except Vexed as refused:
            return _no(VEXED[refused.fault])
        if sale.state(self.book.clock.now()) is SaleState.RUNNING:
            return _no("EROIP")
        return self._yes(request, self._order(request, sale, ""))

    async def status(self, request: web.Request) -> web.Response:
        if not self.token_holds(request):
            return _no("ER083")
        asked = self.asked(await request.read())
        if asked is None:
            return _no("ER082")
        sale = self.book.sales.get(str(asked.get("sv_ex_order_id")))
        if sale is None:
            return _no("ER061")
        state = sale.state(self.book.clock.now())
        if state is SaleState.RUNNING:
            return _no("EROIP")
        if state is SaleState.FAILED:
            return self._yes(request, _failed(sale, "ER1006"))
        return self._yes(request, self._order(request, sale, "1"))

    def _again(self, known: Sale, asked: Mapping[str, Any]) -> str:
        if known.extra["asked"] != json.dumps(asked, sort_keys=True):
            return "ER079"
        running = known.state(self.book.clock.now()) is SaleState.RUNNING
        return "EROIP" if running else "ER048"

    def _yes(self, request: web.Request, content: object) -> web.Response:
        data = self.sealed(request, content)
        return web.json_response({"status": "success", "data": data, "desc": DONE, "code": "0000"})

    def _order(self, request: web.Request, sale: Sale, error_code: str) -> dict[str, object]:
        product = self.book.products[sale.sku]
        return {
            "PullVouchers": [
                {
                    "Vouchers": [self._voucher(request, card, product) for card in sale.cards],
                    "ProductGuid": f"guid-{sale.sku}",
                    "ProductName": product.name,
                    "VoucherName": product.name,
                }
            ],
            "ErrorCode": error_code,
            "ErrorMessage": "",
            "ExternalOrderIdOut": sale.key,
            "Message": DONE,
            "ResultType": "SUCCESS",
            "BrandProductCode": sale.sku,
        }

    def _voucher(
        self, request: web.Request, card: SoldCard, product: SimProduct
    ) -> dict[str, object]:
        code = self.sealed_code(request, card.code)
        number = str(int(card.serial, 16) % 10**9)
        places = {
            None: {"VoucherNo": number, "VoucherGCcode": code},
            "VoucherNo": {"VoucherNo": code, "VoucherGCcode": ""},
            "VoucherGCcode": {"VoucherNo": "", "VoucherGCcode": code},
        }
        return {
            "ProductDenomination": (
                "FIXED_DENOMINATION" if product.fixed_minor else "DYNAMIC_DENOMINATION"
            ),
            **places[self.code_name],
            "VoucherGuid": card.serial,
            "EndDate": day(card).strftime("%d %b %Y"),
            "Value": rupees(card.face_minor),
            "Voucherpin": self.sealed_code(request, card.pin) if self.code_name is None else "",
        }


class VoucherKartSimulator(VouchagramSimulator):
    """Nothing is known of the real one; the login's sealing decides how it seals."""


def _no(code: str) -> web.Response:
    return web.json_response({"status": "error", "data": "", "desc": TEXTS[code], "code": code})


def _bad(asked: Mapping[str, Any]) -> str | None:
    key, quantity = asked.get("ExternalOrderId"), str(asked.get("Quantity"))
    if not isinstance(key, str) or not key:
        return "ER010"
    if len(key) > ORDER_ID_CHARS_MAX:
        return "ER1011"
    if not quantity.lstrip("-").isdigit():
        return "ER022"
    if int(quantity) <= 0:
        return "ER023"
    return "ER059" if int(quantity) > QUANTITY_MAX else None


def _failed(sale: Sale, code: str) -> dict[str, object]:
    return {
        "PullVouchers": [],
        "ErrorCode": code,
        "ErrorMessage": TEXTS[code],
        "ExternalOrderIdOut": sale.key,
        "Message": "",
        "ResultType": "FAILED",
        "BrandProductCode": sale.sku,
    }


def _brand(product: SimProduct) -> dict[str, object]:
    values = product.fixed_minor
    return {
        "BrandProductCode": product.sku,
        "BrandName": product.name,
        "Brandtype": "VOUCHER",
        "RedemptionType": "3",
        "OnlineRedemptionUrl": "",
        "BrandImage": "",
        "denominationList": ",".join(str(value // 100) for value in values),
        "MinValue": str(product.min_minor // 100),
        "MaxValue": str(product.max_minor // 100),
        "DenomType": "F" if values else "D",
        "stockAvailable": "false" if product.stock == 0 else "true",
        "Category": "Testing",
        "Descriptions": "",
        "tnc": "",
        "importantInstruction": "",
        "redeemSteps": {},
        "updated_at": "2026-01-01 00:00:00",
        "EpayMinValue": "",
        "EpayMaxValue": "",
        "ServiceType": "V",
        "EpayDiscount": "",
    }
