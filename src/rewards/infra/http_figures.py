"""What the HTTP edge counts: requests by route and class of their status, refusals by code."""

from functools import lru_cache
from typing import Any, cast

from litestar.types import Scope

from rewards.infra.metrics import Counter, Histogram

# A path that no route takes is anybody's words.
NO_ROUTE = "none"
# Of a request that nobody waited for any more.
NO_ANSWER = "none"

REQUESTS = Histogram(
    "http_request_seconds",
    "Requests answered, by the template of their route and the class of their status.",
    *("route", "status"),
)
REFUSALS = Counter(
    "refusals_total",
    "Requests refused with a code: logins that failed, limits that were reached, and all others.",
    *("route", "code"),
)


def route_of(scope: Scope) -> str:
    """`GET /api/v1/orders/{order_id}` of a request that was routed."""
    known = cast("dict[str, Any]", scope)
    template = known.get("path_template")
    return _route(known["method"], template) if template else NO_ROUTE


@lru_cache(maxsize=1_000)
def _route(method: str, template: str) -> str:
    return f"{method} {template}"


def note(scope: Scope, status: int, took_s: float) -> None:
    """A request was answered; status 0: it was not."""
    REQUESTS.observe(took_s, route_of(scope), f"{status // 100}xx" if status else NO_ANSWER)
