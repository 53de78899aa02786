"""The audit trail, for those who may read it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Response, Router, get
from litestar.datastructures import MultiDict

from rewards.audit import service as audit
from rewards.audit.model import AuditEntry, AuditFilter
from rewards.core.actor import ActorKind
from rewards.core.errors import InvalidField
from rewards.core.text import printable
from rewards.infra import cursor
from rewards.infra.db import Tx
from rewards.infra.http import ID_MAX, cursor_answer, one_of, whole
from rewards.infra.openapi import answers, asks, choice, whole_number
from rewards.infra.query import an_id, moment
from rewards.staff import service
from rewards.staff.auth import requires
from rewards.staff.given import GivenDatabase
from rewards.staff.model import Permission
from rewards.staff.naming import client_names, usernames

LIST_DEFAULT, LIST_MAX = 50, 500
WORD_CHARS_MAX = 100
WORDS_MAX = 10


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "maxLength": WORD_CHARS_MAX, "description": description}


class AuditOut(msgspec.Struct):
    """Who did what to what, why, and from where. `facts` tell what was and what is.

    `actor_name`: of a member of staff the username, of a client its name.
    """

    id: int
    at: datetime
    actor: str
    actor_id: int | None
    actor_name: str | None
    client_id: int | None
    client_name: str | None
    action: str
    subject_kind: str
    subject_id: int
    facts: dict[str, Any]
    reason: str | None
    request_id: str | None
    address: str | None


async def named(tx: Tx, entries: Sequence[AuditEntry]) -> list[AuditOut]:
    """Entries as they are shown, with the names of whom they speak: two statements for all."""
    facts = [entry.fact for entry in entries]
    people = {f.actor.id for f in facts if f.actor.kind is ActorKind.STAFF and f.actor.id}
    companies = {f.actor.id for f in facts if f.actor.kind is ActorKind.CLIENT and f.actor.id}
    companies |= {fact.client_id for fact in facts if fact.client_id}
    names = await client_names(tx, companies)
    by_kind = {ActorKind.STAFF: await usernames(tx, people), ActorKind.CLIENT: names}
    return [
        AuditOut(
            entry.id,
            entry.at,
            entry.fact.actor.kind,
            entry.fact.actor.id,
            by_kind.get(entry.fact.actor.kind, {}).get(entry.fact.actor.id or 0),
            entry.fact.client_id,
            names.get(entry.fact.client_id or 0),
            entry.fact.action,
            entry.fact.subject_kind,
            entry.fact.subject_id,
            dict(entry.fact.facts),
            entry.fact.reason,
            entry.fact.actor.request_id,
            entry.fact.actor.address,
        )
        for entry in entries
    ]


@get(
    "/audit",
    operation_id="readAuditTrail",
    operation_class=asks(
        {
            "limit": whole_number("Lines a page", maximum=LIST_MAX, default=LIST_DEFAULT),
            "cursor": _text("`X-Next-Cursor` of the page before"),
            "from": _text("A day (2026-11-21, UTC) or a timestamp: from then on"),
            "to": _text("A day, with all of its hours, or a timestamp: before then"),
            "actor": choice(ActorKind, "Whoever did it"),
            "staff": _text("Done by the member of staff with this username"),
            "staff_id": whole_number("Done by this member of staff", maximum=ID_MAX),
            "client_id": whole_number("About this client", maximum=ID_MAX),
            "subject_kind": _text("Such as `order`"),
            "subject_id": whole_number("Of this subject", maximum=ID_MAX),
            "action": _text("Such as `order.cancelled`, or `order.` for all that begin so"),
            "address": _text("From this address"),
            "request_id": _text("In this request, by `X-Request-Id`"),
            "reason": _text("Words that all stand in the reason, or their beginnings"),
        }
    ),
    guards=[requires(Permission.AUDIT_READ)],
    responses=answers(list[AuditOut], 400, 401, 403),
)
async def read_audit(request: Request[Any, Any, Any], db: GivenDatabase) -> Response[bytes]:
    """The trail, newest first; filters narrow it together.

    `limit` (50, at most 500); `cursor` from `X-Next-Cursor`. A `staff` that nobody is called finds
    nothing.
    """
    query = request.query_params
    narrow = _narrow(query)
    limit = whole("Limit", query.get("limit"), default=LIST_DEFAULT, maximum=LIST_MAX)
    before = cursor.read(query["cursor"]) if query.get("cursor") else None
    username = _word("Staff", query.get("staff"))
    async with db.connection() as connection:
        if username is not None:
            person = await service.find_staff(connection, username)
            if person is None or narrow.staff_id not in (None, person.id):
                return cursor_answer(request, [], limit, None)
            narrow = replace(narrow, staff_id=person.id)
        found = await audit.search(connection, narrow, before=before, limit=limit + 1)
        shown = await named(connection, found[:limit])
    following = cursor.write(shown[-1].at, shown[-1].id) if len(found) > limit else None
    return cursor_answer(request, shown, limit, following)


def _narrow(query: MultiDict[Any]) -> AuditFilter:
    reason = _word("Reason", query.get("reason"))
    if reason is not None and len(reason.split()) > WORDS_MAX:
        raise InvalidField("Reason", "max")
    return AuditFilter(
        since=moment("From", query.get("from")),
        until=moment("To", query.get("to"), end=True),
        actor_kind=one_of("Actor", ActorKind, query.get("actor")),
        staff_id=an_id("StaffId", query.get("staff_id")),
        client_id=an_id("ClientId", query.get("client_id")),
        subject_kind=_word("SubjectKind", query.get("subject_kind")),
        subject_id=an_id("SubjectId", query.get("subject_id")),
        action=_word("Action", query.get("action")),
        address=_word("Address", query.get("address")),
        request_id=_word("RequestId", query.get("request_id")),
        reason=reason,
    )


def _word(field: str, text: str | None) -> str | None:
    if not text or not text.strip():
        return None
    return printable(field, text.strip(), WORD_CHARS_MAX)


ROUTER = Router(path="/admin/api/v1", tags=["Audit (staff)"], route_handlers=[read_audit])
