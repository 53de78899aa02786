"""Woohoo (Pine Labs) and its simulator: what every adapter must do, and orders with quirks."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.vendors.adapters import pinelabs_outcomes as meaning
from rewards.vendors.adapters.pinelabs import KIND
from rewards.vendors.adapters.pinelabs_wire import refno
from rewards.vendors.model import (
    Accepted,
    CallbackRefused,
    Cost,
    Delivered,
    Line,
    NotKnown,
    Offer,
    Reason,
    Refused,
    Unknown,
)
from rewards.vendors.simulators import pinelabs as server
from rewards.vendors.simulators.book import Book, SimClock, SimProduct
from rewards.vendors.simulators.faults import Fault, Scripted
from rewards.vendors.simulators.pinelabs import WITH_LINK, WITHOUT_PIN, PineLabsSimulator
from rewards.vendors.simulators.pinelabs_gate import Partner
from tests.vendors.conftest import Open, Stand, now
from tests.vendors.contract import TokenContract, purchase_of

PRODUCTS = [
    SimProduct("EGC-500", "Five hundred", "INR", 50_000, 100_000, (50_000, 100_000)),
    SimProduct("A/B C~(1)'*!", "Awkwardly named", "INR", 100, 1_000_000),
    SimProduct("OZ", "Australian", "AUD", 1_050, 50_000),
]
SMALL = Line("EGC-500", 50_000, "INR", 4)
LARGE = Line("EGC-500", 50_000, "INR", 12)
CONTACT = {
    "firstname": "Purchasing",
    "email": "buyer@example.com",
    "telephone": "+919999999999",
    "line1": "1 Example Road",
    "city": "Bengaluru",
    "region": "Karnataka",
    "country": "IN",
    "postcode": "560001",
}
PARTNER = Partner()
CONFIG = {
    **CONTACT,
    "client_id": PARTNER.client_id,
    "username": PARTNER.username,
    "refno_prefix": "STAR_",
}
SECRETS = {"client_secret": PARTNER.client_secret, "password": PARTNER.password}


async def opened(stand: Open, *products: SimProduct, **simulated: Any) -> Stand:
    book = Book(SimClock(now), products or PRODUCTS)
    return await stand("pinelabs", PineLabsSimulator(book, **simulated), CONFIG, SECRETS)


def posted(at: Stand) -> int:
    return at.simulator.book.calls["place"]


class TestSmallOrders(TokenContract):
    line = SMALL
    # The vendor says "denomination not available" of an empty shelf, and delivers all or nothing.
    skips = frozenset({Fault.OUT_OF_STOCK, Fault.PARTIAL})
    unsayable = (Line("EGC-500", 50_000, "XXX", 1),)
    refusals = tuple((400, {"code": code, "message": "No."}) for code in meaning._REFUSALS)

    async def open(self, stand: Open) -> Stand:
        return await opened(stand, unseen_s=0)


class TestLargeOrders(TestSmallOrders):
    line = LARGE


async def test_ten_cards_come_at_once_and_eleven_later(stand: Open) -> None:
    at = await opened(stand)
    ten = await at.vendor.place(at.vendor.key(uuid4()), Line("EGC-500", 50_000, "INR", 10))
    assert isinstance(ten, Delivered)
    assert len(ten.cards) == 10
    assert ten.cost == Cost(500_000, "INR")
    eleven = await at.vendor.place(at.vendor.key(uuid4()), Line("EGC-500", 50_000, "INR", 11))
    assert isinstance(eleven, Accepted)
    assert [s.ref for s in at.simulator.book.sales.values()] == [ten.vendor_ref, eleven.vendor_ref]


async def test_a_large_order_is_complete_before_its_cards_are(stand: Open) -> None:
    at = await opened(stand, activation_s=60)
    key = at.vendor.key(uuid4())
    placed = await at.vendor.place(key, LARGE)
    first = await at.vendor.read(purchase_of(key, LARGE))
    assert isinstance(first, Accepted)
    assert first.vendor_ref == placed.vendor_ref
    assert at.simulator.book.calls["cards"] == 1
    at.simulator.book.clock.advance(61)
    done = await at.vendor.read(purchase_of(key, LARGE, first.vendor_ref))
    assert isinstance(done, Delivered)
    assert done.cost == Cost(600_000, "INR")


async def test_cards_are_fetched_page_by_page(stand: Open) -> None:
    at = await opened(stand, activation_s=0)
    key, line = at.vendor.key(uuid4()), Line("EGC-500", 50_000, "INR", 201)
    await at.vendor.place(key, line)
    done = await at.vendor.read(purchase_of(key, line))
    assert isinstance(done, Delivered)
    assert at.simulator.book.calls["cards"] == 3
    [sale] = at.simulator.book.sales.values()
    assert [card.fields["card_number"] for card in done.cards] == [c.code for c in sale.cards]


async def test_a_page_that_is_lost_loses_no_cards(stand: Open) -> None:
    at = await opened(stand, activation_s=0)
    key, line = at.vendor.key(uuid4()), Line("EGC-500", 50_000, "INR", 150)
    await at.vendor.place(key, line)
    at.simulator.script.add([Scripted(Fault.ERROR_AFTER, "cards", skip=1)])
    assert isinstance(await at.vendor.read(purchase_of(key, line)), Unknown)
    done = await at.vendor.read(purchase_of(key, line))
    assert isinstance(done, Delivered)
    assert len(done.cards) == 150


async def test_fewer_cards_than_were_ordered_are_not_taken_for_all(stand: Open) -> None:
    at = await opened(stand)
    at.simulator.script.add([Scripted(Fault.PARTIAL, "place")])
    key = at.vendor.key(uuid4())
    assert isinstance(await at.vendor.place(key, SMALL), Accepted)
    read = await at.vendor.read(purchase_of(key, SMALL))
    assert isinstance(read, Unknown)
    assert "2 cards came of 2, 4 were ordered" in read.why


async def test_a_cancelled_order_is_refused_and_its_money_is_back(stand: Open) -> None:
    at = await opened(stand)
    at.simulator.script.add([Scripted(Fault.LATE_FAILURE, "place")])
    key = at.vendor.key(uuid4())
    placed = await at.vendor.place(key, LARGE)
    assert isinstance(placed, Accepted)
    read = await at.vendor.read(purchase_of(key, LARGE, placed.vendor_ref))
    assert isinstance(read, Refused)
    assert read.reason is Reason.OTHER
    assert at.simulator.book.balance_minor == at.simulator.book.opening_minor


async def test_an_order_cancelled_while_its_cards_are_asked_for_is_refused(stand: Open) -> None:
    at = await opened(stand, activation_s=0)
    key = at.vendor.key(uuid4())
    await at.vendor.place(key, LARGE)
    [sale] = at.simulator.book.sales.values()
    sale.fails = True
    gone = await at.vendor._cards(sale.ref, LARGE)
    assert isinstance(gone, Refused)


async def test_a_dropped_order_is_not_available_for_a_while_and_then_complete(
    stand: Open,
) -> None:
    at = await opened(stand, unseen_s=40)
    key = at.vendor.key(uuid4())
    at.simulator.script.add([Scripted(Fault.DROP_AFTER, "place")])
    assert isinstance(await at.vendor.place(key, SMALL), Unknown)
    assert isinstance(await at.vendor.read(purchase_of(key, SMALL)), NotKnown)
    # That it is not known counts only when the vendor had time to know it.
    assert at.vendor.capabilities.not_found_grace_s > 40
    at.simulator.book.clock.advance(41)
    done = await at.vendor.read(purchase_of(key, SMALL))
    assert isinstance(done, Delivered)
    assert len(done.cards) == SMALL.quantity
    assert posted(at) == 1


@pytest.mark.parametrize("fault", [None, Fault.ERROR_AFTER])
async def test_a_known_refno_is_unknown_and_read_back_also_after_a_500(
    stand: Open, fault: Fault | None
) -> None:
    at = await opened(stand)
    key = at.vendor.key(uuid4())
    if fault:
        at.simulator.script.add([Scripted(fault, "place")])
    await at.vendor.place(key, SMALL)
    again = await at.vendor.place(key, SMALL)
    assert isinstance(again, Unknown)
    assert "5313" in again.why
    done = await at.vendor.read(purchase_of(key, SMALL))
    assert isinstance(done, Delivered)
    assert len(at.simulator.book.sales) == 1


async def test_an_order_that_hit_the_velocity_limit_is_paid_and_never_counts_as_not_bought(
    stand: Open,
) -> None:
    at = await opened(stand)
    at.simulator.script.add([Scripted(Fault.VELOCITY_LIMIT, "place")])
    key = at.vendor.key(uuid4())
    placed = await at.vendor.place(key, SMALL)
    assert isinstance(placed, Accepted), "from Accepted no way leads to NOT_PLACED"
    assert at.simulator.book.balance_minor == at.simulator.book.opening_minor - 200_000
    at.simulator.book.clock.advance(3_600)
    assert isinstance(await at.vendor.read(purchase_of(key, SMALL)), Accepted)


async def test_an_archived_order_is_neither_failed_nor_forgotten(stand: Open) -> None:
    at = await opened(stand, archived_after=timedelta(days=90))
    key = at.vendor.key(uuid4())
    placed = await at.vendor.place(key, SMALL)
    at.simulator.book.clock.advance(91 * 86_400)
    for ref in (None, placed.vendor_ref):
        read = await at.vendor.read(purchase_of(key, SMALL, ref))
        assert isinstance(read, Unknown)
        assert "11429" in read.why


async def test_an_order_the_vendor_named_is_looked_up_by_that_name_too(stand: Open) -> None:
    at = await opened(stand, activation_s=0)
    key = at.vendor.key(uuid4())
    placed = await at.vendor.place(key, LARGE)
    elsewhere = purchase_of("STAR_ANOTHER", LARGE, placed.vendor_ref)
    assert at.simulator.book.calls["details"] == 0
    read = await at.vendor.read(elsewhere)
    assert at.simulator.book.calls["details"] == 1
    assert isinstance(read, Unknown), "it is an order under another refno"
    missing = await at.vendor.read(purchase_of("STAR_ANOTHER", LARGE, "no-such-order"))
    assert isinstance(missing, Unknown), "what was named once cannot have never been"


async def test_currencies_go_out_as_numbers_and_amounts_without_needless_digits(
    stand: Open,
) -> None:
    at = await opened(stand)
    placed = await at.vendor.place(at.vendor.key(uuid4()), Line("OZ", 1_050, "AUD", 2))
    assert isinstance(placed, Delivered)
    [request] = [e.request for e in at.kept.exchanges if e.call == "place"]
    assert '"currency":36,' in request
    assert '"price":10.5,' in request
    assert '"amount":21,' in request
    assert {(card.face_minor, card.currency) for card in placed.cards} == {(1_050, "AUD")}


async def test_an_awkward_sku_is_bought_and_listed(stand: Open) -> None:
    at = await opened(stand)
    line = Line("A/B C~(1)'*!", 100, "INR", 1)
    assert isinstance(await at.vendor.place(at.vendor.key(uuid4()), line), Delivered)
    assert line.sku in {offer.sku async for offer in at.vendor.catalogue()}


async def test_cards_without_a_pin_and_cards_with_a_link(stand: Open) -> None:
    at = await opened(stand, *server.PRODUCTS)
    bare = await at.vendor.place(at.vendor.key(uuid4()), Line(WITHOUT_PIN, 10_000, "INR", 1))
    linked = await at.vendor.place(at.vendor.key(uuid4()), Line(WITH_LINK, 10_000, "INR", 1))
    assert isinstance(bare, Delivered)
    assert isinstance(linked, Delivered)
    assert bare.cards[0].fields.keys() == {"card_number", "voucher_reference_number"}
    assert linked.cards[0].fields["claim_url"].startswith("https://")
    assert linked.cards[0].fields["claim_url"] not in at.kept.text


async def test_reserved_products_do_what_they_are_named_for(stand: Open) -> None:
    at = await opened(stand, *server.PRODUCTS)

    async def placed(sku: str, quantity: int = 1) -> Any:
        return await at.vendor.place(at.vendor.key(uuid4()), Line(sku, 100, "INR", quantity))

    assert isinstance(await placed("CNPIN"), Delivered)
    assert (await placed("DISABLEDSTS")).reason is Reason.PRODUCT_INACTIVE
    assert isinstance(await placed("PROCESSINGSTS"), Accepted)
    assert isinstance(await placed("testsuccess001"), Unknown)
    assert (await placed("SIM-NO_BALANCE")).reason is Reason.INSUFFICIENT_VENDOR_BALANCE
    assert isinstance(await placed("SIM-VELOCITY_LIMIT"), Accepted)
    assert isinstance(await placed("SIM-PARTIAL", 4), Accepted)
    assert isinstance(await placed("APIFAILTESTING"), Refused)


async def test_more_cards_than_were_ordered_are_handed_on(stand: Open) -> None:
    at = await opened(stand, activation_s=0)
    for line in (SMALL, LARGE):
        at.simulator.script.add([Scripted(Fault.WRONG_COUNT, "place")])
        key = at.vendor.key(uuid4())
        placed = await at.vendor.place(key, line)
        done = placed if line is SMALL else await at.vendor.read(purchase_of(key, line))
        assert isinstance(done, Delivered)
        assert len(done.cards) == line.quantity + 1


async def test_without_an_address_anywhere_the_vendor_says_so(stand: Open) -> None:
    bare = {name: value for name, value in CONFIG.items() if name not in CONTACT}
    book = Book(SimClock(now), PRODUCTS)
    at = await stand("pinelabs", PineLabsSimulator(book), bare, SECRETS)
    refused = await at.vendor.place(at.vendor.key(uuid4()), SMALL)
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.VENDOR_CONFIG
    assert not book.sales
    known = Book(SimClock(now), PRODUCTS)
    with_one = PineLabsSimulator(known, default_address=True)
    at = await stand("pinelabs", with_one, bare, SECRETS)
    assert isinstance(await at.vendor.place(at.vendor.key(uuid4()), SMALL), Delivered)


async def test_the_catalogue_tells_slabs_and_ranges_of_each_product_once(stand: Open) -> None:
    at = await opened(stand)
    offers = [offer async for offer in at.vendor.catalogue()]
    assert len(offers) == len(PRODUCTS)
    assert Offer("EGC-500", "Five hundred", "INR", 50_000, 100_000, (50_000, 100_000)) in offers
    assert Offer("OZ", "Australian", "AUD", 1_050, 50_000) in offers


async def test_the_catalogue_goes_through_pages_of_the_categories_named(stand: Open) -> None:
    products = [SimProduct(f"P{n}", f"Product {n}", "INR", 100, 200) for n in range(205)]
    book = Book(SimClock(now), products)
    config = {**CONFIG, "categories": "121"}
    at = await stand("pinelabs", PineLabsSimulator(book), config, SECRETS)
    skus = {offer.sku async for offer in at.vendor.catalogue()}
    assert skus == {f"P{n}" for n in range(0, 205, 2)}
    assert book.calls["products"] == 2
    assert book.calls["categories"] == 0


async def test_nobody_calls_back_and_the_wire_is_not_verified(stand: Open) -> None:
    at = await opened(stand)
    with pytest.raises(CallbackRefused):
        at.vendor.callback({}, b"{}")
    assert not at.vendor.capabilities.callbacks
    assert not at.vendor.capabilities.verified


@given(st.sets(st.uuids(), max_size=50), st.sampled_from(["", "STAR_", "ORG12345"]))
def test_a_refno_fits_begins_with_the_organisation_and_is_its_own(
    fresh: set[UUID], prefix: str
) -> None:
    made = {refno(prefix, one) for one in fresh}
    assert len({one.upper() for one in made}) == len(fresh), "whatever case the vendor keeps"
    assert all(one.startswith(prefix) and len(one) == 25 for one in made)


def test_a_prefix_that_leaves_too_little_room_is_refused() -> None:
    wire: Any = object()
    with pytest.raises(ValueError, match="refno_prefix"):
        KIND.build({**CONFIG, "refno_prefix": "ORGANISATION_"}, SECRETS, wire)
