"""Woohoo's wire: what each code means, what nonsense does, and the simulator's shapes as such."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from aiohttp import web

from rewards.core.currency import CURRENCIES
from rewards.core.currency_number import NUMBERS
from rewards.vendors.adapters import pinelabs_outcomes as meaning
from rewards.vendors.adapters.pinelabs_session import sign, sorted_json
from rewards.vendors.adapters.pinelabs_wire import balances_of, expiry, offer_of
from rewards.vendors.model import (
    Accepted,
    Balance,
    Delivered,
    NotKnown,
    Outcome,
    Reason,
    Refused,
    Unknown,
)
from rewards.vendors.port import VendorRefused
from rewards.vendors.simulators.book import Book, SimClock
from rewards.vendors.simulators.faults import Fault, Scripted
from rewards.vendors.simulators.pinelabs import PineLabsSimulator
from rewards.vendors.wire import NoAnswer
from tests.vendors.conftest import Open, Stand, now
from tests.vendors.contract import purchase_of
from tests.vendors.test_vendors_pinelabs import CONFIG, CONTACT, PRODUCTS, SECRETS, SMALL, opened
from tests.vendors.test_vendors_pinelabs_session import signed_in

CODES = {
    Reason.INSUFFICIENT_VENDOR_BALANCE: [6063],
    Reason.BAD_DENOMINATION: [5307, 5318],
    Reason.PRODUCT_INACTIVE: [5308, 5310, 5315],
    Reason.PRICE_CHANGED: [5036],
    Reason.LIMIT_EXCEEDED: [5038, 5338, 11159],
    Reason.VENDOR_DOWN: [5321, 6053],
    Reason.OTHER: [5327, 5333],
    Reason.VENDOR_CONFIG: [
        *(5035, 5037, 5305, 5306, 5311, 5312, 5316, 5317, 5326, 5329, 5334, 5335, 5342, 5343),
        *(5344, 5349, 6050, 6051, 6052, 6054, 6055, 6056, 6057, 6058, 6059, 11447),
    ],
}
UNCLEAR = [None, 0, 400, 500, 5313, 5320, 6000, 11429, 99999]


def test_every_code_has_its_reason() -> None:
    assert {code for codes in CODES.values() for code in codes} == set(meaning._REFUSALS)
    for reason, codes in CODES.items():
        for code in codes:
            outcome = meaning.of_error(code, 400, None)
            assert isinstance(outcome, Refused)
            assert outcome.reason is reason, code
            assert str(code) in outcome.message


@pytest.mark.parametrize("code", UNCLEAR)
def test_a_code_that_says_nothing_certain_is_unknown(code: int | None) -> None:
    assert isinstance(meaning.of_error(code, 400, None), Unknown)


def test_a_velocity_limit_is_no_refusal() -> None:
    assert meaning.of_error(6015, 400, "W-1") == Accepted("W-1")


class Saying(PineLabsSimulator):
    """Answers one call with what it is told, after doing nothing."""

    said: tuple[str, int, Any] = ("", 0, None)

    def routes(self) -> Any:
        return {
            route: (call, self._say if call == self.said[0] else handler)
            for route, (call, handler) in super().routes().items()
        }

    async def _say(self, _request: web.Request) -> web.Response:
        _, status, content = self.said
        if isinstance(content, str):
            return web.Response(status=status, text=content)
        return web.json_response(content, status=status)


async def told(stand: Open, call: str, status: int, content: Any) -> Stand:
    simulator = Saying(Book(SimClock(now), PRODUCTS))
    simulator.said = (call, status, content)
    return await stand("pinelabs", simulator, CONFIG, SECRETS)


def created(**other: Any) -> dict[str, Any]:
    card = {"cardNumber": "N-1", "cardPin": "1", "amount": "500.00", "cardId": 1}
    body = {
        "status": "COMPLETE",
        "orderId": "W-1",
        "currency": {"code": "INR"},
        "cards": [{**card, "cardId": number} for number in range(4)],
    }
    return {**body, **other}


def with_card(**other: Any) -> dict[str, Any]:
    body = created()
    body["cards"][0] = {**body["cards"][0], **other}
    return body


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (201, []),
        (201, "OK"),
        (201, {"orderId": "W-1"}),
        (201, {"status": "COMPLETE"}),
        (201, created(status="WHATEVER")),
        (201, created(refno="SOMEBODY-ELSE")),
        (201, created(cards=[None] * 4)),
        (201, created(cards=[{"cardId": 1}] * 4)),
        (201, created(currency={"code": "XXX"})),
        (201, with_card(amount="500.001")),
        (201, with_card(amount="plenty")),
        (201, with_card(validity="soon")),
        (200, {"code": 0}),
        (404, {"message": "no route"}),
        (400, {"message": "no code"}),
        (400, {"code": "many"}),
        (400, {"code": True}),
        (400, {"code": 5313}),
        (400, {"code": 424242}),
        (400, "<html>"),
    ],
)
async def test_placing_that_is_answered_with_nonsense_is_unknown(
    stand: Open, status: int, content: Any
) -> None:
    at = await told(stand, "place", status, content)
    assert isinstance(await at.vendor.place(at.vendor.key(uuid4()), SMALL), Unknown)


async def test_placing_that_is_answered_with_sense(stand: Open) -> None:
    async def placed(status: int, content: Any) -> Outcome:
        at = await told(stand, "place", status, content)
        outcome: Outcome = await at.vendor.place(at.vendor.key(uuid4()), SMALL)
        return outcome

    whole = await placed(201, created())
    assert isinstance(whole, Delivered)
    assert {card.face_minor for card in whole.cards} == {50_000}
    assert await placed(201, created(status="PROCESSING", cards=[])) == Accepted("W-1")
    assert await placed(201, created(cards=[])) == Accepted("W-1"), "still to be fetched"
    assert await placed(202, {"status": "PENDING", "orderId": 77}) == Accepted("77")
    # A code may come as text.
    refused = await placed(400, {"code": "6063", "message": "Insufficient"})
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.INSUFFICIENT_VENDOR_BALANCE


@pytest.mark.parametrize(
    ("status", "content", "wanted"),
    [
        (400, {"code": 5320}, NotKnown),
        (404, {"code": 5320}, NotKnown),
        (404, "not found", Unknown),
        (400, {"code": 11429}, Unknown),
        (400, {"code": 6015}, Unknown),
        (200, {"status": "COMPLETE"}, Unknown),
        (200, {"status": "CANCELED", "orderId": "W-1"}, Refused),
        (200, {"status": "CANCELLED", "orderId": "W-1"}, Unknown),
        (200, {"status": "PENDING"}, Accepted),
        (200, [], Unknown),
        (401, "oauth_problem=signature_invalid", Unknown),
    ],
)
async def test_what_a_status_means(
    stand: Open, status: int, content: Any, wanted: type[Outcome]
) -> None:
    at = await told(stand, "status", status, content)
    assert isinstance(await at.vendor.read(purchase_of("R-1", SMALL)), wanted)


@pytest.mark.parametrize(
    ("status", "content", "wanted"),
    [
        (409, {"state": "PROCESSING"}, Accepted),
        (410, {"state": "CANCELED"}, Refused),
        (400, {"code": 400, "message": "not valid"}, Unknown),
        (400, {"code": 6015}, Unknown),
        (200, created(), Unknown),
        (200, created(total_cards=5), Unknown),
        (200, created(total_cards=3), Unknown),
        (200, created(total_cards=3, cards=created()["cards"][:3]), Unknown),
        (200, created(total_cards=0, cards=[]), Unknown),
        (200, created(total_cards=4, cards={"summary": {"totalCardsCount": 4}}), Unknown),
        (200, created(total_cards=4, cards=[created()["cards"][0]] * 4), Unknown),
        (200, created(total_cards=4), Delivered),
    ],
)
async def test_what_the_cards_of_a_complete_order_mean(
    stand: Open, status: int, content: Any, wanted: type[Outcome]
) -> None:
    at = await told(stand, "cards", status, content)
    await at.vendor.place("R-1", SMALL)
    assert isinstance(await at.vendor.read(purchase_of("R-1", SMALL)), wanted)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (None, None),
        ("", None),
        ("2027-03-16T18:30:00+00:00", datetime(2027, 3, 16, 18, 30, tzinfo=UTC)),
        ("2027-03-16T18:30:00", datetime(2027, 3, 16, 13, 0, tzinfo=UTC)),
        ("2027-03-16", datetime(2027, 3, 16, 18, 29, 59, tzinfo=UTC)),
    ],
)
def test_a_day_ends_in_india(text: str | None, wanted: datetime | None) -> None:
    assert expiry(text) == wanted


def test_every_currency_has_its_number() -> None:
    assert NUMBERS.keys() == CURRENCIES.keys()
    known = {"INR": 356, "AUD": 36, "USD": 840, "EUR": 978, "ALL": 8, "SGD": 702, "XCG": 532}
    assert {code: NUMBERS[code] for code in known} == known


def test_a_price_without_sense_is_not_offered_and_wallets_add_up() -> None:
    price = {"type": "SLAB", "denominations": ["500", 100], "currency": {"numericCode": "356"}}
    product = {"sku": "S", "name": "N", "price": price}
    offer = offer_of(product)
    assert offer is not None
    assert offer.fixed_minor == (10_000, 50_000)
    assert offer_of({**product, "price": {**price, "denominations": []}}) is None
    assert offer_of({**product, "price": {**price, "denominations": ["1.001"]}}) is None
    assert offer_of({**product, "price": {**price, "currency": None}}) is None
    rows = [{"currency": "356", "balance": "1.50"}, {"currency": {"code": "INR"}, "balance": 2}]
    assert balances_of(rows) == [Balance("INR", 350)]


class Raw:
    """A partner that writes its own HTTP."""

    def __init__(self, http: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> None:
        self._http = http
        self._url = url
        self._headers = headers

    async def get(self, path: str) -> tuple[int, Any]:
        url = self._url + path
        signed = {**self._headers, "signature": sign(SECRETS["client_secret"], "GET", url)}
        async with self._http.get(url, headers=signed) as answer:
            return answer.status, await answer.json()

    async def post(self, body: dict[str, Any]) -> tuple[int, Any]:
        url, raw = f"{self._url}/rest/v3/orders", sorted_json(body)
        signed = {**self._headers, "signature": sign(SECRETS["client_secret"], "POST", url, raw)}
        async with self._http.post(url, data=raw, headers=signed) as answer:
            return answer.status, await answer.json()


@asynccontextmanager
async def raw(at: Stand) -> AsyncIterator[Raw]:
    async with aiohttp.ClientSession() as http:
        yield Raw(http, at.url, await signed_in(http, at.url))


BODY: dict[str, Any] = {
    "refno": "SHAPE-1",
    "deliveryMode": "API",
    "address": {**CONTACT, "billToThis": True},
    "billing": CONTACT,
    "payments": [{"code": "svc", "amount": 1_500}],
    "products": [{"sku": "EGC-500", "qty": 3, "price": 500, "currency": 356}],
}


@pytest.mark.parametrize(
    ("call", "status", "content", "wanted"),
    [
        ("product", 400, {"code": 1303}, None),
        ("product", 200, {"sku": "S", "name": "N", "price": {"type": "RANGE"}}, None),
        ("product", 400, {"code": 400}, VendorRefused),
        ("product", 200, [], NoAnswer),
        ("products", 200, {"products": [{}]}, NoAnswer),
        ("products", 400, {"code": 6652}, VendorRefused),
        ("categories", 200, {}, NoAnswer),
        ("categories", 200, [{"id": n} for n in range(201)], VendorRefused),
        ("balance", 200, {"accounts": [{"balance": "1"}]}, NoAnswer),
    ],
)
async def test_a_product_that_went_is_left_out_and_nonsense_is_told(
    stand: Open, call: str, status: int, content: Any, wanted: type[Exception] | None
) -> None:
    at = await told(stand, call, status, content)
    if wanted is None:
        assert [offer async for offer in at.vendor.catalogue()] == []
        return
    if call == "balance":
        with pytest.raises(wanted):
            await at.vendor.balances()
        return
    with pytest.raises(wanted):
        [offer async for offer in at.vendor.catalogue()]


async def test_the_shapes_of_a_large_order(stand: Open) -> None:
    at = await opened(stand, activation_s=60)
    at.simulator.book.delay_s = 30
    async with raw(at) as partner:
        status, order = await partner.post({**BODY, "syncOnly": False})
        assert (status, order["status"]) == (202, "PROCESSING")
        assert order.keys() >= {"orderId", "refno", "currency", "payments"}
        assert "cards" not in order
        assert order["currency"] == {"code": "INR", "numericCode": "356", "symbol": "₹"}
        ref = order["orderId"]
        cards = f"/rest/v3/order/{ref}/cards/?limit=2&offset=0"
        wait = {"state": "PROCESSING", "orderId": ref, "refno": "SHAPE-1"}
        assert await partner.get(cards) == (409, wait)
        at.simulator.book.clock.advance(31)
        _, state = await partner.get("/rest/v3/order/SHAPE-1/status")
        assert state.keys() >= {"status", "statusLabel", "orderId", "refno", "cancel"}
        assert state["status"] == "COMPLETE"
        assert await partner.get(cards) == (409, wait), "complete before its cards are ready"
        _, details = await partner.get(f"/rest/v3/orders/{ref}")
        assert details["cards"] == {"summary": {"totalCardsCount": 3}}
        at.simulator.book.clock.advance(61)
        status, page = await partner.get(cards)
        assert (status, page["total_cards"], len(page["cards"])) == (200, 3, 2)
        assert page["cards"][0]["amount"] == "500.00"
        assert isinstance(page["cards"][0]["cardId"], int)
        _, same = await partner.get(f"/rest/v3/order/{ref}/cards/?limit=2&offset=1")
        assert same["cards"] == page["cards"], "an offset within a page is that page"
        _, listed = await partner.get("/rest/v3/orders")
        assert [row["refNo"] for row in listed["orders"]] == ["SHAPE-1"]


async def test_the_shapes_of_a_cancelled_order(stand: Open) -> None:
    at = await opened(stand)
    at.simulator.script.add([Scripted(Fault.LATE_FAILURE, "place")])
    async with raw(at) as partner:
        _, doomed = await partner.post(BODY)
        gone = {"state": "CANCELED", "orderId": doomed["orderId"], "refno": "SHAPE-1"}
        assert await partner.get(f"/rest/v3/order/{doomed['orderId']}/cards/") == (410, gone)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"refno": "X" * 26}, 5329),
        ({"refno": ""}, 5329),
        ({"deliveryMode": "EMAIL"}, 5311),
        ({"billing": None}, 5312),
        ({"payments": [{"code": "svc", "amount": 1}]}, 5036),
        ({"payments": [{"code": "cash", "amount": 1_500}]}, 5035),
        ({"products": [{**BODY["products"][0], "currency": 36}]}, 5316),
        ({"products": [{**BODY["products"][0], "price": 499}]}, 5036),
        ({"products": [{**BODY["products"][0], "sku": "NO"}]}, 5310),
        ({"products": [{**BODY["products"][0], "qty": 25_001}]}, 11159),
        ({"products": []}, 400),
    ],
)
async def test_what_the_simulator_refuses(stand: Open, wrong: dict[str, Any], code: int) -> None:
    at = await opened(stand)
    async with raw(at) as partner:
        status, content = await partner.post({**BODY, **wrong})
        assert (status, content["code"]) == (400, code)
        assert content.keys() == {"message", "code", "messages", "additionalTxnFields"}
    assert not at.simulator.book.sales
    assert at.simulator.book.balance_minor == at.simulator.book.opening_minor


async def test_the_shapes_of_the_catalogue(stand: Open) -> None:
    at = await opened(stand)
    async with raw(at) as partner:
        _, root = await partner.get("/rest/v3/catalog/categories")
        assert root["id"] == "121"
        assert [branch["id"] for branch in root["subcategories"]] == ["122"]
        _, page = await partner.get("/rest/v3/catalog/categories/121/products?limit=1&offset=0")
        assert (page["productsCount"], len(page["products"])) == (2, 1)
        assert page["products"][0]["minPrice"] == "500.00"
        _, product = await partner.get("/rest/v3/catalog/products/EGC-500")
        assert product["price"]["type"] == "SLAB"
        assert product["price"]["denominations"] == ["500.00", "1000.00"]
        for path, code in (
            ("order/NOBODY/status", 5320),
            ("orders/NOBODY", 5320),
            ("catalog/categories/9/products", 6652),
            ("catalog/products/NOTHING", 1303),
        ):
            status, content = await partner.get(f"/rest/v3/{path}")
            assert (status, content["code"]) == (400, code)
