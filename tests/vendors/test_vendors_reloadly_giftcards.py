"""Reloadly's gift cards and their simulator: the contract, and what only this vendor does."""

from dataclasses import replace
from uuid import uuid4

import aiohttp
import pytest

from rewards.vendors.adapters.reloadly_giftcards import ReloadlyGiftcards
from rewards.vendors.adapters.reloadly_host import LOOK_S
from rewards.vendors.adapters.reloadly_wire import REASONS
from rewards.vendors.model import (
    Accepted,
    Callback,
    CallbackRefused,
    Delivered,
    Line,
    NotKnown,
    Offer,
    Reason,
    Refused,
    Unknown,
)
from rewards.vendors.port import VendorRefused
from rewards.vendors.simulators.book import SimClock, SimProduct
from rewards.vendors.simulators.faults import AFTER, Fault, Scripted
from rewards.vendors.simulators.reloadly import LIFE_S, SenderBook
from rewards.vendors.simulators.reloadly_giftcards import GONE, PRODUCTS, ReloadlyGiftcardsSimulator
from tests.vendors.conftest import Open, Stand, now
from tests.vendors.contract import TokenContract, purchase_of
from tests.vendors.receiving import receiving

SECRETS = {"client_id": "client", "client_secret": "secret", "webhook_secret": "signing"}
ACCEPT = "application/com.reloadly.giftcards-v1+json"


async def open_stand(stand: Open, secrets: dict[str, str] | None = None) -> Stand:
    simulator = ReloadlyGiftcardsSimulator(SenderBook(SimClock(now), PRODUCTS))
    config = {"auth_url": "{url}"}
    return await stand("reloadly_giftcards", simulator, config, secrets or SECRETS)


class TestReloadlyGiftcards(TokenContract):
    line = Line("25", 2_500, "USD", 4)
    unsayable = (replace(line, sku="A"), replace(line, currency="XXX"))
    # The price of a product that changed is one it does not have; orders are delivered whole.
    skips = frozenset({Fault.PRICE_DRIFT, Fault.PARTIAL})
    refusals = tuple((400, {"errorCode": code, "message": "No."}) for code in REASONS)

    async def open(self, stand: Open) -> Stand:
        return await open_stand(stand)


async def test_the_wire_is_the_documented_one(stand: Open) -> None:
    at = await open_stand(stand)
    asked = {
        "client_id": "client",
        "client_secret": "secret",
        "grant_type": "client_credentials",
        "audience": "https://giftcards.reloadly.com",
    }
    order = {
        "productId": 4,
        "countryCode": "ES",
        "quantity": 5,
        "unitPrice": 5.00,
        "customIdentifier": "obucks10",
        "senderName": "Jane",
    }
    async with aiohttp.ClientSession(at.url) as raw:
        token = await (await raw.post("/oauth/token", json=asked)).json()
        assert token.keys() == {"access_token", "scope", "expires_in", "token_type"}
        headers = {"Authorization": f"Bearer {token['access_token']}", "Accept": ACCEPT}
        placed = await raw.post("/orders", json=order, headers=headers)
        content = await placed.json()
        assert content["status"] == "SUCCESSFUL"
        assert content["customIdentifier"] == "obucks10"
        assert content["product"]["totalPrice"] == 25
        # 25 EUR at 1.08333 less 7.5 %, with the decimals the vendor keeps.
        assert '"amount":25.05201' in await placed.text()
        cards = f"/orders/transactions/{content['transactionId']}/cards"
        listed = await (await raw.get(cards, headers=headers)).json()
        assert [card.keys() for card in listed] == [{"cardNumber", "pinCode"}] * 5
        again = await raw.post("/orders", json=order, headers=headers)
        assert again.status == 400
        told = await again.json()
        assert told["errorCode"] == "CUSTOM_IDENTIFIER_ALREADY_USED"
        assert told.keys() == {"timeStamp", "message", "path", "errorCode", "infoLink", "details"}
        stranger = await raw.get("/products", headers={**headers, "Authorization": "Bearer x"})
        assert (stranger.status, (await stranger.json())["errorCode"]) == (401, "INVALID_TOKEN")
        wrong = await raw.get("/products", headers={**headers, "Accept": "application/json"})
        assert wrong.status == 406


async def test_a_duplicate_identifier_is_read_back(stand: Open) -> None:
    at = await open_stand(stand)
    key, line = at.vendor.key(uuid4()), Line("25", 2_500, "USD", 2)
    at.simulator.script.add([Scripted(Fault.DROP_AFTER, "place")])
    assert isinstance(await at.vendor.place(key, line), Unknown)
    again = await at.vendor.place(key, line)
    assert again == Unknown("CUSTOM_IDENTIFIER_ALREADY_USED")
    done = await at.vendor.read(purchase_of(key, line))
    assert isinstance(done, Delivered)
    assert len(done.cards) == 2
    assert at.simulator.book.calls["report"] == 1


