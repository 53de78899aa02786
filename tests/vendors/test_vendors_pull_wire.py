"""The wires of the encrypted-pull family: tokens, names, values, settings, and what is kept."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from rewards.vendors.adapters.pull_presets import VOUCHAGRAM
from rewards.vendors.adapters.pull_protocol import adapted
from rewards.vendors.adapters.pull_reading import cards_of
from rewards.vendors.cipher import Sealing
from rewards.vendors.model import Accepted, Delivered, Line, Reason, Refused, Unknown
from rewards.vendors.port import VendorRefused
from rewards.vendors.redact import redact_envelope
from rewards.vendors.registry import ADAPTERS
from rewards.vendors.simulators.faults import Fault, Scripted
from rewards.vendors.simulators.pull import PRODUCTS
from rewards.vendors.simulators.vouchagram import VouchagramSimulator
from tests.vendors.conftest import Open, Stand
from tests.vendors.contract import purchase_of
from tests.vendors.pulling import (
    BUYER,
    CBC,
    CODES_SETTINGS,
    GCM_SETTINGS,
    KEY,
    LINE,
    SECRETS,
    book,
    secret_values,
    valuedesign,
    vouchagram,
    voucherkart,
)

OPENINGS = [vouchagram, valuedesign]


async def place(at: Stand, line: Line = LINE) -> Any:
    return await at.vendor.place(at.vendor.key(uuid4()), line)


async def test_a_token_is_renewed_before_its_end(stand: Open) -> None:
    at = await vouchagram(stand)
    tokens, clock = at.vendor._channel._tokens, [0.0]
    tokens._now = lambda: clock[0]
    for minute, fetched in ((0, 1), (25.1, 1), (25.3, 2), (50.3, 2), (50.6, 3)):
        clock[0] = minute * 60
        assert isinstance(await place(at), Delivered)
        assert at.simulator.book.calls["token"] == fetched


@pytest.mark.parametrize("opening", OPENINGS)
async def test_a_token_that_ended_at_the_vendor_is_renewed_and_the_order_placed_once(
    stand: Open, opening: Any
) -> None:
    at = await opening(stand)
    await place(at)
    at.simulator.book.clock.advance(31 * 60)
    assert isinstance(await place(at), Delivered)
    assert at.simulator.book.calls == {"token": 2, "place": 3}
    assert len(at.simulator.book.sales) == 2


@pytest.mark.parametrize("opening", OPENINGS)
async def test_a_killed_token_is_renewed_once_for_all_who_hold_it(
    stand: Open, opening: Any
) -> None:
    at = await opening(stand)
    await place(at)
    at.simulator.kill_tokens()
    outcomes = await asyncio.gather(*(place(at) for _ in range(4)))
    assert all(isinstance(outcome, Delivered) for outcome in outcomes)
    assert at.simulator.book.calls["token"] == 2
    assert len(at.simulator.book.sales) == 5


@pytest.mark.parametrize("opening", OPENINGS)
@pytest.mark.parametrize("fault", [Fault.DROP_AFTER, Fault.ERROR_AFTER, Fault.BAD_CIPHER])
async def test_without_a_token_nothing_was_sent(stand: Open, opening: Any, fault: Fault) -> None:
    at = await opening(stand)
    at.simulator.script.add([Scripted(fault, "token", times=9)])
    outcome = await place(at)
    assert isinstance(outcome, Refused)
    assert outcome.transient
    assert isinstance(await at.vendor.read(purchase_of("k", LINE)), Unknown)
    assert at.simulator.book.calls.keys() == {"token"}
    at.simulator.script.clear()
    assert isinstance(await place(at), Delivered)


@pytest.mark.parametrize("opening", OPENINGS)
async def test_a_token_refused_for_good_is_said_so(stand: Open, opening: Any) -> None:
    at = await opening(stand)
    at.simulator.script.add([Scripted(Fault.IP_DENIED, "token", times=3)])
    outcome = await place(at)
    assert isinstance(outcome, Refused)
    assert outcome.reason is Reason.IP_NOT_ALLOWED
    assert isinstance(await at.vendor.read(purchase_of("k", LINE)), Unknown)
    with pytest.raises(VendorRefused):
        [offer async for offer in at.vendor.catalogue()]
    assert at.simulator.book.calls == {"token": 3}


@pytest.mark.parametrize("opening", OPENINGS)
async def test_a_wrong_password_places_nothing(stand: Open, opening: Any) -> None:
    at = await opening(stand)
    at.simulator.login = type(CBC)("buyer", "changed", CBC.sealing)
    outcome = await place(at)
    assert isinstance(outcome, Refused)
    assert outcome.reason is Reason.BAD_CREDENTIALS
    assert at.simulator.book.calls == {"token": 1}


async def test_another_key_than_the_vendors_places_nothing(stand: Open) -> None:
    simulator = VouchagramSimulator(book(), CBC)
    secrets = {**SECRETS, "key": "K" * 32}
    at = await stand("vouchagram", simulator, {}, secrets, path="/API/v1")
    outcome = await place(at)
    assert isinstance(outcome, Refused)
    assert outcome.transient
    assert at.simulator.book.calls == {"token": 1}


async def test_both_places_of_the_code_the_day_and_the_value_are_read() -> None:
    voucher = {
        "VoucherNo": "191774775",
        "VoucherGCcode": "7041849782660454",
        "VoucherGuid": "0bae3545",
        "EndDate": "31 Dec 2026",
        "Value": "1000.00",
        "Voucherpin": "",
    }
    lone = {**voucher, "VoucherGCcode": "", "Voucherpin": 4711}
    order = {"PullVouchers": [{"Vouchers": [voucher]}, {"Vouchers": [lone]}]}
    both, one = cards_of(order, VOUCHAGRAM, CBC.sealing.open)
    assert both.fields == {
        "card_number": "7041849782660454",
        "code": "191774775",
        "voucher_reference_number": "0bae3545",
    }
    assert one.fields == {
        "card_number": "191774775",
        "pin_code": "4711",
        "voucher_reference_number": "0bae3545",
    }
    assert both.expires_at == datetime(2026, 12, 31, 18, 29, 59, tzinfo=UTC)
    assert (both.face_minor, both.currency) == (100_000, "INR")


@pytest.mark.parametrize(
    ("opening", "settings"),
    [
        (vouchagram, ()),
        (voucherkart, (GCM_SETTINGS,)),
        (voucherkart, (CODES_SETTINGS,)),
        (valuedesign, ()),
    ],
)
async def test_of_an_exchange_only_the_request_and_the_envelope_are_kept(
    stand: Open, opening: Any, settings: tuple[str, ...]
) -> None:
    at = await opening(stand, *settings)
    key = at.vendor.key(uuid4())
    await at.vendor.place(key, LINE)
    await at.vendor.read(purchase_of(key, LINE))
    [offer async for offer in at.vendor.catalogue()]
    for secret in secret_values(at):
        assert secret not in at.kept.text
    [placed] = [one for one in at.kept.exchanges if one.call == "place"]
    request = json.loads(placed.request or "")
    assert (LINE.sku in request.values(), key in request.values()) == (True, True)
    named = {"status", "code", "statuscode", "responseCode", "resultCode"}
    for one in at.kept.exchanges:
        assert json.loads(one.answer or "").keys() <= named
    if opening is valuedesign:
        assert request["email"] == request["mobile_no"] == request["distributor_id"] == "***"
        assert json.loads(placed.answer or "") == {"responseCode": "0", "resultCode": "0"}
    else:
        assert json.loads(placed.answer or "") == {"code": "0000", "status": "success"}


def test_of_an_envelope_only_short_values_that_were_named_are_kept() -> None:
    names = frozenset({"code", "status"})
    body = b'{"code": "0", "status": {"pin": "1234"}, "data": "AAA", "desc": "x"}'
    assert redact_envelope(body, names) == '{"code":"0"}'
    assert redact_envelope(b'{"code": "' + b"9" * 65 + b'"}', names) == "{}"
    assert redact_envelope(b'["code"]', names) == "(8 bytes, no JSON object)"
    assert redact_envelope(b"<html>", names) == "(6 bytes, no JSON object)"


async def test_the_stock_of_a_single_value_is_asked_for(stand: Open) -> None:
    at = await vouchagram(stand)
    await place(at)
    offers = {offer.sku: offer async for offer in at.vendor.catalogue()}
    single, slab, opened = (offers[product.sku] for product in PRODUCTS[:3])
    assert (single.stock, slab.stock, opened.stock) == (496, None, None)
    assert (single.fixed_minor, slab.fixed_minor) == ((100_000,), (50_000, 200_000))
    assert (opened.min_minor, opened.max_minor, opened.fixed_minor) == (100, 1_000_000, ())
    assert at.simulator.book.calls["stock"] == 1


async def test_a_stock_that_is_not_told_leaves_the_catalogue(stand: Open) -> None:
    at = await vouchagram(stand)
    at.simulator.script.add([Scripted(Fault.THROTTLE, "stock")])
    offers = {offer.sku: offer async for offer in at.vendor.catalogue()}
    assert offers.keys() == at.simulator.book.products.keys()
    assert offers[LINE.sku].stock is None


@pytest.mark.parametrize(
    ("fault", "first", "then"),
    [
        (Fault.OUT_OF_STOCK, Reason.OUT_OF_STOCK, None),
        (Fault.NO_BALANCE, Reason.INSUFFICIENT_VENDOR_BALANCE, None),
        (Fault.BAD_CIPHER, Unknown, Delivered),
        (Fault.DROP_AFTER, Unknown, Delivered),
        (Fault.NEVER_READY, Accepted, Accepted),
    ],
)
@pytest.mark.parametrize("opening", OPENINGS)
async def test_a_reserved_product_shows_its_fault(
    stand: Open, opening: Any, fault: Fault, first: Any, then: type | None
) -> None:
    at = await opening(stand)
    [product] = [product for product in PRODUCTS if product.fault is fault]
    line, key = Line(product.sku, 50_050, "INR", 2), at.vendor.key(uuid4())
    outcome = await at.vendor.place(key, line)
    assert getattr(outcome, "reason", type(outcome)) is first
    if then is not None:
        assert type(await at.vendor.read(purchase_of(key, line))) is then


class Raw:
    """A plain client, to see the simulator's own wire."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session, self._url = session, url

    async def post(self, path: str, token: str, body: object) -> Any:
        headers = {"token": token, "Content-Type": "application/json"}
        raw = json.dumps(body).encode()
        async with self._session.post(self._url + path, data=raw, headers=headers) as response:
            assert response.status == 200
            return await response.json()


