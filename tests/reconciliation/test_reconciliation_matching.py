"""What the pure matching says: of books that agree nothing, of any one change something."""

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from rewards.catalog.model import ShelfKey
from rewards.inventory.model import StoredUnit, UnitState
from rewards.orders.model import COMPLETED, Item, ItemStatus, OnPartial, Order
from rewards.reconciliation.matching import (
    OrderBooks,
    Verdict,
    match_order,
    match_purchase,
)
from rewards.reconciliation.model import Kind
from rewards.vendors.model import (
    BookLine,
    Cost,
    Line,
    Purchase,
    PurchaseState,
    Purpose,
    SaleState,
)
from rewards.wallets.model_books import OrderBooking

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
AMOUNTS = st.integers(0, 10**12)


def purchase(state: PurchaseState, received: int, cost: Cost | None) -> Purchase:
    return Purchase(
        id=4,
        vendor_id=1,
        key="key-4",
        purpose=Purpose.ORDER,
        subject_id=7,
        position=0,
        line=Line("AMZ", 2_500, "USD", max(received, 1)),
        remaining=0,
        state=state,
        vendor_ref="V4",
        reason=None,
        message=None,
        received=received,
        quarantined=0,
        cost=cost,
        batch_id=None,
        calls=1,
        next_at=AT,
        window_ends_at=AT,
        case_at=None,
        asked_by=None,
        created_at=AT,
        sent_at=AT,
        settled_at=AT,
    )


COSTS = st.builds(Cost, AMOUNTS, st.sampled_from(["USD", "EUR"]))
SETTLED = st.sampled_from(
    [PurchaseState.FULFILLED, PurchaseState.REFUSED, PurchaseState.NOT_PLACED]
)
LINES = st.none() | st.builds(
    BookLine,
    st.just("key-4"),
    st.just("V4"),
    st.sampled_from(SaleState),
    st.none() | st.integers(0, 5),
    st.none() | COSTS,
)


@given(SETTLED, st.integers(0, 5), st.none() | COSTS, LINES)
def test_a_purchase_agrees_exactly_when_both_tell_the_same(
    state: PurchaseState, received: int, cost: Cost | None, theirs: BookLine | None
) -> None:
    ours = purchase(state, received, cost)
    found = match_purchase(ours, theirs)
    bought = state is PurchaseState.FULFILLED
    sold = theirs is not None and theirs.state is SaleState.SOLD
    still_open = theirs is not None and theirs.state is SaleState.OPEN
    same = (
        theirs is None
        or not sold
        or (
            theirs.quantity in (None, received)
            and (cost is None or theirs.cost is None or cost == theirs.cost)
        )
    )
    assert (not found) == (bought == sold and not still_open and same)
    assert all(one.ours != one.theirs and one.subject == "4" for one in found)
    assert len({one.kind for one in found}) == len(found)


@given(st.integers(1, 5), COSTS)
def test_each_difference_has_its_kind(received: int, cost: Cost) -> None:
    ours = purchase(PurchaseState.FULFILLED, received, cost)
    line = BookLine("key-4", "V4", SaleState.SOLD, received, cost)
    dearer = replace(cost, amount_minor=cost.amount_minor + 1)
    assert match_purchase(ours, line) == []

    def kinds(theirs: BookLine | None) -> list[Kind]:
        return [one.kind for one in match_purchase(ours, theirs)]

    assert kinds(None) == [Kind.MISSING_AT_VENDOR]
    assert kinds(replace(line, state=SaleState.FAILED)) == [Kind.OUTCOME_DIFFERS]
    assert kinds(replace(line, state=SaleState.OPEN)) == [Kind.OUTCOME_DIFFERS]
    assert kinds(replace(line, quantity=received + 1)) == [Kind.QUANTITY_DIFFERS]
    assert kinds(replace(line, cost=dearer)) == [Kind.AMOUNT_DIFFERS]


