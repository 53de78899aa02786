"""EZ PIN: the contract, and each quirk of its wire from both sides."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from rewards.vendors.adapters import ezpin_wire
from rewards.vendors.model import (
    Accepted,
    CallbackRefused,
    Delivered,
    Line,
    NotKnown,
    Outcome,
    Reason,
    Refused,
    Unknown,
)
from rewards.vendors.port import VendorRefused
from rewards.vendors.simulators.book import Book, SimClock, SimProduct
from rewards.vendors.simulators.ezpin import BASE, PRODUCTS, EzPinSimulator
from rewards.vendors.simulators.faults import Fault, Scripted
from rewards.vendors.wire import Answer
from tests.vendors.conftest import Open, Stand, now
from tests.vendors.contract import TokenContract, purchase_of

LINE = Line("EZ-20", 2_000, "USD", 4)
SECRETS = {"client_id": "client", "secret_key": "very-secret"}


async def stood(stand: Open, expires_in_ms: bool = True, **more: Any) -> Stand:
    book = Book(SimClock(now), more.get("products", PRODUCTS))
    simulator = EzPinSimulator(book, "client", "very-secret", expires_in_ms=expires_in_ms)
    secrets = SECRETS | more.get("secrets", {})
    return await stand("ezpin", simulator, more.get("config", {}), secrets, path=BASE)


class TestEzPin(TokenContract):
    line = LINE
    unsayable = (Line("EZ-20", 2_000, "XXX", 1),)
    # Its orders are delivered whole or not at all.
    skips = frozenset({Fault.PARTIAL})
    refusals = tuple((400, {"detail": "No.", "code": number}) for number in ezpin_wire.REASONS)

    async def open(self, stand: Open) -> Stand:
        return await stood(stand)


async def raw(
    at: Stand, method: str, path: str, body: object = None, token: str = ""
) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    data = None if body is None else json.dumps(body)
    async with aiohttp.ClientSession(headers=headers) as session:
        url = at.url + BASE + path
        async with session.request(method, url, data=data) as response:
            return response.status, json.loads(await response.text())


async def signed_in(at: Stand) -> str:
    _, content = await raw(at, "POST", "/auth/token/", SECRETS)
    return str(content["access"])


def asked(key: str, **changed: Any) -> dict[str, Any]:
    return {
        "sku": "EZ-20",
        "quantity": 2,
        "pre_order": False,
        "price": 20,
        "delivery_type": 0,
        "destination": "",
        "reference_code": key,
        **changed,
    }


@pytest.mark.parametrize(("in_ms", "expire"), [(True, 600_000), (False, 600)])
async def test_a_token_tells_its_life_in_either_unit(stand: Open, in_ms: bool, expire: int) -> None:
    at = await stood(stand, in_ms)
    status, content = await raw(at, "POST", "/auth/token/", SECRETS)
    assert (status, content["expire"]) == (200, expire)
    assert ezpin_wire.lives_s(expire) == 600
    assert (await raw(at, "GET", "/balance/", token=content["access"]))[0] == 200
    at.simulator.book.clock.advance(600)
    assert (await raw(at, "GET", "/balance/", token=content["access"]))[0] == 401
    assert (await raw(at, "POST", "/auth/token/", SECRETS | {"secret_key": "x"}))[0] == 400


@pytest.mark.parametrize(
    ("expire", "lives_s"),
    [(3_600, 3_600), (3_600_000, 3_600), (60_000, 60), (86_400, 86), (10**12, 3_600), (30, 30)],
)
def test_the_shorter_life_that_makes_sense_is_taken(expire: int, lives_s: int) -> None:
    assert ezpin_wire.lives_s(expire) == lives_s


async def test_an_order_shows_the_documented_fields_and_cards_come_by_their_own_call(
    stand: Open,
) -> None:
    at, key = await stood(stand), str(uuid4())
    at.simulator.book.delay_s = 60
    token = await signed_in(at)
    status, order = await raw(at, "POST", "/orders/", asked(key), token)
    assert (status, order["status"], order["is_completed"]) == (201, 0, False)
    told = (
        "order_id delivery_type destination status status_text created_time terminal_id share_link "
        "reference_code product count total_face_value total_fees total_discounts "
        "total_customer_cost is_completed"
    )
    assert order.keys() == set(told.split())
    status, refused = await raw(at, "GET", f"/orders/{key}/cards/", token=token)
    assert (status, refused["code"]) == (400, 609)
    at.simulator.book.clock.advance(60)
    _, order = await raw(at, "GET", f"/orders/{key}/", token=token)
    assert (order["status"], order["is_completed"], order["count"]) == (1, True, 2)
    _, content = await raw(at, "GET", f"/orders/{key}/cards/", token=token)
    told = "card_number pin_code claim_url"
    assert [card.keys() for card in content["results"]] == [set(told.split())] * 2


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"sku": "none"}, 602),
        ({"price": 21}, 605),
        ({"price": 20.001}, 605),
        ({"quantity": 11}, 624),
        ({"reference_code": "7"}, None),
    ],
)
async def test_refusals_on_the_wire(stand: Open, changed: dict[str, Any], code: object) -> None:
    at = await stood(stand)
    token = await signed_in(at)
    status, content = await raw(at, "POST", "/orders/", asked(str(uuid4()), **changed), token)
    assert (status, content.get("code")) == (400, code)
    assert at.simulator.book.sales == {}


async def test_a_known_reference_and_an_unknown_one_on_the_wire(stand: Open) -> None:
    at, key = await stood(stand), str(uuid4())
    token = await signed_in(at)
    assert (await raw(at, "POST", "/orders/", asked(key), token))[0] == 201
    assert (await raw(at, "POST", "/orders/", asked(key), token))[1]["code"] == 618
    assert (await raw(at, "POST", "/orders/", asked(key)))[0] == 401
    gone = await raw(at, "GET", f"/orders/{uuid4()}/", token=token)
    assert gone == (404, {"detail": "Not found."})
    assert len(at.simulator.book.sales) == 1


async def test_what_the_adapter_sends_is_the_documented_body(stand: Open) -> None:
    at = await stood(stand, config={"terminal_id": "T1"}, secrets={"terminal_pin": "9876"})
    key = at.vendor.key(uuid4())
    await at.vendor.place(key, Line("EZ-ANY", 1_050, "USD", 2))
    exchange = at.kept.exchanges[-1]
    body = asked(key, sku="EZ-ANY", price=10.5, terminal_id="T1")
    masked = {"destination": "***", "terminal_pin": "***", "pre_order": False}
    assert exchange.path == f"{BASE}/orders/"
    assert json.loads(exchange.request or "") == body | masked


async def test_no_secret_and_no_token_is_kept(stand: Open) -> None:
    at = await stood(stand)
    await at.vendor.balances()
    token = at.vendor._tokens._held.text
    assert [exchange.call for exchange in at.kept.exchanges] == ["token", "balance"]
    assert token not in at.kept.text
    assert "very-secret" not in at.kept.text


async def test_an_ended_token_is_renewed(stand: Open) -> None:
    at = await stood(stand)
    await at.vendor.balances()
    at.simulator.book.clock.advance(601)
    assert await at.vendor.balances()
    assert at.simulator.book.calls["token"] == 2


async def test_wrong_credentials_are_a_clear_no(stand: Open) -> None:
    at = await stood(stand, secrets={"secret_key": "old"})
    key = at.vendor.key(uuid4())
    refused = await at.vendor.place(key, LINE)
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.BAD_CREDENTIALS
    assert isinstance(await at.vendor.read(purchase_of(key, LINE)), Unknown)
    with pytest.raises(VendorRefused):
        await at.vendor.balances()
    assert at.simulator.book.calls["place"] == 0


async def test_cards_have_our_names_and_the_value_the_order_tells(stand: Open) -> None:
    at = await stood(stand)
    key = at.vendor.key(uuid4())
    await at.vendor.place(key, LINE)
    done = await at.vendor.read(purchase_of(key, LINE))
    [sale] = at.simulator.book.sales.values()
    assert isinstance(done, Delivered)
    assert done.cost is None
    assert [card.fields for card in done.cards] == [
        {"card_number": card.code, "pin_code": card.pin} for card in sale.cards
    ]
    assert {(card.face_minor, card.currency) for card in done.cards} == {(2_000, "USD")}


@pytest.mark.parametrize(
    ("fault", "count", "face_minor"),
    [(Fault.WRONG_VALUE, 4, 2_500), (Fault.WRONG_COUNT, 5, 2_000)],
)
async def test_what_was_not_bought_is_told_as_it_came(
    stand: Open, fault: Fault, count: int, face_minor: int
) -> None:
    at = await stood(stand)
    at.simulator.script.add([Scripted(fault, "place")])
    key = at.vendor.key(uuid4())
    await at.vendor.place(key, LINE)
    done = await at.vendor.read(purchase_of(key, LINE))
    assert isinstance(done, Delivered)
    assert [card.face_minor for card in done.cards] == [face_minor] * count


async def test_reads_every_page_and_leaves_out_what_is_no_currency(stand: Open) -> None:
    products = [SimProduct(f"P{n}", "Card", "USD", 100, 200) for n in range(201)]
    at = await stood(stand, products=products)
    at.simulator.page_max = 90
    offers = [offer async for offer in at.vendor.catalogue()]
    assert [offer.sku for offer in offers] == [product.sku for product in products]
    assert at.simulator.book.calls["catalogue"] == 3
    row = {"sku": "x", "title": "x", "min_price": "1.50", "max_price": 2}
    known = row | {"currency": {"code": "USD"}}
    [offer] = ezpin_wire.offers([known, row | {"currency": {"code": "USDT"}}])
    assert (offer.min_minor, offer.max_minor, offer.fixed_minor) == (150, 200, ())


async def test_callbacks_are_not_taken(stand: Open) -> None:
    at = await stood(stand)
    with pytest.raises(CallbackRefused):
        at.vendor.callback({}, b"{}")


def answered(content: object, status: int = 200) -> Answer:
    return Answer(status, {}, json.dumps(content).encode())


def order_of(key: str, **changed: Any) -> Mapping[str, Any]:
    known = {"reference_code": key, "order_id": 7, "status": 1, "is_completed": True, "count": 4}
    return known | {"total_face_value": "80.00"} | changed


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({}, ezpin_wire.Ready),
        ({"is_completed": False}, Accepted),
        ({"status": 0, "is_completed": False}, Accepted),
        ({"status": 0}, Accepted),
        ({"status": -1}, Refused),
        ({"status": 2}, Unknown),
        ({"reference_code": str(uuid4())}, Unknown),
    ],
)
def test_what_an_order_status_means(changed: dict[str, Any], kind: type) -> None:
    key = str(uuid4())
    assert isinstance(ezpin_wire.order(key, answered(order_of(key, **changed))), kind)
    placed = ezpin_wire.placed(key, answered(order_of(key, **changed), 201))
    assert isinstance(placed, Accepted if kind is ezpin_wire.Ready else kind)


def test_placing_is_refused_only_by_codes_that_are_known() -> None:
    key = str(uuid4())
    for code, reason in ezpin_wire.REASONS.items():
        for told in (code, str(code)):
            refused = ezpin_wire.placed(key, answered({"detail": "no", "code": told}, 400))
            assert isinstance(refused, Refused)
            assert refused.reason is reason
    for content in ({"code": 606}, {"code": 618}, {"detail": "no"}, {"code": None}, [], "no"):
        assert isinstance(ezpin_wire.placed(key, answered(content, 400)), Unknown)
    assert isinstance(ezpin_wire.placed(key, Answer(400, {}, b"<html>")), Unknown)


def test_an_order_is_not_known_only_in_the_vendors_words() -> None:
    key = str(uuid4())
    assert isinstance(ezpin_wire.order(key, answered({"detail": "Not found."}, 404)), NotKnown)
    assert isinstance(ezpin_wire.order(key, answered({}, 404)), Unknown)


@pytest.mark.parametrize(
    ("content", "status", "kind"),
    [
        ({"results": [{"card_number": "c"}] * 4}, 200, Delivered),
        ({"results": [{"claim_url": "https://c.example/1"}] * 4}, 200, Delivered),
        ({"results": [{"card_number": "c"}] * 3}, 200, Unknown),
        ({"results": []}, 200, Unknown),
        ({"detail": "order not ready", "code": 609}, 400, Accepted),
        ({"detail": "pending", "code": "606"}, 400, Accepted),
        ({"detail": "not allowed", "code": 600}, 400, Unknown),
        ({"detail": "Not found."}, 404, Unknown),
    ],
)
def test_what_the_cards_call_means(content: object, status: int, kind: type[Outcome]) -> None:
    ready = ezpin_wire.Ready("7", "80.00", 4)
    assert isinstance(ezpin_wire.cards(ready, LINE, answered(content, status)), kind)


async def test_a_reserved_product_brings_its_fault(stand: Open) -> None:
    at = await stood(stand)
    refused = await at.vendor.place(at.vendor.key(uuid4()), Line("EZ-NO_BALANCE", 500, "USD", 1))
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.INSUFFICIENT_VENDOR_BALANCE
