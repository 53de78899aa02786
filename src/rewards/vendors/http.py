"""`POST /vendors/{vendor_id}/callback`: where vendors tell that something happened."""

from typing import Any

import msgspec
import structlog
from litestar import Request, Response, Router, post
from litestar.di import NamedDependency
from litestar.params import FromPath, SkipValidation

from rewards.clients.limits import Limiter
from rewards.clients.windows import Window
from rewards.core.errors import NotFound, Unauthorized
from rewards.infra.address import Proxies
from rewards.infra.db import Database
from rewards.infra.http import answer_with, encode, path_id
from rewards.vendors import service
from rewards.vendors.accounts import Accounts
from rewards.vendors.model import CallbackRefused, VendorNotAvailable, VendorNotFound
from rewards.vendors.redact import redact
from rewards.vendors.wire import Exchange

log = structlog.get_logger()

CALLBACK_BYTES_MAX = 64 * 1024
# A vendor tells of each order once or twice; a flood of forgeries costs one signature check each.
WINDOWS = (Window(600, 60),)
PURPOSE = "vendor-callback-address"


class HeardOut(msgspec.Struct):
    status: str = "ok"


@post(
    "/{vendor_id:str}/callback",
    status_code=200,
    request_max_body_size=CALLBACK_BYTES_MAX,
    include_in_schema=False,
)
async def hear(
    request: Request[Any, Any, Any],
    vendor_id: FromPath[str],
    db: NamedDependency[SkipValidation[Database]],
    accounts: NamedDependency[SkipValidation[Accounts]],
    limiter: NamedDependency[SkipValidation[Limiter]],
    proxies: NamedDependency[SkipValidation[Proxies]],
) -> Response[bytes]:
    """Take a vendor's hint: the purchase it names is read back, nothing in it is believed.

    401 for what the adapter does not take for its vendor's, 404 for no such account.
    """
    address = proxies.address(request.scope)
    answer_with(request, await limiter.spend(PURPOSE, str(address), WINDOWS))
    number = path_id(vendor_id, NotFound)
    try:
        known = await accounts.known(number)
    except (VendorNotFound, VendorNotAvailable):
        raise NotFound from None
    body = await request.body()
    headers = {name.decode("latin-1").lower(): value for name, value in _headers(request)}
    try:
        hint = known.vendor.callback(headers, body)
    except CallbackRefused as refused:
        log.warning("callback_refused", vendor_id=number, why=str(refused))
        raise Unauthorized from None
    async with db.transaction() as tx:
        found = await service.hear(tx, number, hint)
    log.info("callback_heard", vendor_id=number, purchases=found)
    named: list[int | None] = [*found]
    for purchase_id in named or [None]:
        heard = Exchange(
            call="callback",
            method="POST",
            path=f"/vendors/{number}/callback",
            request=redact(body, known.kind.safe),
            status=200,
            answer=None,
            problem=None if found else "it names no open purchase of ours",
            took_ms=0,
            purchase_id=purchase_id,
        )
        await accounts.recorder(number).record(heard)
    return encode(HeardOut())


def _headers(request: Request[Any, Any, Any]) -> list[tuple[bytes, str]]:
    return [(name, value.decode("latin-1")) for name, value in request.scope["headers"]]


ROUTER = Router("/vendors", route_handlers=[hear])
