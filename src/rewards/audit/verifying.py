"""Proves that the trail is the one that was sealed (I20), and names the first place where not."""

import time
from collections.abc import Callable
from hmac import compare_digest

import asyncpg

from rewards.audit import sql_chain as sql
from rewards.audit.model_chain import START, Head, Seal, seal_digest, signed
from rewards.infra.checks import SUBJECTS_MAX, Finding
from rewards.infra.db import Record

# With full seals a window is 200,000 entries, of which only the digests come here.
WINDOW_SEALS = 100
# How long an entry may wait for its seal. Ten times a second somebody seals, where a worker runs.
BEHIND_S = 60.0

ENTRIES = "i20_sealed_entries_are_as_they_were"
SEALS = "i20_seals_follow_from_one_another"
SIGNATURES = "i20_seals_are_signed_by_us"
END = "i20_chain_ends_where_sealing_stands"
KEEPS_UP = "i20_sealing_keeps_up"
# Those that need no key.
NAMES = (ENTRIES, SEALS, END, KEEPS_UP)

# How many entries were looked at, of how many.
Told = Callable[[int, int], None]


def silent(_done: int, _of: int) -> None:
    """For whoever wants no progress."""


class Trail:
    """One walk along the whole chain, in windows: the memory it takes does not grow with it."""

    def __init__(self, connection: asyncpg.Connection, public_key: str | None) -> None:
        self._connection = connection
        self._public_key = public_key
        self._names = (*NAMES, SIGNATURES) if public_key else NAMES
        self._breaches: dict[str, int] = dict.fromkeys(self._names, 0)
        self._rows: dict[str, list[dict[str, object]]] = {name: [] for name in self._names}

    async def verify(
        self, kept: tuple[int, bytes] | None = None, told: Told = silent
    ) -> list[Finding]:
        """Walk from the first seal to the last; a finding for each thing that must hold.

        `kept`: sequence and digest of a seal, written down elsewhere: the chain must still lead
        through it, or somebody put an older one in its place. Without a public key nobody looks at
        signatures: then a chain that was made anew from its first seal passes.
        """
        start_s = time.perf_counter()
        try:
            entries = await self._walk(kept, told)
            await self._keeps_up()
        except asyncpg.PostgresError as bad:
            took_s = time.perf_counter() - start_s
            return [Finding(name, 0, [], None, took_s, str(bad)) for name in self._names]
        took_s = time.perf_counter() - start_s
        return [
            Finding(name, self._breaches[name], self._rows[name], entries, took_s)
            for name in self._names
        ]

    def _found(self, name: str, subject: int, **facts: object) -> None:
        self._breaches[name] += 1
        if len(self._rows[name]) < SUBJECTS_MAX:
            self._rows[name].append({"subject": subject, **facts})

    async def _walk(self, kept: tuple[int, bytes] | None, told: Told) -> int:
        # Read first: the chain may well grow while it is walked, but it must reach this.
        end = await sql.head(self._connection)
        before = START
        passed: dict[int, bytes] = {0: START.digest}
        while window := await sql.walk(self._connection, before.sequence, WINDOW_SEALS):
            for row in window:
                before = (await self._look(before, row)).head
                if before.sequence in (end.sequence, kept and kept[0]):
                    passed[before.sequence] = before.digest
            told(before.position, max(end.position, before.position))
        await self._look_at_end(before, end, passed)
        if kept is not None and not compare_digest(passed.get(kept[0], b""), kept[1]):
            self._found(END, kept[0], problem="the chain does not lead through this head")
        return before.position

    async def _look(self, before: Head, row: Record) -> Seal:
        seal = Seal(*(row[name] for name in Seal.__slots__))
        if row["unlike"]:
            await self._look_at_entries(seal)
        if self._public_key and not signed(seal.digest, seal.signature, self._public_key):
            self._found(SIGNATURES, seal.sequence, **_places(seal))
        problem = _problem(before, seal, row["entries"], row["digests"])
        if problem is not None:
            moved = await sql.moved(self._connection, seal)
            entry = {"entry_id": moved["entry_id"]} if moved else {}
            # Of missing seals the first one is named.
            subject = min(seal.sequence, before.sequence + 1)
            self._found(SEALS, subject, problem=problem, **_places(seal), **entry)
        return seal

    async def _look_at_entries(self, seal: Seal) -> None:
        for row in await sql.unlike(self._connection, seal, SUBJECTS_MAX):
            problem = "deleted" if row["gone"] else "changed"
            self._found(
                ENTRIES,
                row["entry_id"],
                problem=problem,
                position=row["position"],
                seal=seal.sequence,
                action=row["action"],
            )

    async def _look_at_end(self, last: Head, end: Head, passed: dict[int, bytes]) -> None:
        if last.sequence < end.sequence:
            problem = f"sealing came to {end.sequence}, the chain ends at {last.sequence}"
            self._found(END, last.sequence + 1, problem=problem)
        elif not compare_digest(passed.get(end.sequence, b""), end.digest):
            self._found(END, end.sequence, problem="sealing went on from another seal")
        for row in await sql.beyond(self._connection, last.position, SUBJECTS_MAX):
            # It may have been sealed since.
            if (await sql.head(self._connection)).position < row["position"]:
                self._found(END, row["entry_id"], problem="no seal takes it in", **dict(row))

    async def _keeps_up(self) -> None:
        late = await sql.overdue(self._connection, BEHIND_S)
        if late["entries"]:
            self._found(
                KEEPS_UP,
                late["entry_id"],
                problem="not sealed yet: does a worker run?",
                entries=late["entries"],
                since=late["since"],
            )


def _places(seal: Seal) -> dict[str, object]:
    return {"positions": f"{seal.first_position}-{seal.last_position}"}


def _problem(before: Head, seal: Seal, entries: int, digests: bytes) -> str | None:
    """Why this seal does not follow from what was before it."""
    if seal.sequence != before.sequence + 1:
        return f"seals up to {seal.sequence - 1} are missing"
    if seal.first_position != before.position + 1:
        return f"it begins at position {seal.first_position} after {before.position}"
    if seal.sealed_at < before.sealed_at:
        return "it is older than the one before"
    if entries != seal.last_position - seal.first_position + 1:
        return f"{entries} entries stand there"
    if not compare_digest(seal_digest(before.digest, seal, digests), seal.digest):
        return "its digest is another one: of its entries one was moved, put in, or digested anew"
    return None
