"""Stock files: what is read, what is refused, and that no answer ever quotes the file."""

import io
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.inventory import files
from rewards.inventory.model import FileRefused, NewUnit, RowProblem
from rewards.inventory.rows import COLUMNS, RowReader
from tests.inventory import stock_files
from tests.inventory.stock_builder import NOW, SHELF, Shop, product

HEADER = list(stock_files.HEADER)
GOOD = ["6", "25.00", "USD", "2027-12-31", "CANARY-1", "0042", "24.50"]
# As a spreadsheet's cell arrives.
NAIVE = datetime(2027, 12, 31, 10)  # noqa: DTZ001
SHOP = Shop(
    product(),
    product(7, currency="JPY", exponent=0, voucher_fields=("claim_url",)),
    product(8, voucher_fields=("card_number", "pin_code")),
)


def read(data: bytes) -> list[files.Row]:
    return list(files.rows(io.BytesIO(data)))


def check(row: list[object], header: list[str] | None = None) -> NewUnit:
    return RowReader(header or HEADER, SHOP, NOW).unit(row)


def test_a_good_row_becomes_a_unit() -> None:
    unit = check(list(GOOD))
    assert unit == NewUnit(
        SHELF,
        {"code": "CANARY-1", "pin": "0042"},
        datetime(2027, 12, 31, 23, 59, 59, tzinfo=UTC),
        2450,
        "USD",
    )


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("denomination", "25"),
        ("denomination", "25.0"),
        ("currency", "usd"),
        ("product_id", " 6 "),
        ("expires_at", ""),
        ("expires_at", "2027-12-31T10:00:00Z"),
        ("expires_at", "2027-12-31 10:00:00+05:30"),
        ("expires_at", NAIVE),
        ("expires_at", date(2027, 12, 31)),
        ("cost", ""),
        ("cost", 24.5),
        ("cost", "0"),
        ("denomination", 25.0),
        ("product_id", 6.0),
    ],
)
def test_other_spellings_of_a_good_row_are_read(column: str, value: object) -> None:
    row: list[object] = list(GOOD)
    row[HEADER.index(column)] = value
    assert check(row).shelf == SHELF


def test_times_mean_what_they_say() -> None:
    def end(text: object) -> datetime | None:
        return check([*GOOD[:3], text, *GOOD[4:]]).expires_at

    assert end("") is None
    assert end("2027-12-31T10:00:00") == datetime(2027, 12, 31, 10, tzinfo=UTC)
    assert end("2027-12-31 10:00:00+05:30") == datetime(2027, 12, 31, 4, 30, tzinfo=UTC)
    assert end(date(2027, 12, 31)) == end("2027-12-31")
    assert end(NAIVE) == end("2027-12-31T10:00:00Z")
    today = NOW.date()
    assert end(today.isoformat()) == datetime(2026, 6, 1, 23, 59, 59, tzinfo=UTC)


