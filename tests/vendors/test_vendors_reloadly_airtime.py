"""Reloadly's airtime and its simulator: the contract of recharges, and what only they do."""

import json
from dataclasses import replace
from uuid import uuid4

import aiohttp
import pytest

from rewards.vendors.adapters.reloadly_airtime import ReloadlyAirtime
from rewards.vendors.adapters.reloadly_wire import REASONS, RECENT_S, refusal, sign
from rewards.vendors.model import (
    Accepted,
    Callback,
    CallbackRefused,
    Delivered,
    Line,
    NotKnown,
    Offer,
    Outcome,
    Reason,
    Refused,
    Stage,
    Unknown,
)
from rewards.vendors.simulators.book import SimClock, SimProduct
from rewards.vendors.simulators.faults import AFTER, Fault, Scripted
from rewards.vendors.simulators.reloadly import SenderBook
from rewards.vendors.simulators.reloadly_airtime import PRODUCTS, ReloadlyAirtimeSimulator
from rewards.vendors.wire import Answer
from tests.vendors.conftest import Open, Stand, now
from tests.vendors.contract import TokenContract, purchase_of
from tests.vendors.contract_recharges import RechargeContract
from tests.vendors.receiving import receiving

MOBILE = {"mobile_country_code": "+91", "mobile_number": "98765 43210"}
SECRETS = {"client_id": "client", "client_secret": "secret", "webhook_secret": "signing"}
ACCEPT = "application/com.reloadly.topups-v1+json"
RUPEES = Line("174", 10_000, "INR", 1, MOBILE)


async def open_stand(stand: Open, callback_url: str | None = None) -> Stand:
    book = SenderBook(SimClock(now), PRODUCTS)
    simulator = ReloadlyAirtimeSimulator(book, callback_url=callback_url)
    return await stand("reloadly_airtime", simulator, {"auth_url": "{url}"}, SECRETS)


async def placed(at: Stand, line: Line) -> tuple[str, Outcome]:
    key = at.vendor.key(uuid4())
    return key, await at.vendor.place(key, line)


class TestReloadlyAirtime(TokenContract, RechargeContract):
    line = Line("200", 1_000, "USD", 1, MOBILE | {"mobile_number": "9876543210"})
    unsayable = (replace(RUPEES, sku="EE"), replace(RUPEES, currency="XXX"))
    skips = RechargeContract.skips | {Fault.OUT_OF_STOCK, Fault.PRICE_DRIFT}
    refusals = tuple((400, {"errorCode": code, "message": "No."}) for code in REASONS)

    async def open(self, stand: Open) -> Stand:
        return await open_stand(stand)


class TestReloadlyPins(TestReloadlyAirtime):
    line = Line("535", 500, "USD", 1, MOBILE | {"mobile_number": "9876543210"})

    def brings(self) -> int:
        return 1


async def test_the_wire_is_the_documented_one(stand: Open) -> None:
    at = await open_stand(stand)
    asked = {
        "client_id": "client",
        "client_secret": "secret",
        "grant_type": "client_credentials",
        "audience": "https://topups-sandbox.reloadly.com",
    }
    topup = {
        "operatorId": "535",
        "amount": "5.00",
        "useLocalAmount": False,
        "customIdentifier": "This is example identifier 130",
        "recipientPhone": {"countryCode": "IN", "number": "919876543210"},
        "senderPhone": {"countryCode": "CA", "number": "11231231231"},
    }
    async with aiohttp.ClientSession(at.url) as raw:
        token = await (await raw.post("/oauth/token", json=asked)).json()
        headers = {"Authorization": f"Bearer {token['access_token']}", "Accept": ACCEPT}
        taken = await (await raw.post("/topups-async", json=topup, headers=headers)).json()
        assert taken.keys() == {"transactionId"}
        path = f"/topups/{taken['transactionId']}/status"
        status = await (await raw.get(path, headers=headers)).json()
        assert status.keys() == {"code", "message", "status", "transaction"}
        told = status["transaction"]
        named = {"serial", "info1", "info2", "info3", "value", "code", "ivr", "validity"}
        assert told["pinDetail"].keys() == named
        assert (told["status"], told["operatorId"]) == ("SUCCESSFUL", 535)
        query = {"customIdentifier": topup["customIdentifier"].upper()}
        report = "/topups/reports/transactions"
        listed = await (await raw.get(report, params=query, headers=headers)).json()
        assert [row["transactionId"] for row in listed["content"]] == [taken["transactionId"]]