async def test_a_known_order_is_read_by_its_number(stand: Open) -> None:
    at = await open_stand(stand)
    key, line = at.vendor.key(uuid4()), Line("25", 2_500, "USD", 1)
    taken = await at.vendor.place(key, line)
    assert isinstance(taken, Accepted)
    assert isinstance(await at.vendor.read(purchase_of(key, line, taken.vendor_ref)), Delivered)
    assert at.simulator.book.calls["read"] == 1
    assert at.simulator.book.calls["report"] == 0


async def test_an_order_of_another_key_is_never_ours(stand: Open) -> None:
    at = await open_stand(stand)
    line = Line("25", 2_500, "USD", 1)
    taken = await at.vendor.place(at.vendor.key(uuid4()), line)
    assert isinstance(taken, Accepted)
    other = purchase_of(at.vendor.key(uuid4()), line, taken.vendor_ref)
    assert isinstance(await at.vendor.read(other), Unknown)


async def test_a_report_that_was_not_filtered_proves_nothing(stand: Open) -> None:
    at = await open_stand(stand)
    line = Line("25", 2_500, "USD", 1)
    key = at.vendor.key(uuid4())
    assert isinstance(await at.vendor.read(purchase_of(key, line)), NotKnown)
    # As a letter of another case does on the real one.
    await at.vendor.place(key.upper(), line)
    assert isinstance(await at.vendor.read(purchase_of(key, line)), Unknown)


async def test_costs_are_what_the_account_pays(stand: Open) -> None:
    at = await open_stand(stand)
    key, line = at.vendor.key(uuid4()), Line("4", 500, "EUR", 5)
    taken = await at.vendor.place(key, line)
    assert isinstance(taken, Accepted)
    assert taken.cost is not None
    # 25.05201 dollars, in whole cents.
    assert (taken.cost.amount_minor, taken.cost.currency) == (2_505, "USD")
    done = await at.vendor.read(purchase_of(key, line, taken.vendor_ref))
    assert isinstance(done, Delivered)
    assert done.cost == taken.cost
    assert {(card.face_minor, card.currency) for card in done.cards} == {(500, "EUR")}


async def test_a_number_that_is_a_link_is_a_claim_link(stand: Open) -> None:
    at = await open_stand(stand)
    key, line = at.vendor.key(uuid4()), Line("81", 1_000, "USD", 1)
    taken = await at.vendor.place(key, line)
    assert isinstance(taken, Accepted)
    done = await at.vendor.read(purchase_of(key, line, taken.vendor_ref))
    assert isinstance(done, Delivered)
    [card] = done.cards
    assert card.fields.keys() == {"claim_url", "pin_code"}
    [sale] = at.simulator.book.sales.values()
    assert card.fields["claim_url"].endswith(sale.cards[0].code)


async def test_a_short_list_of_cards_is_not_the_end(stand: Open) -> None:
    at = await open_stand(stand)
    key, line = at.vendor.key(uuid4()), Line("25", 2_500, "USD", 4)
    at.simulator.script.add([Scripted(Fault.PARTIAL, "place")])
    taken = await at.vendor.place(key, line)
    assert isinstance(taken, Accepted)
    purchase = purchase_of(key, line, taken.vendor_ref)
    assert isinstance(await at.vendor.read(purchase), Accepted)


async def test_a_product_that_disappeared_is_refused(stand: Open) -> None:
    at = await open_stand(stand)
    book = at.simulator.book
    gone = await at.vendor.place(at.vendor.key(uuid4()), Line("999", 2_500, "USD", 1))
    assert isinstance(gone, Refused)
    assert gone.reason is Reason.PRODUCT_INACTIVE
    # Seen a moment ago, and gone when ordered.
    key, line = at.vendor.key(uuid4()), Line("25", 2_500, "USD", 1)
    first = await at.vendor.place(key, line)
    assert isinstance(first, Accepted)
    del book.products["25"]
    late = await at.vendor.place(at.vendor.key(uuid4()), line)
    assert isinstance(late, Refused)
    assert late.reason is Reason.PRODUCT_INACTIVE
    assert len(book.sales) == 1
    assert GONE not in repr(late)


@pytest.mark.parametrize("line", [Line("25", 2_600, "USD", 1), Line("25", 2_500, "EUR", 1)])
async def test_a_wrong_value_or_currency_is_refused(stand: Open, line: Line) -> None:
    at = await open_stand(stand)
    outcome = await at.vendor.place(at.vendor.key(uuid4()), line)
    assert isinstance(outcome, Refused)
    assert outcome.reason is Reason.BAD_DENOMINATION
    assert at.simulator.book.sales == {}


