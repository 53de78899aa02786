"""Workbooks: read as an independent reader reads them, refused before a row is loaded."""

import io
import random
import zipfile
from datetime import date, datetime, timedelta

import pytest
import python_calamine
import xlsxwriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rewards.infra import xlsx as workbook
from rewards.infra.xlsx_formats import Kind, kind_of
from rewards.infra.xlsx_strings import SharedStrings
from rewards.inventory import files
from rewards.inventory.model import FileRefused, RowProblem
from rewards.inventory.rows import RowReader
from tests.inventory.test_inventory_files import (
    GOOD,
    HEADER,
    NOW,
    SHOP,
    check,
    read,
    read_and_check,
)

SHEET = "xl/worksheets/sheet1.xml"
MAIN = b"http://schemas.openxmlformats.org/spreadsheetml/2006/main"
WORKSHEET = b'<worksheet xmlns="%s">' % MAIN


def xlsx(rows: list[list[object]], *, sheets: int = 1, formula: bool = False) -> bytes:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"nan_inf_to_errors": True}) as workbook:
        day = workbook.add_format({"num_format": "yyyy-mm-dd"})
        for _ in range(sheets):
            sheet = workbook.add_worksheet()
            for at, row in enumerate(rows):
                for column, value in enumerate(row):
                    if isinstance(value, date):
                        sheet.write_datetime(at, column, value, day)
                    elif isinstance(value, str):
                        sheet.write_string(at, column, value)
                    else:
                        sheet.write(at, column, value)
            if formula:
                sheet.write_formula(1, 4, "=1+1", value="CANARY-9")
    return out.getvalue()


def test_a_workbook_reads_like_the_same_csv() -> None:
    cells: list[object] = [6, 25, "USD", date(2027, 12, 31), "CANARY-1", "0042", 24.5]
    rows = read(xlsx([list(HEADER), cells, [None], list(GOOD)]))
    assert [number for number, _ in rows] == [1, 2, 4]
    reader = RowReader(rows[0][1], SHOP, NOW)  # type: ignore[arg-type]
    assert reader.unit(rows[1][1]) == reader.unit(rows[2][1]) == check(list(GOOD))  # type: ignore[arg-type]
    assert read(xlsx([])) == []


def test_workbooks_that_are_not_plain_values_are_refused() -> None:
    rows: list[list[object]] = [list(HEADER), list(GOOD)]
    far: list[list[object]] = [list(HEADER), *([[]] * 900_000), [None] * 39 + [1]]
    for data, part in (
        (xlsx(rows, sheets=2), "exactly one sheet"),
        (xlsx(rows, formula=True), "a formula in row 2, column 5"),
        (xlsx(far), "too large"),
        (xlsx(rows)[:-100], "cannot be read"),
        (b"PK\x03\x04" + bytes(range(256)), "cannot be read"),
    ):
        with pytest.raises(FileRefused, match=part) as refused:
            read(data)
        assert "CANARY" not in refused.value.message