BAD = [
    ("product_id", "", "product_id: not a whole number"),
    ("product_id", "six", "product_id: not a whole number"),
    ("product_id", "-6", "product_id: not a whole number"),
    ("product_id", "6.5", "product_id: not a whole number"),
    ("product_id", "٦", "product_id: not a whole number"),
    ("product_id", "9", "product_id: no such product"),
    ("product_id", "9" * 30, "product_id: not a whole number"),
    ("product_id", True, "product_id: not a text cell"),
    ("denomination", "", "denomination: required"),
    ("denomination", "25.001", "denomination: precision"),
    ("denomination", "25,00", "denomination: format"),
    ("denomination", "1e309", "denomination: max"),
    ("denomination", "NaN", "denomination: format"),
    ("denomination", float("nan"), "denomination: not a number"),
    ("denomination", float("inf"), "denomination: not a number"),
    ("denomination", 1e300, "denomination: format"),
    ("denomination", "-25", "denomination: gt"),
    ("denomination", "0", "denomination: gt"),
    ("denomination", "26", "denomination: not one the product has"),
    ("currency", "", "currency: not the product's"),
    ("currency", "EUR", "currency: not the product's"),
    ("expires_at", "31/12/2027", "expires_at: not a date such as 2027-12-31"),
    ("expires_at", "2027-13-01", "expires_at: not a date such as 2027-12-31"),
    ("expires_at", "2027-W01-1", "expires_at: not a date such as 2027-12-31"),
    ("expires_at", "9999-12-31T23:59:59-23:59", "expires_at: not a date such as 2027-12-31"),
    ("expires_at", 45000.0, "expires_at: not a date such as 2027-12-31"),
    ("expires_at", timedelta(days=3), "expires_at: not a text cell"),
    ("expires_at", "2020-01-01", "expires_at: in the past"),
    ("code", "", "code: missing"),
    ("code", "   ", "code: missing"),
    ("code", "=1+1", "code: a formula"),
    ("code", "A\0B", "an unprintable character"),
    ("code", "A\u200bB", "an unprintable character"),
    ("code", "A" * 257, "code: too long"),
    ("code", 123456.0, "code: a number, must be a text cell"),
    ("code", date(2027, 1, 1), "code: not a text cell"),
    ("pin", 42, "pin: a number, must be a text cell"),
    ("pin", False, "pin: not a text cell"),
    ("cost", "-1", "cost: not an amount"),
    ("cost", "1e3", "cost: not an amount"),
    ("cost", "1.005", "cost: not an amount of the product's currency"),
]


@pytest.mark.parametrize(("column", "value", "reason"), BAD)
def test_every_bad_value_says_what_is_wrong(column: str, value: object, reason: str) -> None:
    row: list[object] = list(GOOD)
    row[HEADER.index(column)] = value
    with pytest.raises(RowProblem) as problem:
        check(row)
    assert str(problem.value) == reason


def test_fields_must_be_those_of_the_product() -> None:
    header = ["product_id", "denomination", "currency", "expires_at", "code", "claim_url"]
    link = "https://claim.test/abc"
    unit = check(["7", "2500", "JPY", "", "", link], header)
    assert dict(unit.fields) == {"claim_url": link}
    for row, reason in (
        (["7", "2500", "JPY", "", "CANARY-1", link], "code: not a field of this product"),
        (["7", "2500", "JPY", "", "CANARY-1", ""], "claim_url: missing"),
        (["7", "2500", "JPY", "", "", "ftp://x.test/1"], "claim_url: not a link"),
        (["7", "2500", "JPY", "", "", "https://a b/"], "claim_url: not a link"),
        (["7", "2500", "JPY", "", "", link + "a" * 3000], "claim_url: too long"),
        (["8", "25", "USD", "", "CANARY-1", ""], "card_number: missing"),
    ):
        with pytest.raises(RowProblem, match=reason):
            check(list(row), header)


def test_short_and_padded_rows() -> None:
    assert check([*GOOD, "", None, ""]) == check(list(GOOD))
    assert check(GOOD[:6]).cost_minor is None
    for row in ([*GOOD, "x"], GOOD[:3], ["6"]):
        with pytest.raises(RowProblem):
            check(list(row))


def test_headers_are_told_apart_without_being_quoted() -> None:
    RowReader([*HEADER, "", ""], SHOP, NOW)
    RowReader([name.upper() + " " for name in HEADER], SHOP, NOW)
    for header, part in (
        (GOOD, "column 1 of the header is none of"),
        ([*HEADER, "code"], "the header has code twice"),
        (HEADER[1:], "the header lacks product_id"),
        (HEADER[:4], "the header has none of"),
        ([*HEADER, "", "code"], "column 8"),
        ([], "the header lacks"),
    ):
        with pytest.raises(FileRefused, match=part) as refused:
            RowReader(header, SHOP, NOW)
        assert "CANARY" not in refused.value.message


def complaint(work: Callable[[], object]) -> str | None:
    """What `work` was refused with; anything but a refusal is a failure."""
    try:
        work()
    except (FileRefused, RowProblem) as refused:
        return str(refused)
    return None


