"""Puts a text wherever the database takes one, and finds where pages show it."""

import re
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import unquote_plus

import asyncpg

from tests.security.world import World

# Before and after the name of the column that a text stands in, on every page that shows it.
MARK = "\u00a4"
COLUMNS = """
SELECT c.relname AS table_name, a.attname AS column_name, format_type(a.atttypid, NULL) AS kind
FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
    AND format_type(a.atttypid, NULL) IN ('text', 'character varying', 'jsonb', 'json', 'text[]')
ORDER BY 1, 2
"""
# What says which words one column may have stays; what ties columns together would be in the way.
TIES = """
SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname)
FROM pg_constraint
WHERE contype = 'c' AND connamespace = 'public'::regnamespace AND conparentid = 0
    AND NOT (cardinality(conkey) = 1 AND pg_get_constraintdef(oid) ~ 'ARRAY\\[|~')
"""
# No two rows have the same, for what may stand there once.
VALUES = {
    "text": "{} || ctid::text",
    "character varying": "{} || ctid::text",
    "text[]": "ARRAY[{}]",
    "jsonb": "jsonb_build_object({0}, {0})",
    "json": "json_build_object({0}, {0})",
}
# Where a page looks for one name of an object.
NAMED = {
    "saved_searches.query": "q",
    "vendors.config": "base_url",
    "pgqueuer_log.traceback": "exception_message",
    "orders.mobile": "mobile_number",
}
# Nothing that was written is ever rewritten, but for here.
ALLOW = "SET LOCAL session_replication_role = replica"
# Of each kind of thing what the world has none of.
MORE = (
    """INSERT INTO webhook_attempts (delivery_id, number, started_at, took_ms, status_code, error,
        answer) SELECT id, 1, now(), 5, 500, 'x', 'x' FROM webhook_deliveries""",
    """INSERT INTO webhook_attempts (delivery_id, number, started_at, took_ms, error)
        SELECT id, 2, now(), 5, 'x' FROM webhook_deliveries""",
    """INSERT INTO notice_attempts (notice_id, number, outcome, stage, reply_code, reply,
        started_at, took_ms) SELECT id, 1, 'REFUSED', 'x', 550, 'x', now(), 5 FROM notices""",
    """INSERT INTO vendor_reads (vendor_id, what, tried_at, problem)
        SELECT id, 'BALANCES', now(), 'x' FROM vendors""",
    """INSERT INTO process_beats (id, kind, host, pid, version, started_at, beat_at)
        VALUES (gen_random_uuid(), 'WORKER', 'x', 1, 'x', now(), now())""",
    """INSERT INTO alert_tellings (alert_id, what, channel, target, state, next_at, reason)
        SELECT id, 'RAISED', 'MAIL', 'x', 'FAILED', now(), 'x' FROM alerts""",
    """INSERT INTO suppressed_addresses (address, notice_id, reply_code, at)
        SELECT address, id, 550, now() FROM notices""",
    "UPDATE notices SET order_id = (SELECT min(order_id) FROM order_notes)",
    "UPDATE alerts SET acknowledged_at = now(), acknowledged_by = 1",
    "UPDATE reports SET state = 'FAILED'",
    "UPDATE orders SET forex_rate = 1.1, forex_rate_at = now()",
    "UPDATE batches SET invalid = 1",
)
# What a process remembers of the catalogue, of clients and of vendors it reads again.
CHANGED = "INSERT INTO changes (topic, subject_id) SELECT DISTINCT topic, subject_id FROM changes"


@dataclass(frozen=True)
class Column:
    table: str
    name: str
    kind: str

    def __str__(self) -> str:
        return f"{self.table}.{self.name}"


async def columns(world: World) -> list[Column]:
    """Every column of the schema that holds a text, or texts."""
    async with world.api.parts.db.connection() as connection:
        return [Column(*row) for row in await connection.fetch(COLUMNS)]


async def open_up(world: World) -> None:
    """Have the world take a text also where another column says that there is none."""
    async with world.api.parts.db.transaction() as tx:
        for [statement] in await tx.fetch(TIES):
            await tx.execute(statement)
        for statement in MORE:
            await tx.execute(statement)


async def plant(world: World, column: Column, text: str) -> bool:
    """Put the text into every row of the column; False if only words of a list may stand there."""
    said = f"'{text.replace(chr(39), chr(39) * 2)} {MARK}{column}{MARK}'"
    value = VALUES[column.kind].format(said)
    if str(column) in NAMED:
        value = f"jsonb_build_object('{NAMED[str(column)]}', {said})"
    try:
        async with world.api.parts.db.transaction() as tx:
            await tx.execute(ALLOW)
            await tx.execute(f'UPDATE "{column.table}" SET {column.name} = {value}')
    except asyncpg.CheckViolationError:
        return False
    return True


async def be_seen(world: World) -> None:
    """Let every cache read what was planted."""
    async with world.api.parts.db.transaction() as tx:
        await tx.execute(CHANGED)
    await world.shop.refresh()


def plain(text: str) -> str:
    """As names of ours are shown: without what ties their words together."""
    return re.sub(r"[._]", " ", text).lower()


class Marks(HTMLParser):
    """Which columns a page shows: the text before the mark, and in what it stands."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, set[str]] = {}
        self.said: dict[str, str] = {}
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag if tag in ("script", "style") else "text"
        for name, value in attrs:
            self._note(unquote_plus(value or "") if name == "href" else value or "", name)

    def handle_endtag(self, tag: str) -> None:
        self._inside = "text"

    def handle_data(self, data: str) -> None:
        self._note(data, self._inside)

    def _note(self, text: str, place: str) -> None:
        parts = text.split(MARK)
        for before, name in zip(parts[::2], parts[1::2], strict=False):
            self.found.setdefault(plain(name), set()).add(place)
            self.said[plain(name)] = self.said.get(plain(name), "") + before


def marks(page: str) -> Marks:
    found = Marks()
    found.feed(page)
    found.close()
    return found
