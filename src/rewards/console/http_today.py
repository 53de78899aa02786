"""Today at a glance: orders, what waits, the pool, vendors, webhooks in trouble, money."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from litestar import get

from rewards.alerts.model import AlertState
from rewards.console.leads import alert_lead
from rewards.console.listing import whole
from rewards.console.places import API
from rewards.infra.pages.routes import GivenRoom, Page, Req

# Of the states that an order may stand in, those that the chart tells apart, and their colours.
SERIES = (
    ("Delivered", ("DELIVERED",), "--good"),
    ("Delivered in part", ("PARTIALLY_DELIVERED",), "--main"),
    ("Waiting", ("PENDING", "PLACED"), "--wait"),
    ("Cancelled or failed", ("CANCELLED", "FAILED"), "--bad"),
)
# As many as the API counts.
DAYS = 7
ALERTS_MAX = 100
LATE = ("OVER_DAY", "OVER_WEEK")
Counted = Sequence[tuple[date, list[int]]]


@get("/")
async def show_today(request: Req, room: GivenRoom) -> Page:
    """The first page: what was sold, what waits, what runs short."""
    visit = await room.visit(request)
    told = (await visit.get(f"{API}/overview")).body
    counted = by_day(told["days"], datetime.fromisoformat(told["at"]).astimezone(UTC).date())
    waiting = told["waiting"]
    # One of a role that may not see them is shown none.
    alerts = await whole(visit, f"{API}/alerts", state=AlertState.OPEN, limit=str(ALERTS_MAX))
    return visit.page(
        "console/today.html",
        told=told,
        alerts=alerts or (),
        leads=[alert_lead(alert) for alert in alerts or ()],
        days=counted,
        chart=chart(counted),
        series=[name for name, _, _ in SERIES],
        today=counted[-1][1],
        since=counted[0][0],
        late=sum(each["orders"] for each in waiting if each["band"] in LATE),
        waiting=sum(each["orders"] for each in waiting),
    )


def by_day(days: Sequence[Mapping[str, Any]], today: date) -> Counted:
    """Orders of each of the last days, the oldest first, in the order of SERIES."""
    found: dict[tuple[str, str], int] = defaultdict(int)
    for each in days:
        found[each["day"], each["status"]] += each["orders"]
    told = [today - timedelta(days=back) for back in reversed(range(DAYS))]
    return [
        (day, [sum(found[day.isoformat(), s] for s in states) for _, states, _ in SERIES])
        for day in told
    ]


def chart(counted: Counted) -> str:
    """The same as the chart's script reads it."""
    at = [int(datetime(d.year, d.month, d.day, tzinfo=UTC).timestamp()) for d, _ in counted]
    lines = [{"label": name, "colour": colour} for name, _, colour in SERIES]
    values = [[numbers[turn] for _, numbers in counted] for turn in range(len(SERIES))]
    return json.dumps({"data": [at, *values], "series": lines, "bars": False})


PAGES = [show_today]
