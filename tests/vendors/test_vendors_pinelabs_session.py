"""Woohoo's door: signatures to the byte, tokens that are renewed, die, and are fetched once."""

import asyncio
import json
import string
from datetime import timedelta
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.vendors.adapters.pinelabs import PineLabsVendor
from rewards.vendors.adapters.pinelabs_session import Session, encode, sign, sorted_json
from rewards.vendors.model import Delivered, Reason, Refused, Unknown
from rewards.vendors.port import VendorRefused
from rewards.vendors.simulators.book import Book, SimClock
from rewards.vendors.simulators.faults import Fault, Scripted
from rewards.vendors.simulators.pinelabs import PineLabsSimulator
from rewards.vendors.simulators.pinelabs_gate import escape, resorted
from tests.vendors.conftest import Open, Stand, now
from tests.vendors.contract import purchase_of
from tests.vendors.test_vendors_pinelabs import CONFIG, PRODUCTS, SECRETS, SMALL, opened

HOST = "https://sandbox.example.test"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
TREES = st.recursive(
    TEXTS | st.integers(-(2**53), 2**53) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)


def test_the_signature_of_a_get() -> None:
    url = f"{HOST}/rest/v3/catalog/categories/121/products?limit=10&offset=0"
    assert sign("test-secret", "GET", url) == (
        "507e68bb8365b1f26f21dbc99ed5cdc9d76c585ce9ffd942be2cc2172f217738"
        "bb66174b4470bbfbfe8b4f77ecd27f4c8cc55c82817434b6a0a9f8565e69b1ca"
    )


def test_the_signature_of_a_post() -> None:
    body = {
        "refno": "T1",
        "products": [{"sku": "CNPIN", "price": 10, "qty": 1, "currency": 356}],
        "syncOnly": True,
    }
    raw = sorted_json(body)
    assert raw == (
        b'{"products":[{"currency":356,"price":10,"qty":1,"sku":"CNPIN"}],'
        b'"refno":"T1","syncOnly":true}'
    )
    assert sign("test-secret", "POST", f"{HOST}/rest/v3/orders", raw) == (
        "a05e0afcb0611d0e232d6fe8a78ccd4b1116c8b410254840c8272ab4393e6d21"
        "e7239cbc304118a1122b7afd641d39c2825c7ad838173c5d65d35d81feb1bce2"
    )


def test_what_runtimes_differ_in_is_written_as_rfc_3986_says() -> None:
    assert encode("!'()*~ +/é") == "%21%27%28%29%2A~%20%2B%2F%C3%A9"


@given(TEXTS)
def test_only_unreserved_letters_stay_and_nothing_is_lost(text: str) -> None:
    coded = encode(text)
    assert set(coded) <= set(string.ascii_letters + string.digits + "-._~%")
    assert unquote(coded, errors="strict") == text
    assert coded == escape(text), "as the other side writes it"


@given(st.dictionaries(TEXTS, TREES, max_size=4))
def test_the_bytes_sent_are_the_ones_the_other_side_sorts_them_to(tree: dict[str, Any]) -> None:
    raw = sorted_json(tree)
    assert json.loads(raw) == tree
    assert resorted(json.dumps(tree).encode()) == raw.decode()


def calls(at: Stand) -> tuple[int, int]:
    counted = at.simulator.book.calls
    return counted["verify"], counted["token"]


@pytest.mark.parametrize("as_text", [True, False])
async def test_a_killed_token_is_replaced_once_and_the_order_placed_once(
    stand: Open, as_text: bool
) -> None:
    at = await opened(stand, as_text=as_text)
    await at.vendor.balances()
    simulator: Any = at.simulator
    simulator.gate.kill_tokens()
    placed = await asyncio.gather(
        *(at.vendor.place(at.vendor.key(uuid4()), SMALL) for _ in range(4))
    )
    assert all(isinstance(one, Delivered) for one in placed)
    assert calls(at) == (2, 2)
    assert len(at.simulator.book.sales) == 4


async def test_a_token_is_renewed_at_six_days_before_it_dies_at_seven(stand: Open) -> None:
    at = await opened(stand)
    clock = at.simulator.book.clock
    account, wire = at.vendor._session._account, at.vendor._session._wire
    session = Session(account, wire, clock, now=lambda: clock.now().timestamp())
    vendor = PineLabsVendor(CONFIG, session)
    await vendor.balances()
    clock.advance(timedelta(days=6).total_seconds() - 60)
    await vendor.balances()
    assert calls(at) == (1, 1)
    clock.advance(61)
    await vendor.balances()
    assert calls(at) == (2, 2)
    assert at.simulator.book.calls["balance"] == 3, "none was rejected"


