"""The audit trail as a file that proves by itself that it is whole, and where its chain ends."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Response, Router, get
from litestar.response import Stream

from rewards.audit import export
from rewards.audit import service as audit
from rewards.audit.csv_export import CsvRows
from rewards.audit.model import AuditFact
from rewards.audit.model_chain import public_key_of
from rewards.audit.model_export import Heading, JsonLines, heading_of
from rewards.audit.sealing import key_of
from rewards.infra.csvtext import wants_csv
from rewards.infra.db import Database, Tx
from rewards.infra.http import encode
from rewards.infra.openapi import answers, asks
from rewards.infra.query import moment
from rewards.staff.auth import caller, requires
from rewards.staff.given import GivenClock, GivenDatabase, GivenVault
from rewards.staff.model import Permission

TIME_CHARS_MAX = 40


def _time(description: str) -> dict[str, Any]:
    return {"type": "string", "maxLength": TIME_CHARS_MAX, "description": description}


class ChainOut(msgspec.Struct):
    """Where the chain ends: the last seal (`sequence` 0: none yet), the entries it takes in.

    `unsealed_since`: when the first entry was written that is in no seal yet, null where all are.
    `public_key` verifies exports, as `rewards audit key` prints it.
    """

    sequence: int
    position: int
    sealed_at: datetime | None
    digest: str
    unsealed_since: datetime | None
    public_key: str


@get(
    "/audit/chain",
    operation_id="readAuditChain",
    guards=[requires(Permission.AUDIT_READ)],
    responses=answers(ChainOut, 401, 403),
)
async def read_chain(db: GivenDatabase, vault: GivenVault) -> Response[bytes]:
    """How far the trail is sealed. Kept elsewhere, `sequence` and `digest` show a cut tail later.

    Nothing is verified here: `rewards doctor` walks the whole chain (`--audit-head` wants it to
    lead through an end that was kept), `rewards audit verify` an export.
    """
    async with db.connection() as connection:
        head = await audit.head(connection)
        unsealed = await audit.unsealed_since(connection)
    at = head.sealed_at if head.sequence else None
    told = (head.sequence, head.position, at, head.digest.hex(), unsealed)
    return encode(ChainOut(*told, public_key_of(key_of(vault))))


@get(
    "/audit/export",
    operation_id="exportAuditTrail",
    operation_class=asks(
        {
            "from": _time("A day (2026-11-21, UTC) or a timestamp: sealed from then on"),
            "to": _time("A day, with all of its hours, or a timestamp: sealed before then"),
        }
    ),
    guards=[requires(Permission.AUDIT_READ)],
    responses=answers(str, 400, 401, 403, told="The file, as long as it is"),
)
async def export_audit(
    request: Request[Any, Any, Any], db: GivenDatabase, clock: GivenClock, vault: GivenVault
) -> Stream:
    """The trail of a time as JSON lines, or as CSV where `Accept: text/csv` asks for it.

    Oldest first: a signed heading, then the entries of each seal with their positions and digests,
    and the seal. `rewards audit verify FILE --key …` proves without the database that nothing in
    it is missing or changed. The time is that of sealing, a moment after an entry's own: so two
    exports, one of which begins where the other ends, have every entry once. Leaves an entry
    itself.
    """
    query = request.query_params
    since = moment("From", query.get("from"))
    until = moment("To", query.get("to"), end=True)
    form = CsvRows if wants_csv(request) else JsonLines
    at = clock.now()

    async def work(tx: Tx) -> Heading:
        heading = heading_of(await export.span(tx, since, until), since, until, at, key_of(vault))
        facts = {
            "format": form.suffix,
            "from": since and since.isoformat(),
            "to": until and until.isoformat(),
            "first_sequence": heading.first_sequence,
            "last_sequence": heading.last_sequence,
        }
        fact = AuditFact(caller(request).actor, None, "audit.exported", "audit", 0, facts)
        await audit.record(tx, [fact], at)
        return heading

    heading = await db.run(work)
    name = f"audit-{heading.first_sequence}-{heading.last_sequence}.{form.suffix}"
    return Stream(
        _written(db, heading, form),
        media_type=form.media_type,
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
            "Vary": "Accept",
        },
    )


async def _written(
    db: Database, heading: Heading, form: type[JsonLines] | type[CsvRows]
) -> AsyncIterator[bytes]:
    async for window in export.lines(db, heading):
        yield form.write(window)


ROUTER = Router(
    path="/admin/api/v1", tags=["Audit (staff)"], route_handlers=[read_chain, export_audit]
)
