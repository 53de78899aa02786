"""`/requests` of the clients' API: what a client asked of it, and how that went."""

from datetime import datetime
from decimal import Decimal
from typing import Any, TypeAlias

import msgspec
from litestar import Request, Response, Router, get
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from rewards.clients.auth import SECURITY, principal_of, requires
from rewards.core.clock import Clock
from rewards.core.text import printable
from rewards.infra import cursor
from rewards.infra.db import Database
from rewards.infra.http import cursor_answer, one_of, whole
from rewards.infra.openapi import answers, asks, choice, whole_number
from rewards.infra.query import moment
from rewards.infra.settings import Settings
from rewards.traffic import service
from rewards.traffic.model import Line, LineFilter, StatusClass

LIMIT_DEFAULT, LIMIT_MAX = 50, 500
ROUTE_CHARS_MAX = 200
REQUEST_ID_CHARS_MAX = 64
GivenClock: TypeAlias = NamedDependency[SkipValidation[Clock]]
GivenDatabase: TypeAlias = NamedDependency[SkipValidation[Database]]
GivenSettings: TypeAlias = NamedDependency[SkipValidation[Settings]]


class RequestOut(msgspec.Struct):
    """One request that was let in; by a key (`credential_id`) or a person (`member_id`)."""

    at: datetime
    request_id: str
    method: str
    # The route's template, without ids.
    route: str
    status: int
    # Why it was refused.
    code: str | None
    took_ms: Decimal
    credential_id: int | None
    member_id: int | None
    address: str | None
    # That it placed, or was about.
    order_id: int | None

    @classmethod
    def of(cls, line: Line) -> "RequestOut":
        return cls(
            line.at,
            line.request_id,
            line.method,
            line.route,
            line.status,
            line.code,
            Decimal(line.took_us).scaleb(-3),
            line.credential_id,
            line.login_id,
            line.address,
            line.order_id,
        )


@get(
    "/requests",
    guards=[requires("requests:read")],
    operation_id="listRequests",
    summary="List your requests",
    operation_class=asks(
        {
            "limit": whole_number("Requests a page", maximum=LIMIT_MAX, default=LIMIT_DEFAULT),
            "cursor": {
                "type": "string",
                "maxLength": 64,
                "description": "`X-Next-Cursor` of the page before",
            },
            "status": choice(StatusClass, "2XX, 4XX, 5XX, or ERROR for all that failed"),
            "route": {
                "type": "string",
                "maxLength": ROUTE_CHARS_MAX,
                "description": "Of this route, as `route` tells it",
            },
            "request_id": {
                "type": "string",
                "maxLength": REQUEST_ID_CHARS_MAX,
                "description": "Under this `X-Request-Id`",
            },
            "from": {"type": "string", "description": "From this day or RFC 3339 time on"},
            "to": {"type": "string", "description": "To the end of this day, or before this time"},
        }
    ),
    responses=answers(list[RequestOut], 400, 401, 403, 503, told="Your requests"),
)
async def list_requests(
    request: Request[Any, Any, Any], db: GivenDatabase, clock: GivenClock, settings: GivenSettings
) -> Response[bytes]:
    """What your keys and people asked of this API, newest first; kept for some days.

    No body and no query is kept. A request is here within seconds of its answer; what was refused
    with 401 is nobody's and not here. Under great load, or while the database is away, lines are
    left out rather than your requests slowed down.
    """
    query = request.query_params
    limit = whole("Limit", query.get("limit"), default=LIMIT_DEFAULT, maximum=LIMIT_MAX)
    wanted = LineFilter(
        client_id=principal_of(request).client_id,
        since=moment("From", query.get("from")),
        until=moment("To", query.get("to"), end=True),
        status=one_of("Status", StatusClass, query.get("status")),
        route=_text("Route", query.get("route"), ROUTE_CHARS_MAX),
        request_id=_text("RequestId", query.get("request_id"), REQUEST_ID_CHARS_MAX),
        before=cursor.read(query["cursor"]) if query.get("cursor") else None,
    )
    today = clock.now().date()
    async with db.connection() as connection:
        # One more than asked tells whether there are more.
        found = await service.find(connection, wanted, today, settings.request_log_days, limit + 1)
    shown = found[:limit]
    more = len(found) > limit
    following = cursor.write(shown[-1].at, shown[-1].id) if more else None
    return cursor_answer(request, [RequestOut.of(line) for line in shown], limit, following)


def _text(field: str, given: str | None, chars_max: int) -> str | None:
    return printable(field, given, chars_max) if given else None


ROUTER = Router(path="/", tags=["Requests"], security=SECURITY, route_handlers=[list_requests])