def opened(sealed: str, sealing: Sealing = CBC.sealing) -> Any:
    return json.loads(sealing.open(sealed))


def sealed(content: object) -> dict[str, Any]:
    return {"payload": CBC.sealing.seal(json.dumps(content).encode())}


async def test_vouchagrams_own_wire(stand: Open) -> None:
    at = await vouchagram(stand)
    async with aiohttp.ClientSession() as session:
        raw = Raw(session, at.url + "/API/v1")
        login = {"username": "buyer", "password": "word"}
        async with session.get(at.url + "/API/v1/gettoken", headers=login) as response:
            envelope = await response.json()
        assert envelope.keys() == {"status", "data", "desc", "code"}
        assert (envelope["status"], envelope["code"]) == ("success", "0000")
        token = CBC.sealing.open(envelope["data"]).decode()
        assert token.count(".") == 2
        asked = {
            "BrandProductCode": LINE.sku,
            "ExternalOrderId": "TEST_1",
            "Quantity": 1,
            "Denomination": "1000",
        }
        envelope = await raw.post("/pullvoucher", token, sealed(asked))
        order = opened(envelope["data"])
        assert (order["ResultType"], order["ErrorCode"]) == ("SUCCESS", "")
        assert order["ExternalOrderIdOut"] == "TEST_1"
        [group] = order["PullVouchers"]
        assert group.keys() == {"Vouchers", "ProductGuid", "ProductName", "VoucherName"}
        [voucher] = group["Vouchers"]
        assert voucher.keys() == {
            *("ProductDenomination", "VoucherNo", "VoucherGuid", "EndDate", "Value"),
            *("Voucherpin", "VoucherGCcode"),
        }
        assert voucher["Value"] == "1000.00"
        assert datetime.strptime(voucher["EndDate"], "%d %b %Y").replace(tzinfo=UTC)
        said = await raw.post(
            "/pullvoucher/checkstatus", token, sealed({"sv_ex_order_id": "TEST_1"})
        )
        again = opened(said["data"])
        assert (again["ResultType"], again["ErrorCode"]) == ("SUCCESS", "1")
        assert again["PullVouchers"] == order["PullVouchers"]
        stock = sealed({"BrandProductCode": LINE.sku, "Denomination": 1000})
        answer = opened((await raw.post("/getstock", token, stock))["data"])
        assert answer == {"AvailableQuantity": "499", "BrandName": "Fixed testing"}
        for body, path, code in [
            (sealed(asked), "/pullvoucher", "ER048"),
            (sealed({**asked, "Quantity": 2}), "/pullvoucher", "ER079"),
            (sealed({**asked, "Quantity": 11}), "/pullvoucher", "ER059"),
            (sealed({**asked, "Quantity": "many"}), "/pullvoucher", "ER022"),
            (sealed({**asked, "Quantity": 0}), "/pullvoucher", "ER023"),
            (sealed({**asked, "ExternalOrderId": ""}), "/pullvoucher", "ER010"),
            ({"payload": "bm8="}, "/pullvoucher", "ER082"),
            (sealed({"sv_ex_order_id": "TEST_2"}), "/pullvoucher/checkstatus", "ER061"),
        ]:
            envelope = await raw.post(path, token, body)
            assert (envelope["code"], envelope["data"]) == (code, "")
        assert (await raw.post("/pullvoucher", "old", sealed(asked)))["code"] == "ER083"
        assert len(at.simulator.book.sales) == 1