def rewritten(data: bytes, **parts: bytes) -> bytes:
    """A workbook with some of its parts replaced."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", 8) as new:
        for member in old.infolist():
            new.writestr(member.filename, parts.get(member.filename, old.read(member)))
    return out.getvalue()


def sheet_of(cells: bytes) -> bytes:
    return b"%s<sheetData>%s</sheetData></worksheet>" % (WORKSHEET, cells)


# What is no XML, and what expat would keep until the end: open elements, names, a comment, a tag.
HOSTILE_XML = [
    b'<!DOCTYPE x [<!ENTITY a "aaaa">]><worksheet/>',
    b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><worksheet/>',
    b"not xml",
    WORKSHEET + b" " * 2**20,
    sheet_of(b"<a>" * 40_000 + b"</a>" * 40_000),
    sheet_of(b"".join(b"<n%d/>" % n for n in range(20_000))),
    sheet_of(b"".join(b'<a n%d=""/>' % n for n in range(20_000))),
    sheet_of(b"<!--" + b"a" * 2**21 + b"-->"),
    sheet_of(b'<a b="' + b"a" * 2**21 + b'"/>'),
]
HOSTILE_SHEETS = [
    sheet_of(b'<row r="1"><c r="XFD1048576"/></row>'),
    sheet_of(b'<row r="1048576"><c r="XFD1048576"/></row>'),
    sheet_of(b'<row r="1"><c r="XFE1"/></row>'),
    sheet_of(b'<row r="99999999999999999999"/>'),
    sheet_of(b'<row r="0"/>'),
    sheet_of(b'<row r="2"/><row r="2"/>'),
    sheet_of(b'<row r="1"><c r="A2"><v>1</v></c></row>'),
    sheet_of(b'<row r="1"><c r="\xc3\x841"><v>1</v></c></row>'),
    sheet_of(b'<row r="1">' + b"<c/>" * 16_385 + b"</row>"),
    WORKSHEET + b"<sheetData>" + b'<row r="1"><c/><c/></row>' * 9,
]


@pytest.mark.parametrize(
    ("name", "part"),
    [
        *((SHEET, part) for part in HOSTILE_XML + HOSTILE_SHEETS),
        *(("xl/sharedStrings.xml", part) for part in HOSTILE_XML),
        *(("xl/styles.xml", part) for part in HOSTILE_XML),
    ],
)
def test_hostile_parts_are_refused_before_a_row_is_given(name: str, part: bytes) -> None:
    data = rewritten(xlsx([list(HEADER), list(GOOD)]), **{name: part})
    with pytest.raises(FileRefused):
        next(files.rows(io.BytesIO(data)))


def test_workbooks_that_unpack_to_too_much_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = rewritten(xlsx([list(HEADER), list(GOOD)]), **{"xl/styles.xml": b"0" * 2**24})
    monkeypatch.setattr(workbook, "INFLATED_BYTES_FREE", 2**20)
    with pytest.raises(FileRefused, match="200 times its size"):
        read(bomb)
    monkeypatch.setattr(workbook, "INFLATED_BYTES_MAX", 2**22)
    with pytest.raises(FileRefused, match="unpacks to more than 4 MiB"):
        read(bomb)


def test_flipped_and_cut_workbooks_never_crash_the_reader() -> None:
    data = xlsx([list(HEADER), *([list(GOOD)] * 20)])
    rng = random.Random(49)
    refused = 0
    for _ in range(500):
        broken = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        if rng.random() < 0.2:
            del broken[rng.randrange(len(broken)) :]
        complaints = read_and_check(bytes(broken))
        assert "CANARY" not in repr(complaints)
        refused += bool(complaints)
    assert refused > 100


def test_mangled_sheets_never_crash_the_reader() -> None:
    data = xlsx([list(HEADER), *([list(GOOD)] * 5)])
    names = ["xl/worksheets/sheet1.xml", "xl/sharedStrings.xml", "xl/styles.xml", "xl/workbook.xml"]
    with zipfile.ZipFile(io.BytesIO(data)) as workbook:
        parts = {name: workbook.read(name) for name in names}
    rng = random.Random(50)
    junk = [b"", b"<", b">", b'"', b"&", b"-1", b"99999999999", b"A1", b"e", b"</c>", b"\xff"]
    for turn in range(500):
        name = names[turn % len(names)]
        broken = bytearray(parts[name])
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(broken))
            broken[at : at + rng.randint(0, 9)] = rng.choice(junk)
        assert "CANARY" not in repr(read_and_check(rewritten(data, **{name: bytes(broken)})))


def as_others_read(data: bytes) -> list[files.Row]:
    """All rows, as calamine reads them."""
    with python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(data)) as book:
        sheet = book.get_sheet_by_index(0)
    return [] if sheet.start is None else list(enumerate(sheet.iter_rows(), 1))


def trimmed(rows: list[files.Row]) -> list[tuple[int, object]]:
    """Rows without the space around texts and the blank cells at the end, which mean nothing."""
    found: list[tuple[int, object]] = []
    for at, cells in rows:
        assert not isinstance(cells, RowProblem)
        # With their types: true is not 1 here.
        kept = [(type(cell), cell.strip() if isinstance(cell, str) else cell) for cell in cells]
        while kept and kept[-1] == (str, ""):
            kept.pop()
        found.append((at, kept))
    return [row for row in found if row[1]]


# What Excel takes as a cell's text.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
moments = st.datetimes(datetime(1900, 1, 1), datetime(9999, 12, 31)).map(  # noqa: DTZ001
    lambda moment: moment.replace(microsecond=0)
)
values = st.one_of(
    st.none(),
    texts,
    st.sampled_from(["_x0041_", " a ", "a\nb", "007", "CANARY-1", "a\tb", "<&>"]),
    st.integers(-(10**15), 10**15),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.booleans(),
    st.dates(date(1900, 3, 1)),
    moments,
    st.times().map(lambda moment: moment.replace(microsecond=0)),
    st.timedeltas(timedelta(0), timedelta(days=99)).map(lambda d: timedelta(seconds=d.seconds)),
)


def write_all(
    rows: list[list[object]], across: int, down: int, *, inline: bool, from_1904: bool
) -> bytes:
    out = io.BytesIO()
    options = {"constant_memory": inline, "date_1904": from_1904, "default_date_format": "d.m.yy"}
    with xlsxwriter.Workbook(out, options) as book:
        sheet = book.add_worksheet()
        elapsed = book.add_format({"num_format": "[h]:mm:ss"})
        bold = book.add_format({"bold": True})
        for at, row in enumerate(rows, down):
            for column, value in enumerate(row, across):
                if isinstance(value, str) and len(value) > 9 and "\n" not in value:
                    sheet.write_rich_string(at, column, value[:4], bold, value[4:])
                elif isinstance(value, str):
                    sheet.write_string(at, column, value)
                elif isinstance(value, timedelta):
                    sheet.write_datetime(at, column, value, elapsed)
                elif isinstance(value, date) and from_1904 and value.year < 1904:
                    sheet.write_number(at, column, value.year)
                else:
                    sheet.write(at, column, value)
    return out.getvalue()


@given(
    st.lists(st.lists(values, max_size=6), max_size=6),
    st.integers(0, 3),
    st.integers(0, 3),
    st.booleans(),
    st.booleans(),
)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_what_a_writer_writes_is_read_as_another_reader_reads_it(
    rows: list[list[object]], across: int, down: int, inline: bool, from_1904: bool
) -> None:
    data = write_all(rows, across, down, inline=inline, from_1904=from_1904)
    assert trimmed(read(data)) == trimmed(as_others_read(data))


STYLES = (
    b"""<styleSheet xmlns="%s"><numFmts><numFmt numFmtId="170" formatCode="[h]:mm"/></numFmts>
<cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="170"/></cellXfs></styleSheet>"""
    % MAIN
)
STRINGS = (
    b"""<sst xmlns="%s"><si><t>zero</t></si><si><r><t>ri</t></r><r><rPr/><t xml:space="preserve"> ch
</t></r><rPh sb="0" eb="1"><t>sound</t></rPh></si><si/><si><t/></si></sst>"""
    % MAIN
)


def with_cells(cells: bytes) -> bytes:
    rows = b'<row r="1"><c r="A1" t="str"><v>x</v></c>%s</row>' % cells
    made = {SHEET: sheet_of(rows), "xl/styles.xml": STYLES, "xl/sharedStrings.xml": STRINGS}
    return rewritten(xlsx([["x"]]), **made)


@pytest.mark.parametrize(
    "cell",
    [
        b't="s"><v>0</v>',
        b't="s"><v>1</v>',
        b't="s"><v>2</v>',
        b't="s"><v>3</v>',
        b't="b"><v>1</v>',
        b't="b"><v>0</v>',
        b't="b"><v>true</v>',
        b't="e"><v>#N/A</v>',
        b't="e"><v>#REF!</v>',
        b't="str"><v> a_x000D_b_x005F_x0041_</v>',
        b't="str"><v><!-- k -->ab&#65;&amp;</v>',
        b't="d"><v>2027-12-31</v>',
        b't="d"><v>2027-12-31T10:00:00</v>',
        b't="d"><v>10:00:00</v>',
        b't="d"><v>soon</v>',
        b't="n"><v>6.50</v>',
        b"><v>6</v>",
        b"><v>-6e3</v>",
        b"><v>1e309</v>",
        b"><v>123456789012345678</v>",
        b"><v>six</v>",
        b"><v></v>",
        b">",
        b't="inlineStr"><is><t>in</t></is>',
        b't="inlineStr"><is><r><t>a</t></r><r><t>b</t></r><rPh><t>z</t></rPh></is>',
        b't="inlineStr">',
        b's="1"><v>46000</v>',
        b's="1"><v>46000.25</v>',
        b's="1" t="n"><v>59</v>',
        b's="1"><v>60</v>',
        b's="1"><v>61</v>',
        b's="1"><v>0.5</v>',
        b's="1"><v>2958465</v>',
        b's="1"><v>2958466</v>',
        b's="1"><v>soon</v>',
        b's="2"><v>46000.5</v>',
        b's="9"><v>46000</v>',
        b's="x"><v>46000</v>',
    ],
)
def test_a_cell_of_any_type_is_read_as_another_reader_reads_it(cell: bytes) -> None:
    data = with_cells(b'<c r="C1" %s</c>' % cell)
    assert trimmed(read(data)) == trimmed(as_others_read(data))
    without_reference = with_cells(b"<c %s</c>" % cell)
    assert trimmed(read(without_reference)) == trimmed(as_others_read(without_reference))


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        (b't="s"><v>4</v>', "a cell that cannot be read"),
        (b't="s"><v>-1</v>', "a cell that cannot be read"),
        (b't="s"><v>zero</v>', "a cell that cannot be read"),
        (b't="n"><v>six</v>', "a cell that cannot be read"),
        (b't="zz"><v>six</v>', "a cell that cannot be read"),
        (b't="str"><v>' + b"a" * 70_000 + b"</v>", "a row that is too long"),
        (b't="str"><v>' + b"a" * 40_000 + b"</v>", None),
    ],
)
def test_a_broken_cell_hurts_only_its_row(cell: bytes, problem: str | None) -> None:
    rows = b'<row><c %s</c></row><row r="5"><c t="str"><v>y</v></c></row>' % cell
    data = rewritten(xlsx([["x"]]), **{SHEET: sheet_of(rows), "xl/sharedStrings.xml": STRINGS})
    (first, broken), after = read(data)
    assert (first, after) == (1, (5, ["y"]))
    assert (str(broken) if isinstance(broken, RowProblem) else None) == problem


def test_a_shared_text_that_is_too_long_hurts_only_its_rows() -> None:
    long = b"<si><t>%s</t></si>" % (b"a" * 3 * 2**20)
    strings = b'<sst xmlns="%s">%s<si><t>y</t></si></sst>' % (MAIN, long)
    rows = b'<row><c t="s"><v>0</v></c></row><row><c t="s"><v>1</v></c></row>'
    data = rewritten(xlsx([["x"]]), **{SHEET: sheet_of(rows), "xl/sharedStrings.xml": strings})
    (_, broken), after = read(data)
    assert (str(broken), after) == ("a row that is too long", (2, ["y"]))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("yyyy-mm-dd", Kind.MOMENT),
        ("[$-409]d\\-mmm;@", Kind.MOMENT),
        ("AM/PM", Kind.MOMENT),
        ("[h]:mm:ss", Kind.DURATION),
        ("[mm]:ss", Kind.DURATION),
        ("General", None),
        ('"day" 0', None),
        ("[Red]0", None),
        ("\\d0", None),
        ("_d0", None),
        ("*d0", None),
        ("0;d", None),
        ("@", None),
        ("", None),
    ],
)
def test_formats_tell_dates_from_numbers(code: str, kind: Kind | None) -> None:
    assert kind_of(code) is kind


@given(st.lists(st.one_of(texts, st.just("a" * 5000)), max_size=60), st.randoms())
def test_shared_strings_give_back_what_was_kept(kept: list[str], rng: random.Random) -> None:
    kept = [text.replace("_x", "") for text in kept] * 30
    with SharedStrings() as strings:
        for text in kept:
            strings.append(text)
        strings.flush()
        numbers = list(range(len(kept)))
        rng.shuffle(numbers)
        assert [strings[number] for number in numbers] == [kept[number] for number in numbers]
        for number in (-1, len(kept)):
            with pytest.raises(IndexError):
                strings[number]
