"""Stock, as staff handle it: import files, watch them, pump, and see how deep the pool is."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.params import FromPath

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.core.clock import Clock
from rewards.core.errors import InvalidField
from rewards.core.text import printable
from rewards.infra.db import Database, Tx
from rewards.infra.http import ID_MAX, encode, path_id, whole
from rewards.infra.openapi import answers, asks, takes_file, whole_number
from rewards.infra.upload import Upload, receive
from rewards.inventory import service as inventory
from rewards.inventory.model import Batch, BatchNotFound, BatchSource, BatchState, BatchStatus
from rewards.inventory.model import Reject as RejectedRow
from rewards.staff.auth import caller, requires
from rewards.staff.given import GivenClock, GivenDatabase, GivenImports, GivenSettings
from rewards.staff.model import Permission

LIST_DEFAULT, LIST_MAX = 50, 500
REPORT_DEFAULT, REPORT_MAX = 1_000, 10_000
NAME_CHARS_MAX = 200
COUNT_MAX = 2**31 - 1
# A file of so many rows is imported before it is answered; of XLSX, only the size is known.
SMALL_ROWS_MAX = 5_000
SMALL_XLSX_BYTES_MAX = 256 * 1024
ZIP_MAGIC = b"PK\x03\x04"
TRUE, FALSE = ("true", "1"), ("false", "0")


class RejectOut(msgspec.Struct):
    """A row that did not become a unit: DUPLICATE or INVALID, and why. Never what it held."""

    row: int
    outcome: str
    reason: str


class BatchOut(msgspec.Struct, omit_defaults=True):
    """A batch and what became of its file's rows. The counts grow while it is IMPORTING."""

    batch_id: int
    name: str
    source: BatchSource
    state: BatchState
    status: BatchStatus
    rows_read: int
    # About how many rows the file has; null where only its end will tell, as with a workbook.
    rows_expected: int | None
    loaded: int
    duplicate: int
    invalid: int
    created_at: datetime
    finished_at: datetime | None = None
    error: str | None = None
    # Only in the answer of an import that was waited for: the first 10,000 rejected rows.
    rejected: list[RejectOut] | None = None

    @classmethod
    def of(cls, batch: Batch, rejects: Sequence[RejectedRow] | None = None) -> "BatchOut":
        return cls(
            batch.batch_id,
            batch.name,
            batch.source,
            batch.state,
            batch.status,
            batch.rows_read,
            batch.rows_expected,
            batch.loaded,
            batch.duplicate,
            batch.invalid,
            batch.created_at,
            batch.finished_at,
            batch.error,
            None if rejects is None else [_reject(row) for row in rejects],
        )


def _reject(row: RejectedRow) -> RejectOut:
    return RejectOut(row.row_number, row.outcome, row.reason)


@post(
    "/inventory/batches",
    status_code=202,
    operation_id="importStock",
    guards=[requires(Permission.INVENTORY_IMPORT)],
    request_max_body_size=None,
    operation_class=takes_file(
        {"name": "What to call the batch; the file's name if left out"},
        query={
            "wait": {
                "type": "boolean",
                "description": "true: answer when every row was read, however many",
            }
        },
    ),
    responses=answers(BatchOut, 400, 401, 403, 413, 503, status=202, told="Import started")
    | answers(BatchOut, told="Imported, with the whole report"),
)
async def import_stock(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    settings: GivenSettings,
    imports: GivenImports,
) -> Response[bytes]:
    """Import a CSV or XLSX file (multipart field `file`) with a header.

    Columns: `product_id, denomination, currency, expires_at`, `cost`, and of `card_number,
    pin_code, code, pin, claim_url, voucher_reference_number` those that the product has. Up to
    5,000 rows, or with `?wait=true`, the answer is 200 with the whole report; else 202, and the
    progress is at `GET /admin/api/v1/inventory/batches/{batch_id}`. Units wait for a pump.
    """
    imports.check_room()
    wait = _flag("Wait", request.query_params.get("wait"))
    upload = await receive(request, bytes_max=settings.import_bytes_max, texts=("name",))
    try:
        name = upload.texts.get("name") or upload.filename or "upload"
        batch_id = await _open(request, db, clock, printable("Name", name, NAME_CHARS_MAX), upload)
    except BaseException:
        upload.file.close()
        raise
    wait = wait or _small(upload)
    running = imports.start(batch_id, upload.file)
    if not wait:
        return encode(BatchOut.of(await inventory.read_batch(db, batch_id)), 202)
    batch = await running
    async with db.connection() as connection:
        rejects = await inventory.read_rejects(connection, batch_id, limit=REPORT_MAX)
    return encode(BatchOut.of(batch, rejects))