async def test_valuedesigns_own_wire(stand: Open) -> None:
    at = await valuedesign(stand)
    async with aiohttp.ClientSession() as session:
        login = {"username": "buyer", "password": "word"}
        url = at.url + "/distributor/api-generatetoken/"
        body = {"distributor_id": BUYER["distributor_id"]}
        async with session.post(url, json=body, headers=login) as response:
            token = CBC.sealing.open((await response.json())["token"]).decode()
        raw = Raw(session, at.url + "/distributor")
        asked = {
            "order_id": "O1",
            "sku_code": LINE.sku,
            "no_of_card": "1",
            "amount": 1000.0,
            "receiptNo": "O1",
            "reqId": "O1",
            "curr": "356",
            "firstname": "A",
            "lastname": "B",
            **body,
        }
        said = await raw.post("/getevc/", token, sealed(asked))
        assert (said["resultCode"], said["responseCode"]) == ("0", "0")
        assert (said["order_id"], said["request_ref_no"]) == ("O1", "O1")
        [group] = opened(said["data"])["brand_details"]
        assert group.keys() == {"product_name", "voucher_name", "items"}
        [item] = group["items"]
        names = {"getCardNo", "getCardPin", "getCardStatus", "getExpiryDate", "balanceTotal"}
        assert names <= item.keys()
        plain = {"order_id": "O1", "request_ref_no": "O1"}
        status = await raw.post("/getevcstatus/", token, plain)
        assert (status["responseCode"], "data" in status) == ("0", False)
        codes = await raw.post("/getactivatedevc/", token, plain)
        assert opened(codes["data"])["brand_details"] == [group]
        wallet = await raw.post("/getwalletbalance/", token, body)
        balance_minor = at.simulator.book.balance_minor
        assert wallet["walletdetails"]["balance"] == f"{balance_minor // 100}.00"
        for path, content, code in [
            ("/getevc/", sealed(asked), "7004"),
            ("/getevc/", sealed({**asked, "no_of_card": 2}), "608"),
            ("/getevc/", sealed({**asked, "no_of_card": 11}), "1107"),
            ("/getevc/", sealed({**asked, "curr": "INR"}), "384"),
            ("/getevc/", {"payload": ""}, "8025"),
            ("/getevcstatus/", {"order_id": "O2", "request_ref_no": "O2"}, "700"),
        ]:
            assert (await raw.post(path, token, content))["responseCode"] == code
        assert len(at.simulator.book.sales) == 1


