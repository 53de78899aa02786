"""What each word of an encrypted-pull vendor means, and what no word of theirs may do."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from rewards.vendors.adapters.pull_presets import VALUEDESIGN, VOUCHAGRAM
from rewards.vendors.adapters.pull_protocol import (
    DUPLICATE,
    IN_PROCESS,
    NOT_KNOWN,
    OTHER_BODY,
    TOKEN,
    UNCLEAR,
    Protocol,
)
from rewards.vendors.model import (
    Accepted,
    Delivered,
    Line,
    NotKnown,
    Reason,
    Refused,
    Unknown,
)
from rewards.vendors.port import VendorRefused
from rewards.vendors.simulators.book import Sale
from rewards.vendors.simulators.faults import Fault, Scripted
from rewards.vendors.simulators.vouchagram import VouchagramSimulator
from rewards.vendors.wire import NoAnswer
from tests.vendors.conftest import Open, Stand
from tests.vendors.contract import purchase_of
from tests.vendors.pulling import (
    CBC,
    CODES_SETTINGS,
    GCM_SETTINGS,
    LINE,
    book,
    valuedesign,
    vouchagram,
    voucherkart,
)


class Saying(VouchagramSimulator):
    """Answers every pull and status with this envelope, or sells and changes the order by this.

    What it is changed to be None is left out.
    """

    envelope: Mapping[str, Any] | None = None
    http_status = 200
    changed: Mapping[str, Any] = {}
    voucher: Mapping[str, Any] = {}

    async def pull(self, request: web.Request) -> web.Response:
        if self.envelope is None:
            return await super().pull(request)
        return web.json_response(self.envelope, status=self.http_status)

    async def status(self, request: web.Request) -> web.Response:
        if self.envelope is None:
            return await super().status(request)
        return web.json_response(self.envelope, status=self.http_status)

    def _order(self, request: web.Request, sale: Sale, error_code: str) -> dict[str, object]:
        changed = {**super()._order(request, sale, error_code), **self.changed}
        order: Any = {name: value for name, value in changed.items() if value is not None}
        for group in order["PullVouchers"]:
            group["Vouchers"] = [{**voucher, **self.voucher} for voucher in group["Vouchers"]]
        return order


async def saying(
    stand: Open, code: str | int | None, desc: str = "", http_status: int = 200
) -> Stand:
    simulator = Saying(book(), CBC)
    simulator.envelope = {"status": "error", "data": "", "desc": desc, "code": code}
    simulator.http_status = http_status
    return await vouchagram(stand, simulator)


@pytest.mark.parametrize(
    ("protocol", "code", "text", "verdict"),
    [
        (VOUCHAGRAM, "EROIP", "Order/request already in process", IN_PROCESS),
        (VOUCHAGRAM, "1048", "Error encountered while processing", UNCLEAR),
        (VOUCHAGRAM, "1051", "timeout", UNCLEAR),
        (VOUCHAGRAM, "ER048", "", DUPLICATE),
        (VOUCHAGRAM, "ER079", "", OTHER_BODY),
        (VOUCHAGRAM, "ER031", "No data", NOT_KNOWN),
        (VOUCHAGRAM, "ER061", "External Order ID not exists", NOT_KNOWN),
        (VOUCHAGRAM, "ER083", "Invalid token", TOKEN),
        (VOUCHAGRAM, "ER082", "Error in decrypt data", UNCLEAR),
        (VOUCHAGRAM, "ER1012", "Insufficient Balance", Reason.INSUFFICIENT_VENDOR_BALANCE),
        (VOUCHAGRAM, "ER1011", "Error encountered. Please try again later", UNCLEAR),
        (VOUCHAGRAM, "ER1057", "not available for the period", Reason.OUT_OF_STOCK),
        (VOUCHAGRAM, "ER9999", "never heard of", UNCLEAR),
        (VOUCHAGRAM, None, None, UNCLEAR),
        (VALUEDESIGN, "1105", "Your order status is processing", IN_PROCESS),
        (VALUEDESIGN, 1105, "", IN_PROCESS),
        (VALUEDESIGN, "1105", "Invalid Request", UNCLEAR),
        (VALUEDESIGN, "8024", "Cannot Encrypt String", UNCLEAR),
        (VALUEDESIGN, "7004", "Duplicate Order ID", DUPLICATE),
        (VALUEDESIGN, "700", "Order Id no matching", NOT_KNOWN),
        (VALUEDESIGN, "503", "exceeds balance", Reason.INSUFFICIENT_VENDOR_BALANCE),
        (VALUEDESIGN, "-1", "Please Check Card Pools", Reason.OUT_OF_STOCK),
    ],
)
def test_codes_are_read_together_with_their_text(
    protocol: Protocol, code: object, text: object, verdict: str
) -> None:
    assert protocol.verdict(code, text) == verdict


@pytest.mark.parametrize(
    ("code", "desc", "placed", "read"),
    [
        ("EROIP", "in process", Accepted, Accepted),
        ("1048", "processing error", Unknown, Unknown),
        ("1051", "timeout", Unknown, Unknown),
        ("ER048", "duplicate", Unknown, Unknown),
        ("ER061", "not exists", Unknown, NotKnown),
        ("ER031", "no data", Unknown, NotKnown),
        ("ER082", "decrypt", Unknown, Unknown),
        ("ER1011", "try again later", Unknown, Unknown),
        ("ER4711", "news", Unknown, Unknown),
        (4711, "news", Unknown, Unknown),
        ("0000", "done, and nothing is there", Unknown, Unknown),
        (None, "no code at all", Unknown, Unknown),
        ("ER047", "none left", Refused, Unknown),
        ("ER032", "inactive product", Refused, Unknown),
        ("ER057", "IP", Refused, Unknown),
        ("ER025", "inactive client", Refused, Unknown),
    ],
)
async def test_only_an_explicit_no_is_a_refusal(
    stand: Open, code: Any, desc: str, placed: type, read: type
) -> None:
    at = await saying(stand, code, desc)
    key = at.vendor.key(uuid4())
    assert type(await at.vendor.place(key, LINE)) is placed
    assert type(await at.vendor.read(purchase_of(key, LINE))) is read


@pytest.mark.parametrize(
    ("http_status", "code", "placed"),
    [(400, "ER047", Refused), (400, "0000", Unknown), (403, None, Unknown), (409, "x", Unknown)],
)
async def test_the_status_of_http_turns_no_word_into_another(
    stand: Open, http_status: int, code: str | None, placed: type
) -> None:
    at = await saying(stand, code, "", http_status)
    assert type(await at.vendor.place(at.vendor.key(uuid4()), LINE)) is placed


async def test_a_used_key_is_unknown_and_then_read(stand: Open) -> None:
    at = await vouchagram(stand)
    key = at.vendor.key(uuid4())
    await at.vendor.place(key, LINE)
    again = await at.vendor.place(key, LINE)
    assert isinstance(again, Unknown)
    assert "ER048" in again.why
    assert isinstance(await at.vendor.read(purchase_of(key, LINE)), Delivered)


@pytest.mark.parametrize("opening", [vouchagram, valuedesign])
async def test_another_request_under_a_used_key_raises_an_alarm(stand: Open, opening: Any) -> None:
    at = await opening(stand)
    key = at.vendor.key(uuid4())
    await at.vendor.place(key, LINE)
    with capture_logs() as logs:
        other = await at.vendor.place(key, Line(LINE.sku, LINE.face_minor, "INR", 1))
    assert isinstance(other, Unknown)
    assert "somebody has to look into it" in other.why
    assert [(one["event"], one["log_level"]) for one in logs] == [("vendor_key_mismatch", "error")]
    assert [sale.quantity for sale in at.simulator.book.sales.values()] == [LINE.quantity]


@pytest.mark.parametrize("opening", [vouchagram, valuedesign])
async def test_an_order_in_process_is_accepted_until_it_is_done(stand: Open, opening: Any) -> None:
    at = await opening(stand)
    at.simulator.book.delay_s = 60
    key = at.vendor.key(uuid4())
    first = await at.vendor.place(key, LINE)
    assert isinstance(first, Accepted)
    purchase = purchase_of(key, LINE, first.vendor_ref)
    assert isinstance(await at.vendor.read(purchase), Accepted)
    at.simulator.book.clock.advance(61)
    assert isinstance(await at.vendor.read(purchase), Delivered)


SEALED = [
    (vouchagram, ()),
    (voucherkart, (GCM_SETTINGS,)),
    (voucherkart, (CODES_SETTINGS,)),
    (valuedesign, ()),
]


@pytest.mark.parametrize(("opening", "settings"), SEALED)
async def test_an_answer_that_does_not_open_is_unknown_and_read_again(
    stand: Open, opening: Any, settings: tuple[str, ...]
) -> None:
    at = await opening(stand, *settings)
    key = at.vendor.key(uuid4())
    at.simulator.script.add([Scripted(Fault.BAD_CIPHER, "place")])
    assert isinstance(await at.vendor.place(key, LINE), Unknown)
    bringing = "codes" if opening is valuedesign else "status"
    at.simulator.script.add([Scripted(Fault.BAD_CIPHER, bringing)])
    assert isinstance(await at.vendor.read(purchase_of(key, LINE)), Unknown)
    done = await at.vendor.read(purchase_of(key, LINE))
    assert isinstance(done, Delivered)
    assert [len(sale.cards) for sale in at.simulator.book.sales.values()] == [len(done.cards)]


async def test_a_catalogue_that_does_not_open_is_no_answer(stand: Open) -> None:
    at = await vouchagram(stand)
    at.simulator.script.add([Scripted(Fault.BAD_CIPHER, "catalogue")])
    with pytest.raises(NoAnswer):
        [offer async for offer in at.vendor.catalogue()]


@pytest.mark.parametrize(
    ("changed", "voucher"),
    [
        ({"ExternalOrderIdOut": "another"}, {}),
        ({"PullVouchers": []}, {}),
        ({}, {"Value": "a thousand"}),
        ({}, {"Value": "1000.005"}),
        ({}, {"Value": True}),
        ({}, {"EndDate": "31st of June"}),
        ({}, {"VoucherNo": "", "VoucherGCcode": None}),
        ({}, {"VoucherGCcode": {"a": "b"}}),
    ],
)
async def test_an_order_that_makes_no_sense_is_unknown(
    stand: Open, changed: Mapping[str, Any], voucher: Mapping[str, Any]
) -> None:
    simulator = Saying(book(), CBC)
    simulator.changed, simulator.voucher = changed, voucher
    at = await vouchagram(stand, simulator)
    key = at.vendor.key(uuid4())
    assert isinstance(await at.vendor.place(key, LINE), Unknown)
    assert isinstance(await at.vendor.read(purchase_of(key, LINE)), Unknown)


@pytest.mark.parametrize(
    ("changed", "read"),
    [
        ({}, Refused),
        # Of our order, and about us or about nothing that is known.
        ({"ErrorCode": "ER025"}, Unknown),
        ({"ErrorCode": "ER9999"}, Unknown),
        ({"ErrorCode": "EROIP"}, Accepted),
        ({"ErrorCode": "ER061"}, NotKnown),
        # Of no order, of another, and neither success nor failure.
        ({"ExternalOrderIdOut": None}, Unknown),
        ({"ExternalOrderIdOut": ""}, Unknown),
        ({"ExternalOrderIdOut": "another"}, Unknown),
        ({"ExternalOrderIdOut": "another", "ErrorCode": "ER061"}, Unknown),
        ({"ResultType": "ERROR"}, Unknown),
        ({"ResultType": None}, Unknown),
    ],
)
async def test_only_our_own_order_that_failed_is_refused_when_read(
    stand: Open, changed: Mapping[str, Any], read: type
) -> None:
    simulator = Saying(book(), CBC)
    failed = {"ResultType": "FAILED", "ErrorCode": "ER1006", "PullVouchers": []}
    simulator.changed = {**failed, **changed}
    at = await vouchagram(stand, simulator)
    key = at.vendor.key(uuid4())
    await at.vendor.place(key, LINE)
    assert type(await at.vendor.read(purchase_of(key, LINE))) is read


@pytest.mark.parametrize(("settings", "read"), [("{}", Unknown), ('{"final": ["-1"]}', Refused)])
async def test_which_codes_of_an_envelope_are_final_is_said_by_the_account(
    stand: Open, settings: str, read: type
) -> None:
    at = await valuedesign(stand, settings)
    at.simulator.book.delay_s = 20
    at.simulator.script.add([Scripted(Fault.LATE_FAILURE, "place")])
    key = at.vendor.key(uuid4())
    await at.vendor.place(key, LINE)
    at.simulator.book.clock.advance(30)
    assert type(await at.vendor.read(purchase_of(key, LINE))) is read


@pytest.mark.parametrize("result", ["FAILED", "success", "", None])
async def test_success_is_what_the_result_type_says(stand: Open, result: str | None) -> None:
    simulator = Saying(book(), CBC)
    simulator.changed = {"ResultType": result, "ErrorCode": "0000"}
    at = await vouchagram(stand, simulator)
    assert isinstance(await at.vendor.place(at.vendor.key(uuid4()), LINE), Unknown)


async def test_too_few_vouchers_are_not_all_that_was_sold(stand: Open) -> None:
    at = await vouchagram(stand)
    key = at.vendor.key(uuid4())
    at.simulator.script.add([Scripted(Fault.PARTIAL, "place")])
    for outcome in (
        await at.vendor.place(key, LINE),
        await at.vendor.read(purchase_of(key, LINE)),
    ):
        assert isinstance(outcome, Unknown)
        assert outcome.why == "2 vouchers came, 4 were ordered"


async def test_an_error_code_beside_success_is_success(stand: Open) -> None:
    simulator = Saying(book(), CBC)
    simulator.changed = {"ErrorCode": "ER047", "ErrorMessage": "none left"}
    at = await vouchagram(stand, simulator)
    assert isinstance(await at.vendor.place(at.vendor.key(uuid4()), LINE), Delivered)


@pytest.mark.parametrize("quantity", [0, 11])
async def test_more_than_ten_at_once_are_not_asked_for(stand: Open, quantity: int) -> None:
    at = await vouchagram(stand)
    assert at.vendor.capabilities.quantity_max == 10
    outcome = await at.vendor.place(
        at.vendor.key(uuid4()), Line(LINE.sku, LINE.face_minor, "INR", quantity)
    )
    assert isinstance(outcome, Refused)
    assert outcome.reason is Reason.LIMIT_EXCEEDED
    assert not at.simulator.book.calls
    assert not at.kept.exchanges


async def test_what_it_does_not_tell_is_said(stand: Open) -> None:
    at = await vouchagram(stand)
    assert not at.vendor.capabilities.balance
    assert not at.vendor.capabilities.verified
    with pytest.raises(VendorRefused):
        await at.vendor.balances()