@pytest.mark.parametrize("step", ["verify", "token"])
@pytest.mark.parametrize(
    "fault", [Fault.DROP_BEFORE, Fault.DROP_AFTER, Fault.ERROR_AFTER, Fault.HTML, Fault.THROTTLE]
)
async def test_trouble_while_signing_in_means_that_nothing_was_sent(
    stand: Open, step: str, fault: Fault
) -> None:
    at = await opened(stand)
    key = at.vendor.key(uuid4())
    at.simulator.script.add([Scripted(fault, step)])
    refused = await at.vendor.place(key, SMALL)
    assert isinstance(refused, Refused)
    assert refused.transient
    assert at.simulator.book.calls["place"] == 0
    assert isinstance(await at.vendor.place(key, SMALL), Delivered)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"password": "wrong"}, Reason.BAD_CREDENTIALS),
        ({"client_secret": "wrong"}, Reason.BAD_CREDENTIALS),
    ],
)
async def test_wrong_credentials_are_a_clear_no(
    stand: Open, wrong: dict[str, str], reason: Reason
) -> None:
    book = Book(SimClock(now), PRODUCTS)
    at = await stand("pinelabs", PineLabsSimulator(book), CONFIG, {**SECRETS, **wrong})
    key = at.vendor.key(uuid4())
    refused = await at.vendor.place(key, SMALL)
    assert isinstance(refused, Refused)
    assert refused.reason is reason
    assert book.calls["place"] == 0
    assert isinstance(await at.vendor.read(purchase_of(key, SMALL)), Unknown)
    with pytest.raises(VendorRefused):
        await at.vendor.balances()


async def test_an_address_that_is_not_allowed_is_told_apart(stand: Open) -> None:
    at = await opened(stand)
    at.simulator.script.add([Scripted(Fault.IP_DENIED, "verify")])
    refused = await at.vendor.place(at.vendor.key(uuid4()), SMALL)
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.IP_NOT_ALLOWED
    await at.vendor.balances()
    at.simulator.script.add([Scripted(Fault.IP_DENIED, "place")])
    refused = await at.vendor.place(at.vendor.key(uuid4()), SMALL)
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.IP_NOT_ALLOWED
    assert not at.simulator.book.sales


async def test_a_bad_signature_is_told_apart_and_buys_nothing(stand: Open) -> None:
    at = await opened(stand)
    await at.vendor.balances()
    simulator: Any = at.simulator
    simulator.gate.partner = type(simulator.gate.partner)(client_secret="rotated")
    refused = await at.vendor.place(at.vendor.key(uuid4()), SMALL)
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.SIGNATURE_BAD
    assert not at.simulator.book.sales


async def test_neither_secrets_nor_tokens_nor_our_address_are_kept(stand: Open) -> None:
    at = await opened(stand)
    await at.vendor.place(at.vendor.key(uuid4()), SMALL)
    simulator: Any = at.simulator
    hidden = [*SECRETS.values(), *simulator.gate.tokens, CONFIG["email"], CONFIG["telephone"]]
    assert len(at.kept.exchanges) == 3
    for secret in hidden:
        assert secret not in at.kept.text


async def test_the_simulator_checks_the_signature_and_not_the_order_of_keys(
    stand: Open,
) -> None:
    at = await opened(stand, default_address=True)
    body = {
        "syncOnly": True,
        "refno": "RAW-1",
        "deliveryMode": "API",
        "payments": [{"code": "svc", "amount": 500}],
        "products": [{"sku": "EGC-500", "qty": 1, "price": 500, "currency": 356}],
    }
    url = f"{at.url}/rest/v3/orders"
    async with aiohttp.ClientSession() as http:
        headers = await signed_in(http, at.url)
        headers["signature"] = sign(SECRETS["client_secret"], "POST", url, sorted_json(body))
        other = {**body, "refno": "RAW-2"}
        async with http.post(url, data=json.dumps(other), headers=headers) as answer:
            assert answer.status == 401
            assert "signature_invalid" in await answer.text()
        assert not at.simulator.book.sales
        # Unsorted and with spaces, but the recomputed base is the same.
        async with http.post(url, data=json.dumps(body), headers=headers) as answer:
            assert answer.status == 201
        async with http.post(url, data=json.dumps(body), headers=headers) as answer:
            assert answer.status == 400
            assert (await answer.json())["code"] == 5313
    assert list(at.simulator.book.sales) == ["RAW-1"]


async def signed_in(http: aiohttp.ClientSession, url: str) -> dict[str, str]:
    """The two steps by hand; gives the headers of a call but for its signature."""
    who = {"clientId": CONFIG["client_id"]}
    asked = {**who, "username": CONFIG["username"], "password": SECRETS["password"]}
    async with http.post(f"{url}/oauth2/verify", json=asked) as answer:
        code = await answer.json()
        assert code.keys() == {"authorizationCode"}
    asked = {**who, "clientSecret": SECRETS["client_secret"], **code}
    async with http.post(f"{url}/oauth2/token", json=asked) as answer:
        token = await answer.json()
        assert token.keys() == {"token"}
    async with http.post(f"{url}/oauth2/token", json=asked) as answer:
        assert answer.status == 400, "a code is good once"
    return {"Authorization": f"Bearer {token['token']}", "dateAtClient": "2026-11-21T06:40:00Z"}
