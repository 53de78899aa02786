"""The portal's first page: balances, the last days' orders, limits, and what needs somebody."""

from datetime import date, timedelta
from typing import Any

from litestar import get

from rewards.clients.model import Scope
from rewards.infra.http import ENCODER
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.portal.places import api, may

DAY_S = 86_400


@get("/")
async def show_home(request: Req, room: GivenRoom) -> Page:
    """How the company stands today."""
    visit = await room.visit(request)
    wallets, usage = await visit.read(api("/wallets"), api("/usage"))
    orders = (await visit.get(api("/orders"), limit=5)).body
    hooks: list[Any] = []
    if may(visit.session, Scope.WEBHOOKS_READ):
        hooks = (await visit.get(api("/webhooks"), limit=100)).body
    return visit.page(
        "portal/home.html",
        wallets=wallets,
        usage=usage,
        orders=orders,
        days=_days(usage),
        chart=_chart(usage),
        failing=[each for each in hooks if each["failing_since"] or each["status"] == "DISABLED"],
    )


def _each_day(usage: dict[str, Any]) -> list[date]:
    first, last = (date.fromisoformat(usage[name]) for name in ("first_day", "last_day"))
    return [first + timedelta(days=turn) for turn in range((last - first).days + 1)]


def _days(usage: dict[str, Any]) -> list[dict[str, Any]]:
    """Days with orders, the latest first: what the chart says to whoever sees none."""
    return list(reversed(usage["days"]))


def _chart(usage: dict[str, Any]) -> str:
    days = _each_day(usage)
    counted = dict.fromkeys(days, 0)
    for each in usage["days"]:
        counted[date.fromisoformat(each["day"])] += each["orders"]
    at = [(day.toordinal() - date(1970, 1, 1).toordinal()) * DAY_S for day in days]
    told = {
        "bars": True,
        "height": 200,
        "series": [{"label": "Orders", "colour": "--main"}],
        "data": [at, list(counted.values())],
    }
    return ENCODER.encode(told).decode()


PAGES = [show_home]
