"""Statements, signed: what came in, went out and is held, as the command line makes them."""

import asyncio
from typing import Any

from litestar import Request, Response, Router, get

from rewards.clients import service as clients
from rewards.core.errors import InvalidField, Unavailable
from rewards.infra.csvtext import CSV, wants_csv
from rewards.infra.http import ID_MAX, JSON, NO_STORE
from rewards.infra.openapi import answers, asks, whole_number
from rewards.infra.query import an_id
from rewards.reconciliation import documents, statement
from rewards.reconciliation.documents import Document
from rewards.reconciliation.model_statement import imbalances
from rewards.staff.auth import requires
from rewards.staff.given import GivenClock, GivenDatabase, GivenVault
from rewards.staff.model import Permission
from rewards.staff.periods import DAY, DAYS, days_of
from rewards.vendors import service as vendors
from rewards.vendors.model import VendorNotFound
from rewards.wallets import service as wallets

DAYS_MAX = 366
# One goes through every unit there is: two at once would only be slower.
_turn = asyncio.Semaphore(1)


@get(
    "/statements",
    operation_id="makeStatement",
    operation_class=asks(
        DAYS
        | {
            "client": whole_number("The money of this client alone", maximum=ID_MAX),
            "vendor": whole_number("What came from this vendor alone", maximum=ID_MAX),
        }
    ),
    guards=[requires(Permission.RECONCILIATION_READ)],
    responses=answers(Document, 400, 401, 403, 404, 409, 503, told="Signed; CSV by `Accept`"),
)
async def make_statement(
    request: Request[Any, Any, Any], db: GivenDatabase, clock: GivenClock, vault: GivenVault
) -> Response[bytes]:
    """A signed statement of whole days that are over, at most 366; yesterday's if none is given.

    The bytes are those of `rewards statement`, JSON or (`Accept: text/csv`) CSV: `rewards
    verify-statement` checks them. Without `client` or `vendor` it is of all, and goes through all
    stock; one is made at a time, another is told to come back (503). `X-Imbalances` says how many
    lines do not add up.
    """
    query = request.query_params
    client_id = an_id("Client", query.get("client"))
    vendor_id = an_id("Vendor", query.get("vendor"))
    if client_id is not None and vendor_id is not None:
        raise InvalidField("Vendor", "alone")
    days = days_of(request, clock.now() - DAY, days_max=DAYS_MAX)
    held: list[int] = []
    async with db.connection() as connection:
        if client_id is not None:
            await clients.check_there(connection, client_id)
            held = [w.id for w in await wallets.list_for_client(connection, client_id)]
        if vendor_id is not None:
            [vendor] = await vendors.read(connection, [vendor_id])
            if vendor is None:
                raise VendorNotFound
    if _turn.locked():
        raise Unavailable
    period = (days.first, days.last)
    async with _turn:
        if client_id is not None:
            made = await statement.state_of_wallets(db, clock, held, *period)
        elif vendor_id is not None:
            made = await statement.state_of_vendor(db, clock, vendor_id, *period)
        else:
            made = await statement.state(db, clock, *period)
    document = documents.sign(made, statement.signing_key(vault))
    as_csv = wants_csv(request)
    name = f"statement-{days.first}-{days.last}.{'csv' if as_csv else 'json'}"
    return Response(
        documents.to_csv(document) if as_csv else documents.to_json(document),
        media_type=CSV if as_csv else JSON,
        headers={
            **NO_STORE,
            "Vary": "Accept",
            "Content-Disposition": f'attachment; filename="{name}"',
            "X-Imbalances": str(len(list(imbalances(made.lines)))),
        },
    )


ROUTER = Router(
    path="/admin/api/v1", tags=["Reconciliation (staff)"], route_handlers=[make_statement]
)
