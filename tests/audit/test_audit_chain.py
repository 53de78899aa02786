"""The trail as it was sealed is proved so; whatever was done to it since is found and named."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rewards.audit import verifying
from rewards.audit.model import AuditFact
from rewards.audit.model_chain import (
    EPOCH,
    MICROSECOND,
    START,
    Row,
    entry_digest,
    next_seal,
    seal_digest,
    signed,
    signing_key,
)
from rewards.audit.service import record
from rewards.audit.sql_chain import DIGEST
from rewards.core.actor import Actor, ActorKind
from rewards.infra.db import Database
from rewards.infra.migrate import _grant
from tests.audit.trailing import AT, KEY, PUBLIC, chain, found, sealer, tamper, write, written

BATCHES = (3, 2, 4)
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=20)
READ = """
SELECT id, at, actor_kind, actor_id, client_id, action, subject_kind, subject_id,
    facts::text AS facts, reason, request_id, address
FROM audit_entries ORDER BY id
"""
WORDS = st.none() | TEXT
FACTS = st.dictionaries(TEXT, st.none() | st.booleans() | st.integers() | TEXT | st.lists(TEXT))
ENTRIES = st.builds(
    AuditFact,
    st.builds(Actor, st.sampled_from(ActorKind), st.none() | st.integers(1, 2**62), WORDS, WORDS),
    st.none() | st.integers(1, 2**62),
    TEXT,
    TEXT,
    st.integers(1, 2**62),
    FACTS,
    WORDS,
)
TIMES = st.integers(0, 8_000 * 365 * 86_400 * 10**6).map(lambda n: EPOCH + n * MICROSECOND)


@pytest.fixture
async def sealed(db: Database) -> list[int]:
    """Three seals, of three, two and four entries; their ids in order."""
    for count in BATCHES:
        await written(db, count)
        assert (await sealer(db).seal()).rows == count
    return await chain(db)


async def test_an_untouched_trail_is_sound(db: Database, dsn: str, sealed: list[int]) -> None:
    assert sealed == sorted(sealed)
    assert len(sealed) == sum(BATCHES)
    assert await found(dsn) == {}


async def test_an_empty_trail_is_sound(db: Database, dsn: str) -> None:
    assert await found(dsn) == {}


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(entries=st.lists(ENTRIES, min_size=1, max_size=20), at=TIMES)
async def test_the_digest_is_the_same_in_sql_and_here(
    db: Database, entries: list[AuditFact], at: datetime
) -> None:
    async with db.transaction() as tx:
        await record(tx, entries, at)
    async with db.connection() as connection:
        rows = [Row(**dict(row)) for row in await connection.fetch(READ)]
        made = await connection.fetch(f"SELECT {DIGEST} AS d FROM audit_entries AS s ORDER BY id")
    assert [entry_digest(row) for row in rows] == [row["d"] for row in made]
    # A look at the words, not only at how they are put together.
    assert json.loads(rows[-1].facts) == dict(entries[-1].facts)


def test_no_two_entries_have_one_digest() -> None:
    """Whatever is moved from one field to the next, or is nothing instead of empty."""
    row = Row(1, AT, "CLIENT", 7, 7, "a", "b", 1, "{}", "c", "d", "e")
    others = [
        replace(row, action="a\n1:b", subject_kind=""),
        replace(row, action="", subject_kind="ab"),
        replace(row, reason="", request_id="cd"),
        replace(row, reason=None),
        replace(row, reason="-"),
        replace(row, actor_id=None),
        replace(row, at=AT + timedelta(microseconds=1)),
        replace(row, id=2),
        replace(row, client_id=8),
        replace(row, facts='{"a": 1}'),
    ]
    assert len({entry_digest(each) for each in (row, *others)}) == len(others) + 1


def test_a_seal_never_goes_back_in_time_and_only_its_key_signs_it() -> None:
    first = next_seal(START, [b"a" * 32], AT, KEY)
    second = next_seal(first.head, [b"b" * 32, b"c" * 32], AT - timedelta(hours=1), KEY)
    assert (second.sequence, second.first_position, second.last_position) == (2, 2, 3)
    assert second.sealed_at == AT
    assert seal_digest(first.digest, second, b"b" * 32 + b"c" * 32) == second.digest
    assert signed(second.digest, second.signature, PUBLIC)
    assert not signed(second.digest, first.signature, PUBLIC)
    assert not signed(second.digest, second.signature, "ab" * 32)
    assert not signed(second.digest, second.signature, "no key")


# What was done; which checks say so; the subject that the first of them names, by its place.
TAMPERED: list[tuple[str, str, dict[str, tuple[str, int]]]] = [
    (
        "facts changed",
        "UPDATE audit_entries SET facts = facts || '{\"amount\": 1.0}' WHERE id = {5}",
        {verifying.ENTRIES: ("changed", 5)},
    ),
    (
        "only the digits of a number changed",
        "UPDATE audit_entries SET at = at + interval '1 microsecond' WHERE id = {0}",
        {verifying.ENTRIES: ("changed", 0)},
    ),
    (
        "row deleted",
        "DELETE FROM audit_entries WHERE id = {4}",
        {verifying.ENTRIES: ("deleted", 4)},
    ),
]


@pytest.mark.parametrize(("_name", "what", "expected"), TAMPERED)
async def test_what_was_done_to_an_entry_is_named(
    db: Database, dsn: str, sealed: list[int], _name: str, what: str, expected: dict[str, Any]
) -> None:
    for place, entry_id in enumerate(sealed):
        what = what.replace(f"{{{place}}}", str(entry_id))
    await tamper(dsn, what)
    said = await found(dsn)
    assert said.keys() == expected.keys()
    for name, (problem, place) in expected.items():
        [row] = said[name]
        assert (row["problem"], row["subject"]) == (problem, sealed[place])
        assert row["position"] == place + 1


async def test_the_first_of_many_changes_comes_first(
    db: Database, dsn: str, sealed: list[int]
) -> None:
    await tamper(dsn, "UPDATE audit_entries SET reason = 'x'")
    rows = (await found(dsn))[verifying.ENTRIES]
    assert [row["subject"] for row in rows] == sealed


async def test_an_entry_that_was_slipped_in_is_named(
    db: Database, dsn: str, sealed: list[int]
) -> None:
    """Under a transaction of long ago, or one to come, so that no sealer ever meets it."""
    slip = (
        "INSERT INTO audit_entries (at, actor_kind, action, subject_kind, subject_id, xid)"
        " VALUES ('2026-01-01', 'SYSTEM', 'x', 'order', 1, '{}') RETURNING id"
    )
    await tamper(dsn, slip.format(3) + ";" + slip.format(10**15))
    said = await found(dsn)
    assert [row["action"] for row in said.pop("i20_entry_that_was_there_is_sealed")] == ["x"] * 2
    # Nobody will seal them, which is told too.
    assert said.keys() == {verifying.KEEPS_UP}


async def test_an_entry_put_into_the_chain_is_found(
    db: Database, dsn: str, sealed: list[int]
) -> None:
    await tamper(
        dsn,
        "INSERT INTO audit_chain SELECT max(position) + 1, 999, sha256('') FROM audit_chain",
    )
    [row] = (await found(dsn))[verifying.END]
    assert (row["subject"], row["problem"]) == (999, "no seal takes it in")


@pytest.mark.parametrize(("one", "other", "seals"), [(6, 8, [3]), (1, 4, [1, 2])])
async def test_entries_that_changed_places_are_found(
    db: Database, dsn: str, sealed: list[int], one: int, other: int, seals: list[int]
) -> None:
    swap = "UPDATE audit_chain SET (entry_id, digest) = (SELECT entry_id, digest FROM was"
    await tamper(
        dsn,
        "ALTER TABLE audit_chain DROP CONSTRAINT audit_chain_entry_key;"
        "CREATE TEMP TABLE was AS SELECT * FROM audit_chain;"
        f"{swap} WHERE position = {one}) WHERE position = {other};"
        f"{swap} WHERE position = {other}) WHERE position = {one};",
    )
    rows = (await found(dsn))[verifying.SEALS]
    assert [row["subject"] for row in rows] == seals
    assert all("its digest is another one" in row["problem"] for row in rows)
    # The one that stands behind a younger one is named where there is one.
    assert rows[0]["entry_id"] == sealed[one]


async def test_an_entry_changed_with_its_digest_breaks_its_seal(
    db: Database, dsn: str, sealed: list[int]
) -> None:
    await tamper(
        dsn,
        f"UPDATE audit_entries SET reason = 'x' WHERE id = {sealed[3]};"
        f"UPDATE audit_chain SET digest = (SELECT {DIGEST} FROM audit_entries AS s"
        " WHERE s.id = entry_id);",
    )
    said = await found(dsn)
    assert [(row["subject"], row["positions"]) for row in said[verifying.SEALS]] == [(2, "4-5")]
    assert said.keys() == {verifying.SEALS}


async def test_a_chain_that_was_made_anew_is_not_signed_by_us(
    db: Database, dsn: str, sealed: list[int]
) -> None:
    """All digests fit: what it takes to say so is not in the database."""
    await tamper(
        dsn,
        f"UPDATE audit_entries SET reason = 'x' WHERE id = {sealed[8]};"
        "TRUNCATE audit_chain, audit_seals, audit_sealing;"
        "INSERT INTO audit_sealing (sequence, position, sealed_at, digest)"
        " VALUES (0, 0, '1970-01-01 00:00Z', decode(repeat('00', 32), 'hex'))",
    )
    forger = sealer(db)
    forger._key = signing_key(b"?" * 32)
    assert await forger.drain() == len(sealed)
    said = await found(dsn)
    assert [row["subject"] for row in said.pop(verifying.SIGNATURES)] == [1]
    assert said == {}
    assert await found(dsn, public_key=None) == {}


CUT = "DELETE FROM audit_seals WHERE sequence = 3; DELETE FROM audit_chain WHERE position > 5;"
CUT_ENTRIES = "DELETE FROM audit_entries WHERE id > {};"


async def test_a_tail_that_was_cut_off_is_missed(db: Database, dsn: str, sealed: list[int]) -> None:
    await tamper(dsn, CUT + CUT_ENTRIES.format(sealed[4]))
    said = await found(dsn)
    assert said == {
        verifying.END: [{"subject": 3, "problem": "sealing came to 3, the chain ends at 2"}]
    }


async def test_a_tail_cut_off_with_all_that_knows_of_it_is_missed_by_a_head_kept_elsewhere(
    db: Database, dsn: str, sealed: list[int]
) -> None:
    connection = await asyncpg.connect(dsn)
    kept = await connection.fetchrow("SELECT sequence, digest FROM audit_seals WHERE sequence = 3")
    old = await connection.fetchrow("SELECT sequence, digest FROM audit_seals WHERE sequence = 2")
    await connection.close()
    assert await found(dsn, kept=tuple(kept)) == {}
    await tamper(
        dsn,
        CUT
        + CUT_ENTRIES.format(sealed[4])
        + "UPDATE audit_sealing AS t SET sequence = s.sequence, position = s.last_position,"
        " digest = s.digest, sealed_at = s.sealed_at FROM audit_seals AS s WHERE s.sequence = 2",
    )
    assert await found(dsn, kept=tuple(old)) == {}
    assert await found(dsn) == {}
    said = await found(dsn, kept=tuple(kept))
    assert [row["subject"] for row in said[verifying.END]] == [3]


@pytest.mark.parametrize(
    ("what", "problem"),
    [
        ("DELETE FROM audit_seals WHERE sequence = 2", "seals up to 2 are missing"),
        ("DELETE FROM audit_chain WHERE position = 4", "1 entries stand there"),
        (
            "UPDATE audit_seals SET sealed_at = '2020-01-01' WHERE sequence = 2",
            "it is older than the one before",
        ),
        (
            "UPDATE audit_seals SET first_position = 5 WHERE sequence = 2",
            "it begins at position 5 after 3",
        ),
    ],
)
async def test_what_was_done_to_a_seal_is_named(
    db: Database, dsn: str, sealed: list[int], what: str, problem: str
) -> None:
    await tamper(dsn, what)
    rows = (await found(dsn))[verifying.SEALS]
    assert (rows[0]["subject"], rows[0]["problem"]) == (2, problem)


async def test_entries_that_nobody_seals_are_told(db: Database, dsn: str) -> None:
    await written(db, 2)
    [row] = (await found(dsn))[verifying.KEEPS_UP]
    assert (row["entries"], row["since"]) == (2, AT)
    await sealer(db).drain()
    assert await found(dsn) == {}


async def test_windows_are_joined(
    db: Database, dsn: str, sealed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifying, "WINDOW_SEALS", 1)
    assert await found(dsn) == {}
    await tamper(dsn, "UPDATE audit_seals SET digest = sha256('x') WHERE sequence = 2")
    rows = (await found(dsn))[verifying.SEALS]
    # The third was made for what the second was.
    assert [row["subject"] for row in rows] == [2, 3]


@pytest.mark.parametrize("table", ["audit_entries", "audit_chain", "audit_seals"])
async def test_nobody_rewrites_it_and_the_application_has_not_even_the_right(
    db: Database, dsn: str, sealed: list[int], table: str
) -> None:
    connection = await asyncpg.connect(dsn)
    column = "action = 'x'" if table == "audit_entries" else "digest = 'x'"
    acts = [f"UPDATE {table} SET {column}", f"DELETE FROM {table}", f"TRUNCATE {table}"]
    try:
        for act in acts:
            with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
                await connection.execute(act)
        role = f"app_of_{table}"
        await connection.execute(f"CREATE ROLE {role}")
        await _grant(connection, role)
        await connection.execute(f"SET ROLE {role}")
        assert await connection.fetchval(f"SELECT count(*) FROM {table}") > 0
        for act in acts:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(act)
        await write(connection)
        await connection.execute(f"RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}")
    finally:
        await connection.close()
