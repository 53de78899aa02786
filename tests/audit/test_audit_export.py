"""An export proves itself: any file but the one that was written is told from it, and where."""

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from rewards.audit import export, service
from rewards.audit.checking import Check
from rewards.audit.csv_export import CsvRows
from rewards.audit.model import AuditFact
from rewards.audit.model_chain import EPOCH, signing_key
from rewards.audit.model_export import NOTHING, JsonLines, heading_of
from rewards.audit.sealing import AuditSealer
from rewards.core.actor import SYSTEM, Actor, ActorKind
from rewards.entry import trail
from rewards.infra.db import Database
from tests.audit.trailing import AT, EVER, KEY, PUBLIC, tamper
from tests.webhooks.feeding import Clock

Form = type[JsonLines] | type[CsvRows]
FORMS = [JsonLines, CsvRows]
HOUR = timedelta(hours=1)
CLIENT = Actor(ActorKind.CLIENT, 7, "req_1", "192.0.2.7")
# What a spreadsheet, a quote, a line end or nothing at all may make of a cell.
REASONS = ("=1+1", "'=1+1", "", None, 'a,b;"c"', "two\r\nlines\n", "-5", "'", "\uff1d2", "ä€😀")


@dataclass
class Shelf:
    """Three seals, an hour apart: of one entry for each reason, of two, and of one."""

    db: Database

    async def write(self, form: Form, since: int = -1, until: int = 99) -> bytes:
        """Of the seals from that hour on, and before that one."""
        times = (AT + since * HOUR, AT + until * HOUR)
        async with self.db.connection() as connection:
            span = await export.span(connection, *times)
        heading = heading_of(span, *times, AT, KEY)
        return b"".join([form.write(each) async for each in export.lines(self.db, heading)])


@pytest.fixture
async def shelf(db: Database) -> Shelf:
    facts = [AuditFact(CLIENT, 7, "order.placed", "order", 1, {"a": 1.50}, r) for r in REASONS]
    batches = [facts, [AuditFact(SYSTEM, None, "=x", "@y", 2, {"b": "'"})] * 2, facts[:1]]
    for hour, batch in enumerate(batches):
        async with db.transaction() as tx:
            await service.record(tx, batch, AT + hour * HOUR)
        await AuditSealer(db, Clock(AT + hour * HOUR), KEY, ahead_max=EVER).drain()
    return Shelf(db)


def check(content: bytes, form: Form, key: str = PUBLIC) -> tuple[list[str], Check]:
    checked = Check(key)
    return checked.run(form.read(content.splitlines(keepends=True))), checked


@pytest.mark.parametrize("form", FORMS)
async def test_an_export_proves_itself(shelf: Shelf, form: Form) -> None:
    problems, checked = check(await shelf.write(form), form)
    assert problems == []
    assert (checked.entries, checked.seals) == (len(REASONS) + 3, 3)


