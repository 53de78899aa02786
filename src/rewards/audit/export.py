"""Exports the trail seal by seal, in windows: however long it is, little of it is in memory."""

from collections.abc import AsyncIterator
from datetime import datetime

from rewards.audit import sql_export as sql
from rewards.audit.model_export import Heading, Line, SealLine, Span
from rewards.infra.db import Database, Tx

# A window: so many seals at most, and of those so many that no more entries are in it, or one seal.
SEALS_MAX = 500
ENTRIES_MAX = 4_000


async def span(tx: Tx, since: datetime | None, until: datetime | None) -> Span:
    """The seals that were made from then on and before then: neighbours in time are in the chain.

    By the time of sealing, a tenth of a second after an entry's own: so each entry is in one of two
    exports of which one begins where the other ends, and neither has a gap. That holds once the end
    is a minute past: until then a seal may still be made whose time is before it.
    """
    return await sql.span(tx, since, until)


async def lines(db: Database, heading: Heading) -> AsyncIterator[list[Line]]:
    """The heading, then the entries of each seal and it, some at a time.

    No connection is held while whoever reads is slow.
    """
    yield [heading]
    after = heading.first_sequence - 1
    while after < heading.last_sequence:
        async with db.connection() as connection:
            seals = await sql.seals(connection, after, heading.last_sequence, SEALS_MAX)
            if not seals:
                # Somebody cut them out meanwhile; the heading says that they are missing.
                return
            end = seals[0].first_position + ENTRIES_MAX
            seals = [seals[0], *(seal for seal in seals[1:] if seal.last_position < end)]
            entries = await sql.entries(
                connection, seals[0].first_position, seals[-1].last_position
            )
        window: list[Line] = []
        turn = 0
        for seal in seals:
            while turn < len(entries) and entries[turn].position <= seal.last_position:
                window.append(entries[turn])
                turn += 1
            window.append(SealLine.of(seal))
        yield window
        after = seals[-1].sequence