def csv_of(*rows: list[str], newline: str = "\n") -> bytes:
    return newline.join(",".join(row) for row in (HEADER, *rows)).encode()


def test_csv_comes_in_any_usual_dress() -> None:
    plain = read(csv_of(GOOD, GOOD))
    assert plain == [(1, HEADER), (2, GOOD), (3, GOOD)]
    assert read(csv_of(GOOD, GOOD, newline="\r\n")) == plain
    assert read(b"\xef\xbb\xbf" + csv_of(GOOD, GOOD) + b"\r\n\n  \n") == plain
    quoted = [f'"{value}"' for value in GOOD]
    assert read(csv_of(quoted, GOOD)) == plain
    assert read(csv_of([*GOOD[:4], '"CAN,""A"""', *GOOD[5:]]))[1][1] == [
        *GOOD[:4],
        'CAN,"A"',
        *GOOD[5:],
    ]
    assert read(b"") == []


@pytest.mark.parametrize(
    "data",
    [
        csv_of(GOOD).decode().encode("utf-16"),
        csv_of(GOOD).decode().encode("utf-16-le"),
        csv_of(GOOD).decode().encode("utf-16-be"),
        csv_of(GOOD, newline="\r"),
        csv_of(GOOD).replace(b",", b";"),
        csv_of(GOOD).replace(b",", b"\t"),
        b"\0" * 100,
        b"a," * 40_000,
        b"PK\x03\x04 and no more",
    ],
)
def test_what_is_no_stock_file_is_refused(data: bytes) -> None:
    with pytest.raises(FileRefused) as refused:
        read(data)
    assert "CANARY" not in refused.value.message


def test_a_broken_line_hurts_only_itself() -> None:
    broken = [
        b'6,25,USD,,"CANARY-2,1,1',
        b'6,25,USD,,"CAN"ARY-3,1,1',
        b"6,25,USD,,CANARY-\xff,1,1",
        b"6,25,USD,,CANARY\0-5,1,1",
        b"6,25,USD,,CANARY\r-6,1,1",
        b"6,25,USD,," + b"A" * (10 * 2**20) + b",1,1",
    ]
    good = ",".join(GOOD).encode()
    lines = [line for bad in broken for line in (bad, good)]
    rows = read(b"\n".join([",".join(HEADER).encode(), *lines]))
    assert [number for number, _ in rows] == list(range(1, 14))
    assert [str(cells) for _, cells in rows[1::2]] == [
        "quotes that do not match",
        "quotes that do not match",
        "not UTF-8",
        "an unprintable character",
        "an unprintable character",
        "a line that is too long",
    ]
    assert [cells for _, cells in rows[2::2]] == [GOOD] * 6


def read_and_check(data: bytes) -> list[str]:
    """Reads a whole file as an import does; every complaint about it."""
    found: list[files.Row] = []
    complaints = [complaint(lambda: found.extend(read(data)))]
    for _, row in found[1:]:
        if isinstance(row, RowProblem):
            complaints.append(str(row))
        else:
            complaints.append(complaint(partial(check, list(row))))
    return [text for text in complaints if text]


cells = st.one_of(
    st.text(max_size=20),
    st.sampled_from([*GOOD, "=1", '"', '""', "6", "0", "CANARY-1", "2030-01-01", "\0", "\ufeff"]),
)


@given(st.lists(st.lists(cells, max_size=9), max_size=8), st.sampled_from(["\n", "\r\n", "\r"]))
def test_any_text_is_read_or_refused_and_never_quoted(rows: list[list[str]], end: str) -> None:
    data = csv_of(*rows, newline=end).replace(b"\0\0", b"\xff")
    assert "CANARY" not in repr(read_and_check(data))


@given(st.lists(st.sampled_from([*COLUMNS, "", "x", "CANARY"]), max_size=12))
def test_any_header_is_taken_or_refused(header: list[str]) -> None:
    assert "CANARY" not in str(complaint(lambda: RowReader(header, SHOP, NOW)))