@st.composite
def agreeing(draw: st.DrawFn) -> OrderBooks:
    """Books of a delivered order that agree: some items delivered, some given back."""
    statuses = draw(st.lists(st.sampled_from(["DELIVERED", "REVOKED"]), min_size=1, max_size=6))
    amount, refunded = draw(AMOUNTS), draw(AMOUNTS)
    shelf = ShelfKey(6, 2_500, "USD")
    items = [
        Item(7, position, ItemStatus(status), 100 + position, None, AT)
        for position, status in enumerate(statuses, 1)
    ]
    sold = draw(st.sampled_from([UnitState.DELIVERED, UnitState.COMPLETED]))
    units = {
        item.unit_id: StoredUnit(item.unit_id, shelf, 1, sold, None, b"")
        for item in items
        if item.unit_id is not None and item.status is ItemStatus.DELIVERED
    }
    order = Order(
        **dict.fromkeys(("forex_rate", "forex_rate_source", "forex_rate_at", "deliver_by")),
        **dict.fromkeys(("email", "mobile", "metadata", "delivered_at", "cancelled_at")),
        **dict.fromkeys(("discount_minor", "fees_minor", "tax_minor", "refund_owed_minor"), 0),
        id=7,
        client_id=1,
        ref="R",
        transaction_id=9,
        wallet_id=3,
        currency="USD",
        amount_minor=amount,
        product_id=6,
        product_revision_id=1,
        product_name="Amazon",
        product_currency="USD",
        denomination_minor=2_500,
        quantity=len(items),
        on_partial=OnPartial.KEEP,
        status=COMPLETED.status,
        sub_status=COMPLETED.sub_status,
        items_created=len(items),
        fulfilled=len(items),
        cancelled=0,
        revoked=statuses.count("REVOKED"),
        refunded_minor=refunded,
        placed_at=AT,
        changed_at=AT,
    )
    booking = OrderBooking(1, 9, 3, amount, refunded)
    return OrderBooks(order, items, units, booking, ())


@given(agreeing())
def test_books_that_agree_are_matched(books: OrderBooks) -> None:
    assert match_order(books) == (Verdict.MATCHED, [])


BOUGHT = purchase(PurchaseState.FULFILLED, 1, None)


@given(agreeing(), st.lists(st.sampled_from([True, False, None]), max_size=4))
def test_vendors_are_waited_for_and_believed(books: OrderBooks, told: list[bool | None]) -> None:
    verdict, found = match_order(replace(books, purchases=[(BOUGHT, one) for one in told]))
    assert found == [], "the purchase's own run lists what is wrong with it"
    expected = Verdict.MATCHED
    if None in told:
        expected = Verdict.WAITING
    if False in told:
        expected = Verdict.DRIFT
    assert verdict is expected


LEDGER_FIELDS = ("debits", "transfer_id", "wallet_id", "debited_minor", "refunded_minor")


@given(agreeing(), st.sampled_from(LEDGER_FIELDS), st.integers(1, 10**9))
def test_any_change_of_the_ledger_is_drift(books: OrderBooks, name: str, by: int) -> None:
    changed = replace(books.booking, **{name: getattr(books.booking, name) + by})
    verdict, [found] = match_order(replace(books, booking=changed))
    assert (verdict, found.kind) == (Verdict.DRIFT, Kind.LEDGER_DIFFERS)


@given(agreeing(), st.data())
def test_any_change_of_a_unit_is_drift(books: OrderBooks, data: st.DataObject) -> None:
    if not books.units:
        return
    unit_id = data.draw(st.sampled_from(sorted(books.units)))
    unit = books.units[unit_id]
    others = [state for state in UnitState if state not in ("DELIVERED", "COMPLETED")]
    broken = data.draw(
        st.sampled_from(
            [
                None,
                replace(unit, shelf=unit.shelf._replace(denomination_minor=2_501)),
                replace(unit, shelf=unit.shelf._replace(product_id=7)),
                *(replace(unit, state=state) for state in others),
            ]
        )
    )
    units = {n: one for n, one in books.units.items() if n != unit_id}
    units |= {} if broken is None else {unit_id: broken}
    verdict, [found] = match_order(replace(books, units=units))
    assert (verdict, found.kind) == (Verdict.DRIFT, Kind.UNIT_DIFFERS)


@given(agreeing())
def test_a_lost_item_is_drift(books: OrderBooks) -> None:
    verdict, found = match_order(replace(books, items=books.items[1:]))
    assert (verdict, found[0].kind) == (Verdict.DRIFT, Kind.ITEMS_DIFFER)
