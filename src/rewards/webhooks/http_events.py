"""`/events` of the clients' API: what happened, in order, without gaps (spec.md §2)."""

import re
from collections.abc import Sequence
from typing import Any, TypeAlias
from urllib.parse import urlencode

from litestar import Request, Response, Router, get
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from rewards.clients.auth import SECURITY, principal_of, requires
from rewards.core.errors import InvalidField
from rewards.infra.http import ID_MAX, encode, whole
from rewards.infra.openapi import answers, asks, whole_number
from rewards.webhooks.envelope import Envelope
from rewards.webhooks.feed import WAIT_MAX_S, Feed
from rewards.webhooks.model import EventType
from rewards.webhooks.model_feed import FeedAsk, FeedPage

LIMIT_DEFAULT, LIMIT_MAX = 100, 1_000
TYPES = tuple(str(each) for each in EventType)
# Provided by `entry/api.py` under this name.
GivenFeed: TypeAlias = NamedDependency[SkipValidation[Feed]]

QUERY = {
    "after": whole_number("`X-Next-After` of the page before", maximum=ID_MAX, minimum=0),
    "limit": whole_number("Events a page", maximum=LIMIT_MAX, default=LIMIT_DEFAULT),
    "type": {
        "type": "string",
        "description": "One type, or several with commas between them: " + ", ".join(TYPES),
        "examples": ["order.delivered,order.cancelled"],
    },
    "wait": whole_number(
        "Seconds to wait for an event where there is none", maximum=WAIT_MAX_S, default=0, minimum=0
    ),
}


@get(
    "/events",
    operation_id="listEvents",
    summary="Read the event feed",
    guards=[requires("webhooks:read")],
    operation_class=asks(QUERY),
    responses=answers(
        list[Envelope], 400, 401, 403, 409, 410, 429, 503, told="Events in their order"
    ),
)
async def list_events(request: Request[Any, Any, Any], events: GivenFeed) -> Response[bytes]:
    """Your events, oldest first, the same as webhooks bring.

    `sequence` counts them from 1 without gaps, in the order in which they came to be. Store the
    header `X-Next-After` and give it as `after` next time: whatever happens later has a higher
    sequence, so nothing is missed and nothing comes twice. Without `after` the feed starts at the
    oldest event that is kept. `X-Has-More` says whether more is there already; with `type` a page
    may be empty and have more. `X-Last-Sequence` is where the feed ends now: to hear only of what
    is to come, start after it.

    With `wait` a request that finds nothing is answered as soon as something happens, or with an
    empty page after that many seconds. At most 10 of your requests may wait at a time.

    Events are kept for 90 days. Where what follows `after` is no longer kept the answer is 410,
    and `details.after` says where to go on. An `after` above your last event is 409.
    """
    query = request.query_params
    ask = FeedAsk(
        client_id=principal_of(request).client_id,
        after=_from_zero("After", query.get("after"), ID_MAX),
        limit=whole("Limit", query.get("limit"), default=LIMIT_DEFAULT, maximum=LIMIT_MAX),
        types=_types(query.get("type")),
    )
    wait_s = _from_zero("Wait", query.get("wait"), WAIT_MAX_S)
    page = await (events.wait(ask, wait_s) if wait_s else events.read(ask))
    return _answer(request, ask, page)


def _from_zero(field: str, text: str | None, maximum: int) -> int | None:
    """As `whole`, and 0 too; None where it is absent."""
    if text and re.fullmatch(r"0{1,18}", text):
        return 0
    return whole(field, text, default=1, maximum=maximum) if text else None


def _types(text: str | None) -> Sequence[str] | None:
    if not text:
        return None
    wanted = list(dict.fromkeys(part.strip().lower() for part in text.split(",")))
    if not set(wanted) <= set(TYPES):
        raise InvalidField("Type", "oneof", details={"allowed": list(TYPES)})
    return wanted


def _answer(request: Request[Any, Any, Any], ask: FeedAsk, page: FeedPage) -> Response[bytes]:
    pairs = [(k, v) for k, v in request.query_params.multi_items() if k != "after"]
    following = urlencode([*pairs, ("after", str(page.after))])
    headers = {
        "X-Per-Page": str(ask.limit),
        "X-Page-Size": str(len(page.events)),
        "X-Has-More": str(page.more).lower(),
        "X-Next-After": str(page.after),
        "X-Last-Sequence": str(page.last),
        "Link": f'<{request.scope["path"]}?{following}>; rel="next"',
    }
    return encode(page.events, headers=headers)


ROUTER = Router(path="/", route_handlers=[list_events], security=SECURITY, tags=["Events"])
