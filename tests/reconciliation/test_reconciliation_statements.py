"""Statements add up over everything that happens, and no byte of a signed one can be changed."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from rewards.core.errors import InvalidField
from rewards.entry import statement as command
from rewards.inventory import service as inventory
from rewards.inventory.model import BlockReason
from rewards.orders.model import Order
from rewards.reconciliation.documents import public_key_of, sign, tampering, to_csv, to_json
from rewards.reconciliation.model import DAY, DayNotOver
from rewards.reconciliation.model_statement import Book, Line, Statement, imbalances
from rewards.reconciliation.statement import state
from tests.reconciliation.bookkeeping import Books

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = public_key_of(KEY)
FORMS = [to_json, to_csv]
SMALL = Statement(
    date(2026, 11, 1),
    date(2026, 11, 2),
    datetime(2026, 11, 3, 3, tzinfo=UTC),
    (
        Line(Book.MONEY, 1, None, None, "USD", 0, 10_000, 2_550, 7_450),
        Line(Book.CODES, None, "VENDOR", 4, "USD", 3, 2, 1, 4),
        Line(Book.DELIVERED, 1, "VENDOR", 4, "USD", 0, 1, 1, 0),
    ),
)


async def statement_of(books: Books, day: date | None = None) -> Statement:
    wanted = day or books.day
    return await state(books.market.shop.parts.db, books.clock, wanted, wanted)


def line_of(made: Statement, book: Book, **party: object) -> Line:
    [found] = [
        line
        for line in made.lines
        if line.book is book and all(getattr(line, k) == v for k, v in party.items())
    ]
    return found


async def test_what_came_in_went_out_or_is_held(books: Books) -> None:
    shop = books.market.shop
    bought, pooled = await books.bought(2), await books.pooled(3)
    product = shop.parts.catalog.product(6)
    assert product is not None
    await shop.stock(product, 4)
    item = f"{pooled.id}-1"
    assert isinstance(await shop.cancel(pooled.id, item), Order)
    made = await statement_of(books)
    assert list(imbalances(made.lines)) == []
    money = line_of(made, Book.MONEY, client_id=pooled.client_id)
    back = (await shop.order(pooled.id)).refunded_minor
    assert (money.opening, money.came, money.went) == (
        0,
        100_000_000 + back,
        pooled.amount_minor,
    )
    assert money.held == await shop.balance(pooled.client_id)
    stock = line_of(made, Book.CODES, source="SANDBOX")
    assert (stock.opening, stock.came, stock.went, stock.held) == (0, 7, 3, 4)
    vendor = line_of(made, Book.CODES, source="VENDOR")
    assert (vendor.vendor_id, vendor.came, vendor.went, vendor.held) == (
        books.market.vendor_id,
        2,
        2,
        0,
    )
    assert line_of(made, Book.FACE, source="VENDOR").came == 5_000
    assert line_of(made, Book.COST, source="VENDOR").went == 5_000
    got = line_of(made, Book.DELIVERED, client_id=bought.client_id)
    assert (got.came, got.went, got.source) == (2, 2, "VENDOR")


async def test_one_day_ends_where_the_next_begins(books: Books) -> None:
    await books.bought(2), await books.pooled(3)
    first = await statement_of(books)
    books.clock.ahead += DAY
    second = await statement_of(books, books.day + DAY)
    assert list(imbalances(second.lines)) == []
    held = {line.book: line.held for line in first.lines if line.client_id is None}
    for line in second.lines:
        assert (line.came, line.went) == (0, 0)
        if line.client_id is None:
            assert line.opening == held[line.book]
    before = await statement_of(books, books.day - DAY)
    assert before.lines == ()


async def test_what_is_written_off_went_out_that_day(books: Books) -> None:
    shop = books.market.shop
    product = shop.parts.catalog.product(6)
    assert product is not None
    units = await shop.stock(product, 4)
    next_day = books.market.clock.now() + DAY
    async with shop.parts.db.transaction() as tx:
        await inventory.block(tx, units[:1], BlockReason.STAFF, next_day)
        assert await inventory.write_off(tx, units[:2], next_day) == [True, True]
    came, went = [await statement_of(books, books.day + DAY * n) for n in (0, 1)]
    assert list(imbalances(came.lines)) == list(imbalances(went.lines)) == []
    stock = line_of(came, Book.CODES, source="SANDBOX")
    assert (stock.opening, stock.came, stock.went, stock.held) == (0, 4, 0, 4)
    stock = line_of(went, Book.CODES, source="SANDBOX")
    assert (stock.opening, stock.came, stock.went, stock.held) == (4, 0, 2, 2)
    assert line_of(went, Book.WRITTEN_OFF).went == 2
    assert line_of(went, Book.WRITTEN_OFF_FACE).went == 5_000
    assert [line for line in came.lines if line.book is Book.WRITTEN_OFF] == []


@pytest.mark.parametrize(
    ("breach", "what"),
    [
        ("UPDATE units SET state = 'DELIVERED' WHERE state = 'AVAILABLE'", "CODES SANDBOX"),
        ("UPDATE units SET state = 'AVAILABLE' WHERE state = 'DELIVERED'", "CODES SANDBOX"),
        (
            "UPDATE ledger_entries SET balance_minor = balance_minor - 5 WHERE version = 2",
            "MONEY client",
        ),
    ],
)
async def test_what_does_not_add_up_is_told(books: Books, breach: str, what: str) -> None:
    shop = books.market.shop
    await books.pooled(1)
    product = shop.parts.catalog.product(6)
    assert product is not None
    await shop.stock(product, 1)
    assert list(imbalances((await statement_of(books)).lines)) == []
    await books.write(breach)
    told = list(imbalances((await statement_of(books)).lines))
    assert any(what in sentence and "difference" in sentence for sentence in told), told


async def test_days_that_cannot_be_stated_are_refused(books: Books) -> None:
    books.clock.ahead = timedelta()
    with pytest.raises(DayNotOver):
        await statement_of(books)
    with pytest.raises(InvalidField):
        await state(books.market.shop.parts.db, books.clock, books.day, books.day - DAY)


LINES = st.lists(
    st.builds(
        Line,
        st.sampled_from(Book),
        st.none() | st.integers(1, 9),
        st.none() | st.sampled_from(["FILE", "VENDOR", "SANDBOX"]),
        st.none() | st.integers(1, 9),
        st.sampled_from(["USD", "JPY", "KWD"]),
        *[st.integers(-(10**15), 10**15)] * 4,
    ),
    max_size=6,
)


@given(LINES, st.sampled_from(FORMS))
def test_any_statement_that_was_signed_is_verified(lines: list[Line], form: object) -> None:
    assert callable(form)
    made = Statement(SMALL.first_day, SMALL.last_day, SMALL.made_at, tuple(lines))
    assert tampering(form(sign(made, KEY)), PUBLIC) == []


@pytest.mark.parametrize("form", FORMS)
def test_no_byte_of_a_statement_can_be_changed(form: object) -> None:
    assert callable(form)
    content = form(sign(SMALL, KEY))
    for place in range(len(content)):
        for other in {content[place] ^ 1, content[place] ^ 0x20, ord("0"), ord(" ")}:
            if other != content[place]:
                changed = content[:place] + bytes([other]) + content[place + 1 :]
                assert tampering(changed, PUBLIC), (place, content[place], other)
        assert tampering(content[:place] + content[place + 1 :], PUBLIC), place
        assert tampering(content[:place] + b" " + content[place:], PUBLIC), place
    assert tampering(content + b"\n", PUBLIC)


@pytest.mark.parametrize("form", FORMS)
def test_it_is_said_what_was_changed(form: object) -> None:
    assert callable(form)
    content = form(sign(SMALL, KEY))
    [dearer, *_] = tampering(content.replace(b"7450", b"7451"), PUBLIC)
    assert dearer.startswith("line 1 (MONEY client 1 USD) is not the one that was signed")
    assert any(
        "the heading" in sentence
        for sentence in tampering(content.replace(b"2026-11-02", b"2026-11-04"), PUBLIC)
    )
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    forged = form(sign(SMALL, other))
    assert "another public key" in tampering(forged, PUBLIC)[0]
    unnamed = forged.replace(public_key_of(other).encode(), PUBLIC.encode())
    [signature] = tampering(unnamed, PUBLIC)
    assert signature.startswith("the signature does not fit")
    assert "no statement" in tampering(b"{}", PUBLIC)[0]
    assert "no statement" in tampering(b"\xff\x00", PUBLIC)[0]


def test_a_line_that_is_gone_is_missed() -> None:
    rows = to_csv(sign(SMALL, KEY)).splitlines(keepends=True)
    told = tampering(b"".join(rows[:3] + rows[4:]), PUBLIC)
    assert "the heading counts 3 lines, there are 2" in told


def test_the_command_verifies_without_a_database(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "statement.json"
    path.write_bytes(to_json(sign(SMALL, KEY)))
    assert command.verify(path, f" {PUBLIC.upper()}\n") == 0
    assert "signed and unchanged: 2026-11-01 to 2026-11-02, 3 lines" in capsys.readouterr().out
    path.write_bytes(path.read_bytes().replace(b"2550", b"2551"))
    assert command.verify(path, PUBLIC) == 1
    assert "line 1" in capsys.readouterr().err
    assert command.verify(tmp_path / "nothing", PUBLIC) == 1


def test_a_genuine_statement_that_does_not_add_up_is_no_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "statement.csv"
    short = Line(Book.MONEY, 1, None, None, "USD", 0, 100, 40, 50)
    made = Statement(SMALL.first_day, SMALL.last_day, SMALL.made_at, (short,))
    path.write_bytes(to_csv(sign(made, KEY)))
    assert command.verify(path, PUBLIC) == 1
    said = capsys.readouterr()
    assert "signed and unchanged" in said.out
    assert "0 + 100 is not 40 + 50 (difference 10)" in said.err