@pytest.mark.parametrize("form", FORMS)
async def test_windows_make_no_difference(
    shelf: Shelf, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = await shelf.write(form)
    for name, most in (("SEALS_MAX", 1), ("ENTRIES_MAX", 2)):
        monkeypatch.setattr(export, name, most)
        assert await shelf.write(form) == whole


@pytest.mark.parametrize("form", FORMS)
async def test_times_that_meet_have_every_entry_once(shelf: Shelf, form: Form) -> None:
    first, second = await shelf.write(form, until=1), await shelf.write(form, since=1)
    entries = 0
    for content in (first, second):
        problems, checked = check(content, form)
        assert problems == []
        entries += checked.entries
    assert entries == len(REASONS) + 3
    problems, checked = check(await shelf.write(form, since=50), form)
    assert (problems, checked.entries, checked.seals) == ([], 0, 0)


@pytest.mark.parametrize("form", FORMS)
async def test_facts_as_long_as_they_may_be_are_read_again(shelf: Shelf, form: Form) -> None:
    """A cancel may name each item of an order: two hundred kilobytes in one cell."""
    many = {"item_ids": [f"1000000000000-{number}" for number in range(10_000)]}
    async with shelf.db.transaction() as tx:
        fact = AuditFact(SYSTEM, None, "approval.requested", "approval", 1, many)
        await service.record(tx, [fact], AT)
    await AuditSealer(shelf.db, Clock(AT + 3 * HOUR), KEY, ahead_max=EVER).drain()
    before = csv.field_size_limit()
    problems, checked = check(await shelf.write(form), form)
    assert (problems, checked.entries) == ([], len(REASONS) + 4)
    assert csv.field_size_limit() == before


async def test_it_says_what_the_trail_says(shelf: Shelf) -> None:
    lines = [json.loads(line) for line in (await shelf.write(JsonLines)).splitlines()]
    assert lines[0]["public_key"] == PUBLIC
    assert [line["reason"] for line in lines[1 : 1 + len(REASONS)]] == list(REASONS)
    assert lines[1]["facts"] == {"a": 1.5}
    assert (lines[1]["actor"], lines[1]["address"], lines[1]["position"]) == (
        *("CLIENT", "192.0.2.7"),
        1,
    )
    assert lines[1 + len(REASONS)]["record"] == "SEAL"


async def test_nothing_in_a_cell_runs(shelf: Shelf) -> None:
    written = (await shelf.write(CsvRows)).decode()
    for start in (",=", ",@", ",-", ",\uff1d", ',"='):
        assert start not in written
    assert ",'=1+1," in written


Change = Callable[[list[bytes]], list[bytes]]
TAMPERED: list[tuple[str, Change, str]] = [
    ("a word", lambda f: [each.replace(b"two", b"ten") for each in f], "position 6 is not what"),
    ("a fact", lambda f: [f[0], f[1].replace(b"1.5", b"1.6"), *f[2:]], "position 1 is not what"),
    ("a line out", lambda f: [*f[:3], *f[4:]], "position 4 stands behind position 2"),
    ("a line twice", lambda f: [*f[:3], f[2], *f[3:]], "position 2 stands behind position 2"),
    ("two lines changed places", lambda f: [f[0], f[2], f[1], *f[3:]], "stands behind position 2"),
    ("the end cut off", lambda f: f[:-2], "it ends with seal 2, and should with 3"),
    ("cut in the midst of a seal", lambda f: f[:-1], "entries at the end that no seal takes in"),
    ("the beginning cut off", lambda f: [f[0], *f[12:]], "seal 2 stands where 1 should"),
    ("another seal gone", lambda f: [*f[:12], *f[15:]], "position 13 stands behind position 10"),
    ("no heading", lambda f: f[1:], "this is no export"),
    ("two headings", lambda f: [f[0], *f], "a second heading"),
    ("nothing", lambda _: [], "it is empty"),
]


@pytest.mark.parametrize(("_name", "change", "said"), TAMPERED)
async def test_whatever_was_done_to_the_file_is_told(
    shelf: Shelf, _name: str, change: Change, said: str
) -> None:
    """The lines: a heading, ten entries, their seal, two, their seal, one, its seal."""
    lines = (await shelf.write(JsonLines)).splitlines(keepends=True)
    problems, _ = check(b"".join(change(lines)), JsonLines)
    assert problems, "nobody noticed"
    assert said in problems[0]


async def test_every_single_byte_counts(shelf: Shelf) -> None:
    """Of JSON lines; of a table what its cells say."""
    content = await shelf.write(JsonLines, since=1)
    for place in range(0, len(content), 7):
        flipped = bytes([content[place] ^ 1])
        assert check(content[:place] + flipped + content[place + 1 :], JsonLines)[0], place


async def test_a_table_with_another_cell_is_told(shelf: Shelf) -> None:
    content = await shelf.write(CsvRows)
    for old, new, said in (
        (b"'=1+1", b"'=1+2", "position 1 is not what was sealed"),
        (b"192.0.2.7", b"192.0.2.8", "position 1 is not what was sealed"),
        (b"TRAIL,1", b"TRAIL,2", "no export"),
        (b"SEAL,2", b"SEAL,4", "seal 4 stands where 2 should"),
        (b"ENTRY,,3", b"ENTRY,9,3", "cannot be read"),
        (b"ENTRY,,3", b"ENTRY,,x", "cannot be read"),
    ):
        assert old in content
        problems, _ = check(content.replace(old, new, 1), CsvRows)
        assert said in problems[0]


@pytest.mark.parametrize("form", FORMS)
async def test_what_the_database_lost_or_changed_is_told_of_the_file(
    shelf: Shelf, dsn: str, form: Form
) -> None:
    await tamper(
        dsn,
        "DELETE FROM audit_entries WHERE id = 2; UPDATE audit_entries SET client_id = 8"
        " WHERE id = 4",
    )
    problems, _ = check(await shelf.write(form), form)
    assert problems == [
        "entry 2 at position 2 had been deleted",
        "entry 4 at position 4 is not what was sealed",
    ]


async def test_another_key_did_not_sign_it(shelf: Shelf) -> None:
    content = await shelf.write(JsonLines)
    problems, _ = check(content, JsonLines, "ab" * 32)
    assert problems[:2] == [
        "it names another public key than the one given",
        "the heading is not signed with this key, or was changed",
    ]
    forged = heading_of(NOTHING, EPOCH, AT, AT, signing_key(b"?" * 32))
    problems, _ = check(JsonLines.write([forged]), JsonLines)
    assert "not signed with this key" in problems[1]


@pytest.mark.parametrize("form", FORMS)
async def test_the_command_says_so(
    shelf: Shelf, form: Form, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = await shelf.write(form)
    (tmp_path / "trail").write_bytes(content)
    assert trail.verify(tmp_path / "trail", PUBLIC.upper() + "\n") == trail.SOUND
    assert capsys.readouterr().out == f"unbroken: {len(REASONS) + 3} entries in seals 1 to 3\n"
    (tmp_path / "trail").write_bytes(content.replace(b"order", b"other"))
    assert trail.verify(tmp_path / "trail", PUBLIC) == trail.WRONG
    assert "entry 1 at position 1 is not what was sealed" in capsys.readouterr().err
    assert trail.verify(tmp_path / "none", PUBLIC) == trail.WRONG
    (tmp_path / "trail").write_bytes(b"\xff\x00" * 50)
    assert trail.verify(tmp_path / "trail", PUBLIC) == trail.WRONG