async def _open(
    request: Request[Any, Any, Any], db: Database, clock: Clock, name: str, upload: Upload
) -> int:
    who = caller(request)

    async def work(tx: Tx) -> int:
        at = clock.now()
        expected = _rows_expected(upload)
        batch_id = await inventory.open_import(tx, name, at, who.staff.id, expected)
        facts = {"name": name, "file": upload.filename, "size_bytes": upload.size_bytes}
        fact = AuditFact(who.actor, None, "batch.import_started", "batch", batch_id, facts)
        await audit.record(tx, [fact], at)
        return batch_id

    return await db.run(work)


def _is_workbook(upload: Upload) -> bool:
    head = upload.file.read(len(ZIP_MAGIC))
    upload.file.seek(0)
    return head == ZIP_MAGIC


def _small(upload: Upload) -> bool:
    if _is_workbook(upload):
        return upload.size_bytes <= SMALL_XLSX_BYTES_MAX
    return upload.lines <= SMALL_ROWS_MAX


def _rows_expected(upload: Upload) -> int | None:
    """A line each, without the header."""
    return None if _is_workbook(upload) else min(max(upload.lines - 1, 0), COUNT_MAX)


def _flag(field: str, text: str | None) -> bool:
    if not text:
        return False
    if text.lower() in TRUE:
        return True
    if text.lower() in FALSE:
        return False
    raise InvalidField(field, "boolean")


@get(
    "/inventory/batches",
    operation_id="listBatches",
    operation_class=asks(
        {
            "limit": whole_number("Lines a page", maximum=LIST_MAX, default=LIST_DEFAULT),
            "before": whole_number(
                "Below this id: the last one of the page before", maximum=ID_MAX
            ),
        }
    ),
    guards=[requires(Permission.INVENTORY_READ)],
    responses=answers(list[BatchOut], 400, 401, 403),
)
async def list_batches(request: Request[Any, Any, Any], db: GivenDatabase) -> Response[bytes]:
    """Batches, newest first; `limit` (50, at most 500), `before` the last id seen."""
    query = request.query_params
    limit = whole("Limit", query.get("limit"), default=LIST_DEFAULT, maximum=LIST_MAX)
    before = whole("Before", query.get("before"), default=ID_MAX, maximum=ID_MAX)
    async with db.connection() as connection:
        batches = await inventory.list_batches(connection, before, limit)
    return encode([BatchOut.of(batch) for batch in batches])


@get(
    "/inventory/batches/{batch_id:str}",
    operation_id="getBatch",
    guards=[requires(Permission.INVENTORY_READ)],
    responses=answers(BatchOut, 401, 403, 404),
)
async def get_batch(batch_id: FromPath[str], db: GivenDatabase) -> Response[bytes]:
    """A batch: its state, and how many rows were read, loaded, duplicate and invalid so far."""
    return encode(BatchOut.of(await inventory.read_batch(db, path_id(batch_id, BatchNotFound))))


@get(
    "/inventory/batches/{batch_id:str}/rows",
    operation_id="listRejectedRows",
    operation_class=asks(
        {
            "limit": whole_number("Rows a page", maximum=REPORT_MAX, default=REPORT_DEFAULT),
            "after": whole_number(
                "Below this row: the last one of the page before", maximum=COUNT_MAX
            ),
        }
    ),
    guards=[requires(Permission.INVENTORY_READ)],
    responses=answers(list[RejectOut], 400, 401, 403, 404),
)
async def list_rejected_rows(
    request: Request[Any, Any, Any], batch_id: FromPath[str], db: GivenDatabase
) -> Response[bytes]:
    """The rows of the file that did not become units, in order; every other row was loaded.

    `limit` (1,000, at most 10,000), `after` the last row number seen.
    """
    number = path_id(batch_id, BatchNotFound)
    query = request.query_params
    limit = whole("Limit", query.get("limit"), default=REPORT_DEFAULT, maximum=REPORT_MAX)
    after = (
        0
        if not query.get("after")
        else whole("After", query["after"], default=1, maximum=COUNT_MAX)
    )
    await inventory.read_batch(db, number)
    async with db.connection() as connection:
        rejects = await inventory.read_rejects(connection, number, after, limit)
    return encode([_reject(row) for row in rejects])


ROUTER = Router(
    path="/admin/api/v1",
    tags=["Inventory (staff)"],
    route_handlers=[import_stock, list_batches, get_batch, list_rejected_rows],
)
