"""The audit trail, for those who may read it."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Response, Router, get

from rewards.audit import service as audit
from rewards.audit.model import AuditEntry, AuditFilter
from rewards.core.text import printable
from rewards.infra.http import ID_MAX, cursor_answer, whole
from rewards.infra.openapi import answers, asks, whole_number
from rewards.staff.auth import requires
from rewards.staff.given import GivenDatabase
from rewards.staff.model import Permission

LIST_DEFAULT, LIST_MAX = 50, 500
WORD_CHARS_MAX = 100


class AuditOut(msgspec.Struct):
    """Who did what to what, why, and from where. `facts` tell what was and what is."""

    id: int
    at: datetime
    actor: str
    actor_id: int | None
    client_id: int | None
    action: str
    subject_kind: str
    subject_id: int
    facts: dict[str, Any]
    reason: str | None
    request_id: str | None
    address: str | None

    @classmethod
    def of(cls, entry: AuditEntry) -> "AuditOut":
        fact, actor = entry.fact, entry.fact.actor
        return cls(
            entry.id,
            entry.at,
            actor.kind,
            actor.id,
            fact.client_id,
            fact.action,
            fact.subject_kind,
            fact.subject_id,
            dict(fact.facts),
            fact.reason,
            actor.request_id,
            actor.address,
        )


@get(
    "/audit",
    operation_id="readAuditTrail",
    operation_class=asks(
        {
            "limit": whole_number("Lines a page", maximum=LIST_MAX, default=LIST_DEFAULT),
            "cursor": whole_number("`X-Next-Cursor` of the page before", maximum=ID_MAX),
            "subject_kind": {
                "type": "string",
                "maxLength": WORD_CHARS_MAX,
                "description": "Such as `order`",
            },
            "subject_id": whole_number("Of this subject", maximum=ID_MAX),
            "action": {
                "type": "string",
                "maxLength": WORD_CHARS_MAX,
                "description": "Such as `order.cancelled`",
            },
            "client_id": whole_number("About this client", maximum=ID_MAX),
            "staff_id": whole_number("Done by this member of staff", maximum=ID_MAX),
        }
    ),
    guards=[requires(Permission.AUDIT_READ)],
    responses=answers(list[AuditOut], 400, 401, 403),
)
async def read_audit(request: Request[Any, Any, Any], db: GivenDatabase) -> Response[bytes]:
    """The trail, newest first.

    `subject_kind` and `subject_id` (such as `order` and its id), `action` (`order.cancelled`),
    `client_id`, `staff_id`; `limit` (50, at most 500); `cursor` from `X-Next-Cursor`.
    """
    query = request.query_params
    narrow = AuditFilter(
        subject_kind=_word("SubjectKind", query.get("subject_kind")),
        subject_id=_id("SubjectId", query.get("subject_id")),
        action=_word("Action", query.get("action")),
        client_id=_id("ClientId", query.get("client_id")),
        staff_id=_id("StaffId", query.get("staff_id")),
    )
    limit = whole("Limit", query.get("limit"), default=LIST_DEFAULT, maximum=LIST_MAX)
    before = whole("Cursor", query.get("cursor"), default=ID_MAX, maximum=ID_MAX)
    async with db.connection() as connection:
        found = await audit.read(connection, narrow, before_id=before, limit=limit + 1)
    shown = found[:limit]
    following = str(shown[-1].id) if len(found) > limit else None
    return cursor_answer(request, [AuditOut.of(entry) for entry in shown], limit, following)


def _word(field: str, text: str | None) -> str | None:
    return printable(field, text, WORD_CHARS_MAX) if text else None


def _id(field: str, text: str | None) -> int | None:
    return whole(field, text, default=1, maximum=ID_MAX) if text else None


ROUTER = Router(path="/admin/api/v1", tags=["Audit (staff)"], route_handlers=[read_audit])