async def test_the_catalogue_tells_fixed_values_and_ranges(stand: Open) -> None:
    at = await open_stand(stand)
    offers = {offer.sku: offer async for offer in at.vendor.catalogue()}
    assert offers["25"] == Offer("25", "Amazon US", "USD", 2_500, 5_000, (2_500, 5_000))
    assert offers["4"] == Offer("4", "Amazon Spain", "EUR", 500, 10_000)
    assert offers["392"] == Offer("392", "Steam Japan", "JPY", 500, 5_000)


async def test_the_catalogue_is_read_page_by_page_without_what_is_out_of_stock(
    stand: Open,
) -> None:
    at = await open_stand(stand)
    book = at.simulator.book
    for number in range(1_000, 1_450):
        book.products[str(number)] = replace(PRODUCTS[0], sku=str(number), stock=number % 2)
    skus = [offer.sku async for offer in at.vendor.catalogue()]
    assert len(skus) == len(set(skus)) == len(PRODUCTS) + 225
    assert book.calls["catalogue"] == 3


async def test_a_product_is_looked_at_again_after_a_while(stand: Open) -> None:
    at = await open_stand(stand)
    clock = [1_000.0]
    vendor = ReloadlyGiftcards({"auth_url": at.url}, SECRETS, at.wire, lambda: clock[0])
    line, calls = Line("25", 2_500, "USD", 1), at.simulator.book.calls
    for later_s, looks in ((0.0, 1), (LOOK_S - 1.0, 1), (1.0, 2)):
        clock[0] += later_s
        assert isinstance(await vendor.place(vendor.key(uuid4()), line), Accepted)
        assert calls["product"] == looks


async def test_a_token_that_ended_early_is_renewed(stand: Open) -> None:
    at = await open_stand(stand)
    await at.vendor.balances()
    at.simulator.book.clock.advance(LIFE_S)
    await at.vendor.balances()
    assert at.simulator.book.calls["token"] == 2


async def test_a_token_of_another_audience_is_none(stand: Open) -> None:
    simulator = ReloadlyGiftcardsSimulator(SenderBook(SimClock(now), PRODUCTS))
    config = {"auth_url": "{url}", "audience": "https://topups.reloadly.com"}
    at = await stand("reloadly_giftcards", simulator, config, SECRETS)
    with pytest.raises(VendorRefused):
        await at.vendor.balances()


async def test_wrong_credentials_are_a_clear_no(stand: Open) -> None:
    at = await open_stand(stand, {**SECRETS, "client_secret": "none"})
    line = Line("25", 2_500, "USD", 1)
    outcome = await at.vendor.place(at.vendor.key(uuid4()), line)
    assert isinstance(outcome, Refused)
    assert outcome.reason is Reason.BAD_CREDENTIALS
    read = await at.vendor.read(purchase_of(at.vendor.key(uuid4()), line))
    assert isinstance(read, Unknown)


async def test_trouble_while_looking_at_the_product_is_transient(stand: Open) -> None:
    at = await open_stand(stand)
    at.simulator.script.add([Scripted(Fault.ERROR_BEFORE, "product")])
    outcome = await at.vendor.place(at.vendor.key(uuid4()), Line("25", 2_500, "USD", 1))
    assert isinstance(outcome, Refused)
    assert outcome.transient
    assert at.simulator.book.calls["place"] == 0


async def test_keeps_no_token_and_no_secret(stand: Open) -> None:
    at = await open_stand(stand)
    key = at.vendor.key(uuid4())
    await at.vendor.place(key, Line("25", 2_500, "USD", 1))
    [token] = at.simulator.tokens
    assert token not in at.kept.text
    assert '"secret"' not in at.kept.text
    assert key in at.kept.text


@pytest.mark.parametrize("product", [p for p in PRODUCTS if p.fault], ids=lambda p: p.fault)
async def test_a_reserved_product_brings_its_fault(stand: Open, product: SimProduct) -> None:
    at = await open_stand(stand)
    at.simulator.slow_s = 3.0
    key = at.vendor.key(uuid4())
    outcome = await at.vendor.place(key, Line(product.sku, 500, "USD", 2))
    sold = {sale.key for sale in at.simulator.book.sales.values() if not sale.fails}
    assert sold == (set() if isinstance(outcome, Refused) else {key})
    if product.fault in AFTER:
        assert isinstance(outcome, Unknown)


async def test_callbacks_name_the_order(stand: Open) -> None:
    async with receiving() as inbox:
        at = await open_stand(stand)
        at.simulator.callback_url = inbox.url
        key = at.vendor.key(uuid4())
        taken = await at.vendor.place(key, Line("25", 2_500, "USD", 1))
        assert isinstance(taken, Accepted)
        headers, body = await inbox.next()
        assert at.vendor.callback(headers, body) == Callback(key, taken.vendor_ref)
        with pytest.raises(CallbackRefused):
            at.vendor.callback(headers, body + b" ")
