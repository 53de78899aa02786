"""Mail, as staff follow it: what was sent about an order or to a client, and once more."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.params import FromPath

from rewards.infra.db import Tx
from rewards.infra.http import ID_MAX, decode, encode, one_of, path_id, whole
from rewards.infra.openapi import answers, asks, choice, takes, whole_number
from rewards.notices import service as notices
from rewards.notices.model import (
    Attempt,
    Audience,
    Notice,
    NoticeKind,
    NoticeNotFound,
    NoticeState,
    Outcome,
)
from rewards.notices.service import NoticeFilter
from rewards.staff.auth import caller, requires
from rewards.staff.given import GivenClock, GivenDatabase, GivenSettings, reason_of
from rewards.staff.model import Permission

LIST_DEFAULT, LIST_MAX = 50, 500


class NoticeOut(msgspec.Struct):
    """One mail. Of its address only so much as tells it to whoever knows it.

    QUEUED also between attempts; `reason` then says what the last one met, and `next_at` when the
    next is due. SKIPPED: there was nothing to say any more, or no relay to say it through.
    SUPPRESSED: its server had said before that there is no such mailbox.
    """

    id: int
    client_id: int
    kind: NoticeKind
    audience: Audience
    address: str
    order_id: int | None
    state: NoticeState
    attempts: int
    reason: str | None
    next_at: datetime | None
    message_id: str
    resend_of: int | None
    created_at: datetime
    finished_at: datetime | None


class NoticeAttemptOut(msgspec.Struct):
    """One dialogue with the mail server. `reply`: its words, without addresses.

    Of what it says once it has seen the mail only the number is kept.
    """

    number: int
    outcome: Outcome
    stage: str | None
    reply_code: int | None
    reply: str | None
    started_at: datetime
    took_ms: int


class WholeNoticeOut(NoticeOut):
    """With what its attempts met; one that was cut off left none."""

    attempts_made: list[NoticeAttemptOut]


class ResendIn(msgspec.Struct, forbid_unknown_fields=True):
    """Why somebody wants it sent again."""

    reason: str = ""


RESEND = msgspec.json.Decoder(ResendIn)


def shown(notice: Notice) -> dict[str, Any]:
    waits = notice.state is NoticeState.QUEUED
    return {
        "id": notice.id,
        "client_id": notice.client_id,
        "kind": notice.kind,
        "audience": notice.audience,
        "address": notice.masked,
        "order_id": notice.order_id,
        "state": notice.state,
        "attempts": notice.attempts,
        "reason": notice.reason,
        "next_at": notice.next_at if waits else None,
        "message_id": notice.message_id,
        "resend_of": notice.resend_of,
        "created_at": notice.created_at,
        "finished_at": notice.finished_at,
    }


def _attempt(attempt: Attempt) -> NoticeAttemptOut:
    reply = attempt.reply
    return NoticeAttemptOut(
        *(attempt.number, reply.outcome, reply.stage, reply.code, reply.text),
        *(attempt.started_at, attempt.took_ms),
    )


@get(
    "/notices",
    operation_id="listNotices",
    guards=[requires(Permission.NOTICES_READ)],
    operation_class=asks(
        {
            "client_id": whole_number("Of this client", maximum=ID_MAX),
            "order_id": whole_number("About this order", maximum=ID_MAX),
            "state": choice(NoticeState, "In any case"),
            "kind": choice(NoticeKind, "In any case"),
            "limit": whole_number("Lines a page", maximum=LIST_MAX, default=LIST_DEFAULT),
            "before": whole_number(
                "Below this id: the last one of the page before", maximum=ID_MAX
            ),
        }
    ),
    responses=answers(list[NoticeOut], 400, 401, 403),
)
async def list_notices(request: Request[Any, Any, Any], db: GivenDatabase) -> Response[bytes]:
    """Mails, newest first: of a client, about an order, or all; kept for 90 days."""
    query = request.query_params

    def id_of(name: str, field: str) -> int | None:
        given = query.get(name)
        return whole(field, given, default=1, maximum=ID_MAX) if given else None

    narrow = NoticeFilter(
        id_of("client_id", "ClientId"),
        id_of("order_id", "OrderId"),
        one_of("State", NoticeState, query.get("state")),
        one_of("Kind", NoticeKind, query.get("kind")),
    )
    before_id = whole("Before", query.get("before"), default=ID_MAX, maximum=ID_MAX)
    limit = whole("Limit", query.get("limit"), default=LIST_DEFAULT, maximum=LIST_MAX)
    async with db.connection() as connection:
        found = await notices.find(connection, narrow, before_id, limit)
    return encode([NoticeOut(**shown(notice)) for notice in found])


@get(
    "/notices/{notice_id:str}",
    operation_id="getNotice",
    guards=[requires(Permission.NOTICES_READ)],
    responses=answers(WholeNoticeOut, 401, 403, 404),
)
async def get_notice(notice_id: FromPath[str], db: GivenDatabase) -> Response[bytes]:
    """One mail and what each attempt at sending it met."""
    async with db.connection() as connection:
        notice, made = await notices.read(connection, path_id(notice_id, NoticeNotFound))
    return encode(WholeNoticeOut(**shown(notice), attempts_made=[_attempt(one) for one in made]))


@post(
    "/notices/{notice_id:str}/resend",
    status_code=202,
    operation_id="resendNotice",
    guards=[requires(Permission.NOTICES_RESEND)],
    operation_class=takes(ResendIn, needs=("reason",)),
    responses=answers(NoticeOut, 400, 401, 403, 404, 409, status=202, told="Queued"),
)
async def resend_notice(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    settings: GivenSettings,
    notice_id: FromPath[str],
) -> Response[bytes]:
    """Send the same to the same address once more, as a mail of its own, from what is true now.

    An address that was suppressed is tried again. 409 while the mail, or an earlier resend of it,
    has yet to be sent.
    """
    body = decode(RESEND, await request.body())
    number = path_id(notice_id, NoticeNotFound)
    reason = reason_of(body.reason)
    who = caller(request).actor

    async def work(tx: Tx) -> Notice:
        return await notices.resend(tx, number, who, reason, settings, clock.now())

    return encode(NoticeOut(**shown(await db.run(work))), 202)


ROUTER = Router(
    path="/admin/api/v1",
    tags=["Notices (staff)"],
    route_handlers=[list_notices, get_notice, resend_notice],
)
