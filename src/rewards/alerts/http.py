"""Alerts as staff see them, and saying that one is looked after."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.params import FromPath

from rewards.alerts import service
from rewards.alerts.letters import TOLD
from rewards.alerts.model import (
    NOTE_CHARS_MAX,
    Alert,
    AlertFilter,
    AlertKind,
    AlertNotFound,
    AlertState,
)
from rewards.core.errors import InvalidField
from rewards.core.text import printable
from rewards.infra.db import Tx
from rewards.infra.http import ID_MAX, cursor_answer, decode, encode, one_of, path_id, whole
from rewards.infra.openapi import answers, asks, choice, takes, whole_number
from rewards.staff.auth import caller, requires
from rewards.staff.given import GivenClock, GivenDatabase
from rewards.staff.model import Permission
from rewards.staff.naming import usernames

LIST_DEFAULT, LIST_MAX = 50, 500
CURSOR = whole_number("`X-Next-Cursor` of the page before", maximum=ID_MAX)


class AlertOut(msgspec.Struct):
    """One crossing of one limit. `level` is in the unit of its kind, as last seen.

    PAST: what it is about is well again since `cleared_at`. `acknowledged_by` is a member of the
    staff who looks after it.
    """

    id: int
    kind: str
    title: str
    subject: str
    state: str
    level: Decimal
    unit: str
    facts: Mapping[str, Any]
    raised_at: datetime
    seen_at: datetime
    cleared_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: int | None
    acknowledged_by_name: str | None
    note: str | None

    @classmethod
    def of(cls, alert: Alert, names: Mapping[int, str]) -> "AlertOut":
        title, unit = TOLD[alert.kind]
        return cls(
            id=alert.id,
            kind=alert.kind,
            title=title,
            subject=alert.subject,
            state=AlertState.PAST if alert.cleared_at else AlertState.OPEN,
            level=alert.level,
            unit=unit,
            facts=alert.facts,
            raised_at=alert.raised_at,
            seen_at=alert.seen_at,
            cleared_at=alert.cleared_at,
            acknowledged_at=alert.acknowledged_at,
            acknowledged_by=alert.acknowledged_by,
            acknowledged_by_name=names.get(alert.acknowledged_by or 0),
            note=alert.note,
        )


class AcknowledgeIn(msgspec.Struct, forbid_unknown_fields=True):
    """What is being done about it."""

    note: str = ""


async def named(tx: Tx, alerts: Sequence[Alert]) -> list[AlertOut]:
    """Alerts as they are shown, with the names of whoever looks after them."""
    ids = {alert.acknowledged_by for alert in alerts if alert.acknowledged_by}
    names = await usernames(tx, ids)
    return [AlertOut.of(alert, names) for alert in alerts]


ACKNOWLEDGE = msgspec.json.Decoder(AcknowledgeIn)


@get(
    "/alerts",
    operation_id="listAlerts",
    operation_class=asks(
        {
            "state": choice(AlertState, "In any case; all if left out"),
            "kind": choice(AlertKind, "In any case; all if left out"),
            "limit": whole_number("Alerts a page", maximum=LIST_MAX, default=LIST_DEFAULT),
            "cursor": CURSOR,
        }
    ),
    guards=[requires(Permission.ALERTS_READ)],
    responses=answers(list[AlertOut], 400, 401, 403),
)
async def list_alerts(request: Request[Any, Any, Any], db: GivenDatabase) -> Response[bytes]:
    """What is wrong now and what was, newest first; each alert stands for one crossing of a limit.

    They are looked for every minute, and kept for a year after they were cleared.
    """
    query = request.query_params
    state = one_of("State", AlertState, query.get("state"))
    narrow = AlertFilter(
        one_of("Kind", AlertKind, query.get("kind")),
        None if state is None else state is AlertState.OPEN,
    )
    limit = whole("Limit", query.get("limit"), default=LIST_DEFAULT, maximum=LIST_MAX)
    before_id = whole("Cursor", query.get("cursor"), default=ID_MAX, maximum=ID_MAX)
    async with db.connection() as connection:
        found = await service.find(connection, narrow, before_id, limit + 1)
        shown = await named(connection, found[:limit])
    following = str(shown[-1].id) if len(found) > limit else None
    return cursor_answer(request, shown, limit, following)


@post(
    "/alerts/{alert_id:str}/acknowledge",
    status_code=200,
    operation_id="acknowledgeAlert",
    guards=[requires(Permission.ALERTS_ACKNOWLEDGE)],
    operation_class=takes(AcknowledgeIn, needs=("note",)),
    responses=answers(AlertOut, 400, 401, 403, 404, 409),
)
async def acknowledge_alert(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    alert_id: FromPath[str],
) -> Response[bytes]:
    """Say that you look after an open alert, and what you do; colleagues see it.

    It stays open until what it is about is well again. 409 where somebody did so before, or where
    it is cleared.
    """
    number = path_id(alert_id, AlertNotFound)
    body = decode(ACKNOWLEDGE, await request.body())
    if not body.note.strip():
        raise InvalidField("Note", "required")
    note = printable("Note", body.note, NOTE_CHARS_MAX)
    who = caller(request)

    async def work(tx: Tx) -> Alert:
        return await service.acknowledge(tx, number, who, note, clock.now())

    return encode(AlertOut.of(await db.run(work), {who.staff.id: who.staff.username}))


ROUTER = Router(
    path="/admin/api/v1", tags=["Alerts (staff)"], route_handlers=[list_alerts, acknowledge_alert]
)
