"""CSV for people's spreadsheets: a header, one line each, and nothing that runs when opened."""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from litestar import Request, Response

from rewards.infra.http import JSON

CSV = "text/csv"
# What a spreadsheet may take for the start of a formula, the full-width forms among them.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def wants_csv(request: Request[Any, Any, Any]) -> bool:
    """True where the Accept header prefers text/csv to application/json."""
    return request.accept.best_match([JSON, CSV]) == CSV


def in_kind(
    request: Request[Any, Any, Any],
    answer: Response[bytes],
    shape: type[msgspec.Struct],
    body: Sequence[msgspec.Struct],
) -> Response[bytes]:
    """The answer as JSON, or the same lines as CSV where that was asked for."""
    answer.headers["Vary"] = "Accept"
    if wants_csv(request):
        name = request.scope["path"].rsplit("/", 1)[-1]
        answer.content = write_csv(shape.__struct_fields__, map(msgspec.structs.astuple, body))
        answer.media_type = CSV
        answer.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return answer


def write_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """UTF-8, CRLF, quoted where needed (RFC 4180).

    Numbers are written as they are, None as nothing, times as ISO 8601 in UTC. Text that could be
    read as a formula gets an apostrophe in front.
    """
    return write_rows([header]) + write_rows(rows)


def write_rows(rows: Iterable[Sequence[object]]) -> bytes:
    """Some lines of such a file, for whoever writes it piece by piece."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue().encode()


def texts_of(cell: str) -> tuple[str | None, ...]:
    """What a cell of text may have been before it was written, the likeliest first."""
    if not cell:
        return None, ""
    if cell.startswith("'") and cell[1:].startswith(FORMULA_STARTS):
        return cell[1:], cell
    return (cell,)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    text = str(value)
    return "'" + text if text.startswith(FORMULA_STARTS) else text