async def test_local_amounts_are_asked_in_the_operators_currency_and_paid_in_ours(
    stand: Open,
) -> None:
    at = await open_stand(stand)
    key, first = await placed(at, RUPEES)
    assert isinstance(first, Accepted)
    done = await at.vendor.read(purchase_of(key, RUPEES, first.vendor_ref))
    assert isinstance(done, Delivered)
    assert done.cards == ()
    # 100 rupees at 0.011876 less 5 %: 1.12822 dollars.
    assert done.cost is not None
    assert (done.cost.amount_minor, done.cost.currency) == (113, "USD")
    [sale] = at.simulator.book.sales.values()
    assert (sale.face_minor, sale.currency) == (10_000, "INR")
    assert sale.extra["number"] == "919876543210"


async def test_the_documented_form_of_a_status_is_read_too(stand: Open) -> None:
    at = await open_stand(stand)
    at.simulator.wraps_status = False
    key, first = await placed(at, RUPEES)
    assert isinstance(first, Accepted)
    assert isinstance(await at.vendor.read(purchase_of(key, RUPEES, first.vendor_ref)), Delivered)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (replace(RUPEES, currency="EUR"), Reason.BAD_DENOMINATION),
        (replace(RUPEES, face_minor=999), Reason.BAD_DENOMINATION),
        (replace(RUPEES, sku="9"), Reason.PRODUCT_INACTIVE),
        (replace(RUPEES, quantity=2), Reason.LIMIT_EXCEEDED),
        (replace(RUPEES, mobile=None), Reason.BAD_RECIPIENT),
        (replace(RUPEES, mobile=MOBILE | {"mobile_number": "12"}), Reason.BAD_RECIPIENT),
    ],
)
async def test_what_cannot_be_recharged_is_refused_at_once(
    stand: Open, line: Line, reason: Reason
) -> None:
    at = await open_stand(stand)
    _, outcome = await placed(at, line)
    assert isinstance(outcome, Refused)
    assert outcome.reason is reason
    assert not outcome.transient
    assert at.simulator.book.sales == {}
    assert "9112" not in repr(outcome)


async def test_a_recharge_that_fails_at_the_operator_says_the_code(stand: Open) -> None:
    at = await open_stand(stand)
    at.simulator.script.add([Scripted(Fault.LATE_FAILURE, "place")])
    key, first = await placed(at, RUPEES)
    assert isinstance(first, Accepted)
    assert first.stage is Stage.QUEUED
    outcome = await at.vendor.read(purchase_of(key, RUPEES, first.vendor_ref))
    assert outcome == Refused(Reason.OTHER, "TRANSACTION_FAILED_ON_OPERATOR")


async def test_an_operator_that_is_down_is_unknown_and_then_not_known(stand: Open) -> None:
    at = await open_stand(stand)
    at.simulator.script.add([Scripted(Fault.OUT_OF_STOCK, "place")])
    key, outcome = await placed(at, RUPEES)
    assert isinstance(outcome, Unknown)
    assert isinstance(await at.vendor.read(purchase_of(key, RUPEES)), NotKnown)


@pytest.mark.parametrize("product", [p for p in PRODUCTS if p.fault], ids=lambda p: p.fault)
async def test_a_reserved_operator_brings_its_fault(stand: Open, product: SimProduct) -> None:
    at = await open_stand(stand)
    at.simulator.slow_s = 3.0
    line = replace(RUPEES, sku=product.sku, currency="USD", face_minor=500)
    key, outcome = await placed(at, line)
    none = isinstance(outcome, Refused) or product.fault is Fault.OUT_OF_STOCK
    assert at.simulator.book.sales.keys() == (set() if none else {key})
    if product.fault in AFTER:
        assert isinstance(outcome, Unknown)


