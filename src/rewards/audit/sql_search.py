"""The statement that searches the trail: newest first, each filter by an index of its own."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from rewards.audit.model import AuditEntry, AuditFact, AuditFilter
from rewards.core.actor import Actor, ActorKind
from rewards.infra.db import Record, Tx

COLUMNS = (
    "id, at, actor_kind, actor_id, client_id, action, subject_kind, subject_id, facts, reason,"
    " request_id, address"
)

_PAGE = """
SELECT {columns} FROM {entries} AS s
WHERE {where}
ORDER BY at DESC, id DESC LIMIT {limit:d}
"""
# All that have these words, by their own index, before anything else is looked at: of words that
# are in none the planner believes that they are soon met on the way back, and walks to the start.
_SAYING = "(SELECT * FROM audit_entries WHERE reason IS NOT NULL AND {said} OFFSET 0)"

# Actions are few words that many entries share: each that begins so is stepped to by the index, and
# gives its newest entries, so that no common one is read whole to find what is rare.
_PAGE_OF_ACTIONS = """
WITH RECURSIVE named (action) AS (
    SELECT min(action COLLATE "C") FROM audit_entries
    WHERE action COLLATE "C" >= {first} AND action COLLATE "C" < {beyond}
    UNION ALL
    SELECT (SELECT min(a.action COLLATE "C") FROM audit_entries AS a
        WHERE a.action COLLATE "C" > n.action COLLATE "C" AND a.action COLLATE "C" < {beyond})
    FROM named AS n WHERE n.action IS NOT NULL
)
SELECT s.* FROM named AS n CROSS JOIN LATERAL (
    SELECT {columns} FROM {entries} AS s
    WHERE s.action COLLATE "C" = n.action COLLATE "C" AND {where}
    ORDER BY at DESC, id DESC LIMIT {limit:d}
) AS s
WHERE n.action IS NOT NULL
ORDER BY at DESC, id DESC LIMIT {limit:d}
"""


# What is simply equal, by columns that are fields of the filter too.
_EQUAL = ("client_id", "subject_kind", "subject_id", "address", "request_id")


# More entries than these are not all read to be sorted: they are met soon on the way back.
COMMON = 2_000
_SAID = "to_tsvector('simple', reason) @@ to_tsquery('simple', {})"
COUNT_SAID = f"""
SELECT count(*) FROM (
    SELECT FROM audit_entries WHERE reason IS NOT NULL AND {_SAID.format("$1")} LIMIT {COMMON + 1}
) AS s
"""


def statement(
    narrow: AuditFilter,
    before: tuple[datetime, int] | None,
    limit: int,
    *,
    common: bool = False,
) -> tuple[str, list[object]]:
    """The search as text and arguments. Only what is asked for is in it, and planned for.

    `common`: so many reasons have these words that they are better met than looked up.
    """
    given: list[object] = []

    def argument(value: object) -> str:
        given.append(value)
        return f"${len(given)}"

    asked = _clauses(narrow, before, common)
    clauses = [text.format(*map(argument, values)) for text, *values in asked]
    entries = "audit_entries"
    if narrow.reason is not None and not common:
        entries = _SAYING.format(said=_SAID.format(argument(_words(narrow.reason))))
    shape = {
        "columns": COLUMNS,
        "entries": entries,
        "where": " AND ".join(clauses) or "true",
        "limit": limit,
    }
    if narrow.action is None or not narrow.action.endswith("."):
        return _PAGE.format(**shape), given
    # The character after the dot ends what begins with it.
    first, beyond = argument(narrow.action), argument(narrow.action[:-1] + "/")
    return _PAGE_OF_ACTIONS.format(**shape, first=first, beyond=beyond), given


def _clauses(
    narrow: AuditFilter, before: tuple[datetime, int] | None, common: bool
) -> Iterator[tuple[Any, ...]]:
    """Each as text with {} where its values stand."""
    if before is not None:
        yield "(at, id) < ({}, {})", *before
    if narrow.since is not None:
        yield "at >= {}", narrow.since
    if narrow.until is not None:
        yield "at < {}", narrow.until
    # Written out: an index leaves out what clients do, and the planner must see that it may.
    if narrow.actor_kind is not None:
        yield (f"actor_kind = '{narrow.actor_kind.value}'",)
    if narrow.staff_id is not None:
        yield "actor_kind = 'STAFF' AND actor_id = {}", narrow.staff_id
    for column in _EQUAL:
        if getattr(narrow, column) is not None:
            yield column + " = {}", getattr(narrow, column)
    if narrow.reason is not None and common:
        # What is only said to be true is looked up in no index.
        yield f"({_SAID}) IS TRUE", _words(narrow.reason)
    if narrow.action is not None and not narrow.action.endswith("."):
        yield 'action COLLATE "C" = {}', narrow.action


def _words(text: str) -> str:
    """Every word, or the beginning of one, in any order and case."""
    quoted = (word.replace("\\", "\\\\").replace("'", "''") for word in text.split())
    return " & ".join(f"'{word}':*" for word in quoted)


async def search(
    tx: Tx, narrow: AuditFilter, before: tuple[datetime, int] | None, limit: int
) -> list[AuditEntry]:
    common = False
    if narrow.reason is not None:
        common = await tx.fetchval(COUNT_SAID, _words(narrow.reason)) > COMMON
    text, given = statement(narrow, before, limit, common=common)
    return [AuditEntry(row["id"], row["at"], _fact(row)) for row in await tx.fetch(text, *given)]


def _fact(row: Record) -> AuditFact:
    actor = Actor(ActorKind(row["actor_kind"]), row["actor_id"], row["request_id"], row["address"])
    return AuditFact(
        actor,
        row["client_id"],
        row["action"],
        row["subject_kind"],
        row["subject_id"],
        row["facts"],
        row["reason"],
    )
