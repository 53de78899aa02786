"""Bamboo: the contract, and each quirk of its wire from both sides."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from rewards.vendors.adapters import bamboo, bamboo_wire
from rewards.vendors.model import (
    Accepted,
    CallbackRefused,
    Cost,
    Delivered,
    Line,
    NotKnown,
    Outcome,
    Reason,
    Refused,
    Unknown,
)
from rewards.vendors.port import VendorRefused
from rewards.vendors.simulators.bamboo import (
    LIVE_ACCOUNT,
    PRODUCTS,
    SANDBOX_ACCOUNT,
    BambooSimulator,
)
from rewards.vendors.simulators.book import Book, SimClock, SimProduct
from rewards.vendors.simulators.faults import Fault, Scripted
from rewards.vendors.throttle import Throttle
from rewards.vendors.wire import Answer
from tests.vendors.conftest import Open, Stand, now
from tests.vendors.contract import AdapterContract, purchase_of
from tests.vendors.receiving import receiving

LINE = Line("510002", 2_000, "USD", 4)
CHECKOUT = "/api/integration/v1.0/orders/checkout"
NOTIFICATION = "/api/Integration/v1/notification"
AUTH = {"Authorization": "Basic Y2xpZW50OnNlY3JldA=="}
HINT_SECRET = "hint-secret"


async def stood(stand: Open, account_id: int = SANDBOX_ACCOUNT, **more: Any) -> Stand:
    book = Book(SimClock(now), more.pop("products", PRODUCTS))
    secrets = {"client_id": "client", "client_secret": "secret"} | more.pop("secrets", {})
    simulator = BambooSimulator(book, "client", "secret")
    return await stand("bamboo", simulator, {"account_id": str(account_id)}, secrets, **more)


class TestBamboo(AdapterContract):
    line = LINE
    unsayable = (Line("AMZ-US", 2_000, "USD", 1), Line("510002", 2_000, "XXX", 1))
    refusals = tuple((400, {"message": word}) for word in bamboo_wire.REASONS)

    async def open(self, stand: Open) -> Stand:
        return await stood(stand)


async def raw(
    at: Stand, method: str, path: str, body: object = None, auth: Mapping[str, str] = AUTH
) -> tuple[int, Any]:
    async with aiohttp.ClientSession(headers=auth) as session:
        data = None if body is None else json.dumps(body)
        async with session.request(method, at.url + path, data=data) as response:
            text = await response.text()
            return response.status, json.loads(text) if text.startswith(("{", '"', "[")) else text


def asked(key: str, **changed: Any) -> dict[str, Any]:
    products = [{"ProductId": 510002, "Quantity": 2, "Value": 20}]
    return {"RequestId": key, "AccountId": SANDBOX_ACCOUNT, "Products": products} | changed


async def test_the_answer_to_a_checkout_is_a_bare_string(stand: Open) -> None:
    at, key = await stood(stand), str(uuid4())
    assert await raw(at, "POST", CHECKOUT, asked(key)) == (200, key)
    assert await raw(at, "POST", CHECKOUT, asked(key)) == (400, {"message": "OrderAlreadyExists"})
    assert len(at.simulator.book.sales) == 1


async def test_what_the_adapter_sends_is_the_documented_body(stand: Open) -> None:
    at = await stood(stand)
    key = at.vendor.key(uuid4())
    await at.vendor.place(key, Line("510001", 1_050, "USD", 2))
    [exchange] = at.kept.exchanges
    products = [{"ProductId": 510001, "Quantity": 2, "Value": 10.5}]
    assert (exchange.method, exchange.path) == ("POST", CHECKOUT)
    assert json.loads(exchange.request or "") == asked(key, Products=products)


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"AccountId": LIVE_ACCOUNT}, "WrongAccount"),
        ({"Products": []}, "NoProducts"),
        ({"Products": [{"ProductId": 1, "Quantity": 1, "Value": 5}]}, "InvalidProduct"),
        ({"Products": [{"ProductId": 510002, "Quantity": 1, "Value": 5}]}, "InvalidDenomination"),
        ({"Products": [{"ProductId": 510003, "Quantity": 4, "Value": 50}]}, "ProductIsOutOfStock"),
        ({"Products": [{"ProductId": 510001, "Quantity": 501, "Value": 5}]}, "CardsLimitExceeded"),
        ({"RequestId": "7"}, "One or more validation errors occurred."),
    ],
)
async def test_refusals_on_the_wire(stand: Open, changed: dict[str, Any], word: str) -> None:
    at = await stood(stand)
    body = asked(str(uuid4()), **changed)
    assert await raw(at, "POST", CHECKOUT, body) == (400, {"message": word})
    assert at.simulator.book.sales == {}


async def test_other_statuses_on_the_wire(stand: Open) -> None:
    at = await stood(stand)
    assert (await raw(at, "POST", CHECKOUT, asked(str(uuid4())), auth={}))[0] == 401
    path = f"/api/integration/v1.0/orders/{uuid4()}"
    assert await raw(at, "GET", path) == (400, {"message": "OrderNotFound"})
    statuses = [(await raw(at, "POST", CHECKOUT, asked(str(uuid4()))))[0] for _ in range(3)]
    assert statuses == [200, 200, 429]
    at.simulator.book.clock.advance(1)
    assert (await raw(at, "POST", CHECKOUT, asked(str(uuid4()))))[0] == 200


async def test_an_order_walks_and_shows_the_documented_fields(stand: Open) -> None:
    at, key = await stood(stand), str(uuid4())
    at.simulator.book.delay_s = 60
    await raw(at, "POST", CHECKOUT, asked(key))
    seen = []
    for _ in range(3):
        _, order = await raw(at, "GET", f"/api/integration/v1.0/orders/{key}")
        seen.append(order["status"])
        at.simulator.book.clock.advance(31)
    assert seen == ["Created", "Processing", "Succeeded"]
    told = "orderId requestId status createdDate total errorMessage orderType currency items"
    assert order.keys() == set(told.split())
    told = "brandCode productId productFaceValue quantity pictureUrl countryCode currencyCode"
    [item] = order["items"]
    assert item.keys() == {*told.split(), "status", "cards"}
    told = "id serialNumber cardCode pin expirationDate status"
    assert [card.keys() for card in item["cards"]] == [set(told.split())] * 2


async def test_a_card_comes_with_value_expiry_and_cost(stand: Open) -> None:
    at = await stood(stand)
    key = at.vendor.key(uuid4())
    await at.vendor.place(key, LINE)
    done = await at.vendor.read(purchase_of(key, LINE))
    [sale] = at.simulator.book.sales.values()
    assert isinstance(done, Delivered)
    assert done.cost == Cost(8_000, "USD")
    assert done.vendor_ref == str(int(sale.ref, 16))
    for card, sold in zip(done.cards, sale.cards, strict=True):
        assert card.fields == {
            "card_number": sold.code,
            "pin_code": sold.pin,
            "voucher_reference_number": sold.serial,
        }
        assert (card.face_minor, card.currency) == (2_000, "USD")
        day = sold.expires_at.date()
        assert card.expires_at == datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=UTC)


async def test_a_wrong_value_is_told_as_the_vendor_tells_it(stand: Open) -> None:
    at = await stood(stand)
    at.simulator.script.add([Scripted(Fault.WRONG_VALUE, "place")])
    key = at.vendor.key(uuid4())
    await at.vendor.place(key, LINE)
    done = await at.vendor.read(purchase_of(key, LINE))
    assert isinstance(done, Delivered)
    assert [card.face_minor for card in done.cards] == [4_000, 2_000, 2_000, 2_000]


async def test_only_sold_cards_of_a_partial_failure_count(stand: Open) -> None:
    at = await stood(stand)
    at.simulator.script.add([Scripted(Fault.PARTIAL, "place")])
    key = at.vendor.key(uuid4())
    await at.vendor.place(key, LINE)
    _, order = await raw(at, "GET", f"/api/integration/v1.0/orders/{key}")
    assert order["status"] == "PartialFailed"
    states = [card["status"] for card in order["items"][0]["cards"]]
    assert states == ["Sold", "Sold", "Failed", "Failed"]
    done = await at.vendor.read(purchase_of(key, LINE))
    assert isinstance(done, Delivered)
    assert len(done.cards) == 2


def order_of(key: str, status: str, sold: int, **changed: Any) -> dict[str, Any]:
    card = {"serialNumber": "s", "cardCode": "c", "pin": None, "status": "Sold"}
    item = {
        "productId": 510002,
        "productFaceValue": 20,
        "currencyCode": "USD",
        "cards": [card | {"expirationDate": None} for _ in range(sold)],
    }
    order = {"orderId": 7, "requestId": key, "status": status, "total": 80, "currency": "USD"}
    return order | {"items": [item], "errorMessage": None} | changed


def told(content: Mapping[str, Any], key: str, status: int = 200) -> Outcome:
    return bamboo_wire.order(key, LINE, Answer(status, {}, json.dumps(content).encode()))


@pytest.mark.parametrize(
    ("status", "sold", "kind"),
    [
        ("Created", 0, Accepted),
        ("Pending", 0, Accepted),
        ("Processed", 0, Accepted),
        ("Processed", 4, Delivered),
        ("Succeeded", 4, Delivered),
        ("Succeeded", 5, Delivered),
        ("Succeeded", 3, Unknown),
        ("Failed", 0, Refused),
        ("Failed", 1, Unknown),
        ("Failed", 4, Unknown),
        ("PartialFailed", 3, Delivered),
        ("PartialFailed", 0, Unknown),
        ("Refunded", 4, Unknown),
    ],
)
def test_what_an_order_status_means(status: str, sold: int, kind: type[Outcome]) -> None:
    key = str(uuid4())
    assert isinstance(told(order_of(key, status, sold), key), kind)


def test_orders_that_are_not_ours_are_unknown() -> None:
    key = str(uuid4())
    good = order_of(key, "Succeeded", 4)
    assert isinstance(told(good | {"requestId": key.upper()}, key), Delivered)
    assert isinstance(told(good | {"requestId": str(uuid4())}, key), Unknown)
    foreign = [good["items"][0] | {"productId": 1}]
    assert isinstance(told(good | {"items": foreign}, key), Unknown)
    assert isinstance(told({"message": "OrderNotFound"}, key, 404), NotKnown)


def test_a_total_with_more_decimals_than_money_has_holds_no_code_back() -> None:
    key = str(uuid4())
    done = told(order_of(key, "Succeeded", 4) | {"total": 79.8765}, key)
    assert isinstance(done, Delivered)
    assert done.cost is None


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("ProductIsOutOfStock", Reason.OUT_OF_STOCK),
        # About the account, not about this order: as such it would read "not told".
        ("WrongAccount", Reason.OTHER),
        (None, Reason.OTHER),
    ],
)
def test_why_an_order_failed(word: str | None, reason: Reason) -> None:
    key = str(uuid4())
    failed = told(order_of(key, "Failed", 0, errorMessage=word), key)
    assert isinstance(failed, Refused)
    assert failed.reason is reason


def test_placing_is_refused_only_in_words_that_are_known() -> None:
    key = str(uuid4())

    def answered(status: int, body: bytes, **headers: str) -> Outcome:
        return bamboo_wire.placed(key, Answer(status, headers, body))

    for word, reason in bamboo_wire.REASONS.items():
        assert answered(400, b'{"message":"%s"}' % word.encode()) == Refused(reason, word)
    for body in (b'{"message":"OrderAlreadyExists"}', b'{"message":"?"}', b"[]", b"<html>"):
        assert isinstance(answered(400, body), Unknown)
    assert isinstance(answered(200, json.dumps(key.upper()).encode()), Accepted)
    assert isinstance(answered(200, b'"another"'), Unknown)
    assert isinstance(answered(200, b'{"RequestId":"x"}'), Unknown)
    assert isinstance(answered(404, b"{}"), Unknown)
    slow = answered(429, b'{"message":"Please try again in 12 seconds."}')
    assert slow == Refused(Reason.THROTTLED, "asked too often", 12.0)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2027-03-01T00:00:00", datetime(2027, 3, 1, 23, 59, 59, tzinfo=UTC)),
        ("2027-03-01", datetime(2027, 3, 1, 23, 59, 59, tzinfo=UTC)),
        ("2027-03-01T10:00:00", datetime(2027, 3, 1, 10, tzinfo=UTC)),
        ("2027-03-01T10:00:00.1234567+02:00", datetime(2027, 3, 1, 8, 0, 0, 123456, tzinfo=UTC)),
    ],
)
def test_expiry_dates(text: str, at: datetime) -> None:
    key = str(uuid4())
    order = order_of(key, "Succeeded", 4)
    for card in order["items"][0]["cards"]:
        card["expirationDate"] = text
    done = told(order, key)
    assert isinstance(done, Delivered)
    assert done.cards[0].expires_at == at


async def test_bad_credentials_buy_nothing_and_tell_nothing(stand: Open) -> None:
    at = await stood(stand, secrets={"client_secret": "old"})
    key = at.vendor.key(uuid4())
    refused = await at.vendor.place(key, LINE)
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.BAD_CREDENTIALS
    assert isinstance(await at.vendor.read(purchase_of(key, LINE)), Unknown)
    with pytest.raises(VendorRefused):
        await at.vendor.balances()
    assert at.simulator.book.sales == {}


async def test_an_account_of_the_other_world_is_refused(stand: Open) -> None:
    at = await stood(stand, LIVE_ACCOUNT)
    refused = await at.vendor.place(at.vendor.key(uuid4()), LINE)
    assert refused == Refused(Reason.VENDOR_CONFIG, "WrongAccount")
    at = await stood(stand, 999)
    with pytest.raises(VendorRefused):
        await at.vendor.balances()


async def test_keeps_to_the_documented_limits_and_reads_every_page(stand: Open) -> None:
    products = [SimProduct(str(n), f"Brand{n} card", "USD", 100, 200) for n in range(1, 206)]
    at = await stood(stand, products=products, throttle=Throttle(bamboo.KIND.rates))
    at.simulator.page_max = 90
    offers = [offer async for offer in at.vendor.catalogue()]
    assert [offer.sku for offer in offers] == [product.sku for product in products]
    assert at.simulator.book.calls["catalogue"] == 3
    assert [exchange.status for exchange in at.kept.exchanges] == [200] * 3


def test_a_brand_in_no_currency_of_ours_is_left_out() -> None:
    product = {"id": 1, "name": "n", "minFaceValue": 5, "maxFaceValue": Decimal("5.5"), "count": 0}
    brand = {"currencyCode": "USD", "products": [product]}
    [offer] = bamboo_wire.offers(brand)
    assert (offer.min_minor, offer.max_minor, offer.stock) == (500, 550, 0)
    assert bamboo_wire.offers(brand | {"currencyCode": "USDT"}) == []


async def test_both_callbacks_hint_at_the_order(stand: Open) -> None:
    async with receiving() as inbox:
        at = await stood(stand, secrets={"notification_secret": HINT_SECRET})
        urls = {"notificationUrl": "", "notificationUrlSandbox": inbox.url}
        taken = await raw(at, "POST", NOTIFICATION, urls | {"secretKey": HINT_SECRET})
        assert taken == (200, urls | {"secretKey": HINT_SECRET})
        at.simulator.script.add([Scripted(Fault.DUPLICATE_CALLBACK, "place")])
        key = at.vendor.key(uuid4())
        await at.vendor.place(key, LINE)
        [first, second] = [await inbox.understood(at.vendor) for _ in range(2)]
        assert first == second
        assert (first.key, first.message_id) == (key, None)

        at = await stood(stand)
        simulator = at.simulator
        assert isinstance(simulator, BambooSimulator)
        secret = simulator.subscribe(inbox.url)
        at.vendor = bamboo.KIND.build(
            {"account_id": str(SANDBOX_ACCOUNT)},
            {"client_id": "client", "client_secret": "secret", "svix_secret": secret},
            at.vendor._wire,
        )
        simulator.script.add([Scripted(Fault.REORDER_CALLBACKS, "place")])
        keys = [at.vendor.key(uuid4()) for _ in range(2)]
        for key in keys:
            await at.vendor.place(key, LINE)
        hints = [await inbox.understood(at.vendor) for _ in range(2)]
        assert [hint.key for hint in hints] == keys[::-1]
        assert len({hint.message_id for hint in hints}) == 2


async def test_a_forged_or_old_callback_is_refused(stand: Open) -> None:
    at = await stood(stand, secrets={"notification_secret": HINT_SECRET})
    body = json.dumps({"secretKey": HINT_SECRET, "requestId": "none"}).encode()
    assert at.vendor.callback({}, body).key is None
    for forged in (b'{"secretKey":"hint-secres"}', b"{}", b"[]", b"\xff"):
        with pytest.raises(CallbackRefused):
            at.vendor.callback({}, forged)
    unset = await stood(stand)
    for headers in ({}, {"svix-id": "m", "svix-timestamp": "1", "svix-signature": "v1,x"}):
        with pytest.raises(CallbackRefused):
            unset.vendor.callback(headers, b'{"secretKey":""}')


async def test_a_reserved_product_brings_its_fault(stand: Open) -> None:
    at = await stood(stand)
    [product] = [p for p in PRODUCTS if p.fault is Fault.OUT_OF_STOCK]
    refused = await at.vendor.place(at.vendor.key(uuid4()), Line(product.sku, 2_000, "USD", 1))
    assert refused == Refused(Reason.OUT_OF_STOCK, "ProductIsOutOfStock")
    [product] = [p for p in PRODUCTS if p.fault is Fault.DROP_AFTER]
    key, line = at.vendor.key(uuid4()), Line(product.sku, 2_000, "USD", 1)
    assert isinstance(await at.vendor.place(key, line), Unknown)
    assert isinstance(await at.vendor.read(purchase_of(key, line)), Delivered)