def test_settings_change_what_they_name() -> None:
    changes = {
        "token": {"header": "Authorization", "prefix": "Bearer ", "lives_s": 60},
        "calls": {"place": {"path": "/orders"}},
        "order": {"date_formats": ["%d.%m.%Y"]},
        "rules": [{"code": "ER048", "text": "busy", "verdict": "IN_PROCESS"}],
    }
    protocol = adapted(VOUCHAGRAM, json.dumps(changes))
    assert (protocol.token.header, protocol.token.path) == ("Authorization", "/gettoken")
    assert protocol.calls.place.path == "/orders"
    assert protocol.calls.place.body == VOUCHAGRAM.calls.place.body
    assert protocol.order.date_formats == ("%d.%m.%Y",)
    assert protocol.verdict("ER048", "BUSY with it") == "IN_PROCESS"
    assert protocol.verdict("ER048", "") == "DUPLICATE"
    assert protocol.verdict("ER061", "") == "NOT_KNOWN"
    assert adapted(VOUCHAGRAM, "{}") == adapted(VOUCHAGRAM, "") == VOUCHAGRAM


@pytest.mark.parametrize(
    "changes",
    [
        "[]",
        "nonsense",
        '{"tokens": {}}',
        '{"token": {"lives_s": "long"}}',
        '{"rules": {}}',
        '{"rules": [{"code": "1", "verdict": "WHATEVER"}]}',
        '{"calls": {"place": {"body": {"a": "pin"}}}}',
        '{"cipher": "rot13"}',
        '{"currency": "XXX"}',
        '{"calls": {"place": {"body": {"a": "@not_configured"}}}}',
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: str) -> None:
    wire: Any = None
    with pytest.raises(ValueError):
        ADAPTERS["vouchagram"].build({"settings": changes}, SECRETS, wire)


@pytest.mark.parametrize(
    "secrets", [{"key": "short"}, {"iv": ""}, {"username": "two\nlines"}, {"iv": KEY}]
)
def test_secrets_that_make_no_sense_are_refused_and_not_quoted(secrets: dict[str, str]) -> None:
    wire: Any = None
    with pytest.raises(ValueError) as told:
        ADAPTERS["vouchagram"].build({}, {**SECRETS, **secrets}, wire)
    assert not any(value in str(told.value) for value in secrets.values() if value)