def _said(code: str | None, message: str, status: int = 400) -> Answer:
    return Answer(status, {}, json.dumps({"errorCode": code, "message": message}).encode())


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            _said("PHONE_RECENTLY_RECHARGED", "wait"),
            Refused(Reason.THROTTLED, "PHONE_RECENTLY_RECHARGED", RECENT_S),
        ),
        (
            _said("MAX_DAILY_TRANSACTION_AMOUNT_REACHED", "x"),
            Refused(Reason.LIMIT_EXCEEDED, "MAX_DAILY_TRANSACTION_AMOUNT_REACHED"),
        ),
        # It may have been tried: the report decides.
        (
            _said("TRANSACTION_CANNOT_BE_PROCESSED_AT_THE_MOMENT", "x"),
            Unknown("TRANSACTION_CANNOT_BE_PROCESSED_AT_THE_MOMENT"),
        ),
        (_said(None, "9876543210 is odd"), Unknown("an unexpected answer (400)")),
        (_said("9876543210", "odd"), Unknown("an unexpected answer (400)")),
    ],
)
def test_only_a_clear_no_is_a_refusal(answer: Answer, expected: Outcome) -> None:
    assert refusal(answer) == expected


async def test_the_catalogue_offers_what_the_operator_takes(stand: Open) -> None:
    at = await open_stand(stand)
    offers = [offer async for offer in at.vendor.catalogue()]
    assert offers[:3] == [
        Offer("200", "Vodafone India", "USD", 100, 10_000),
        Offer("174", "Airtel India", "INR", 1_000, 500_000),
        Offer("535", "EE PIN", "USD", 500, 1_000, (500, 1_000)),
    ]


async def test_callbacks_name_the_order_when_taken_and_when_done(stand: Open) -> None:
    async with receiving() as inbox:
        at = await open_stand(stand, inbox.url)
        at.simulator.book.delay_s = 60
        key, first = await placed(at, RUPEES)
        assert isinstance(first, Accepted)
        assert await inbox.understood(at.vendor) == Callback(key, first.vendor_ref)
        at.simulator.book.clock.advance(60)
        assert await inbox.understood(at.vendor) == Callback(key, first.vendor_ref)


async def test_callbacks_may_come_twice_and_in_another_order(stand: Open) -> None:
    async with receiving() as inbox:
        at = await open_stand(stand, inbox.url)
        at.simulator.script.add([Scripted(Fault.REORDER_CALLBACKS, "place")])
        late, _ = await placed(at, RUPEES)
        at.simulator.script.add([Scripted(Fault.DUPLICATE_CALLBACK, "place")])
        twice, _ = await placed(at, RUPEES)
        keys = [(await inbox.understood(at.vendor)).key for _ in range(3)]
        assert keys == [twice, twice, late]


STAMP = "1700000000000"
TOLD = b'{"type": "airtime_transaction.status", "data": {"transactionId": 7, "status": "FAILED"}}'


@pytest.mark.parametrize(
    ("body", "secret", "stamp"),
    [
        (TOLD, "another", STAMP),
        (TOLD, "", STAMP),
        (TOLD, "signing", ""),
        (TOLD.replace(b"airtime", b"giftcard"), "signing", STAMP),
        (b'{"type": "airtime_transaction.status", "data": {}}', "signing", STAMP),
        (b'{"type": "airtime_transaction.status", "data": [1]}', "signing", STAMP),
        (b"[]", "signing", STAMP),
        (b"\xff", "signing", STAMP),
    ],
)
async def test_a_callback_that_is_not_the_vendors_is_refused(
    stand: Open, body: bytes, secret: str, stamp: str
) -> None:
    at = await open_stand(stand)
    fits = {"x-reloadly-signature": sign("signing", STAMP, TOLD)}
    at.vendor.callback({**fits, "x-reloadly-request-timestamp": STAMP}, TOLD)
    headers = {
        "x-reloadly-signature": sign(secret, stamp, body),
        "x-reloadly-request-timestamp": stamp,
    }
    with pytest.raises(CallbackRefused):
        at.vendor.callback(headers, body)


async def test_without_a_signing_secret_no_callback_is_believed(stand: Open) -> None:
    at = await open_stand(stand)
    vendor = ReloadlyAirtime({}, {**SECRETS, "webhook_secret": ""}, at.wire)
    headers = {
        "x-reloadly-signature": sign("", STAMP, TOLD),
        "x-reloadly-request-timestamp": STAMP,
    }
    with pytest.raises(CallbackRefused):
        vendor.callback(headers, TOLD)
