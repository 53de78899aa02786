"""`/statements` of the clients' API: whole days of one client's wallets, signed."""

from typing import Any

from litestar import Request, Response, Router, get

from rewards.clients.auth import SECURITY, principal_of, requires
from rewards.core.errors import InvalidField
from rewards.core.text import day
from rewards.infra.csvtext import CSV, wants_csv
from rewards.infra.http import JSON, NO_STORE
from rewards.infra.openapi import answers, asks
from rewards.members.given import GivenClock, GivenDatabase, GivenVault
from rewards.reconciliation import documents, statement
from rewards.reconciliation.documents import Document
from rewards.wallets import service as wallets

DAYS_MAX = 366


@get(
    "/statements",
    guards=[requires("wallets:read")],
    operation_id="getStatement",
    summary="Get a signed statement",
    operation_class=asks(
        {
            "from": {
                "type": "string",
                "format": "date",
                "description": "First UTC day, included; required",
            },
            "to": {
                "type": "string",
                "format": "date",
                "description": "Last UTC day, included, and over; required",
            },
        }
    ),
    responses=answers(Document, 400, 401, 403, 409, 503, told="The statement"),
)
async def get_statement(
    request: Request[Any, Any, Any], db: GivenDatabase, clock: GivenClock, vault: GivenVault
) -> Response[bytes]:
    """What your wallets had, got, gave and hold over whole days, in minor units, signed.

    For each currency opening + in = out + held. Signed with Ed25519 over the heading and the digest
    of each line; not a byte can be changed. With `Accept: text/csv` as CSV, under the same
    signature. At most 366 days; a day that is not over yet is refused (409).
    """
    query = request.query_params
    for field in ("from", "to"):
        if not query.get(field):
            raise InvalidField(field.capitalize(), "required")
    first, last = day("From", query["from"]), day("To", query["to"])
    if (last - first).days >= DAYS_MAX:
        raise InvalidField("From", "days", details={"days_max": DAYS_MAX})
    async with db.connection() as connection:
        held = await wallets.list_for_client(connection, principal_of(request).client_id)
    made = await statement.state_of_wallets(db, clock, [wallet.id for wallet in held], first, last)
    document = documents.sign(made, statement.signing_key(vault))
    as_csv = wants_csv(request)
    name = f"statement-{first}-{last}.{'csv' if as_csv else 'json'}"
    return Response(
        documents.to_csv(document) if as_csv else documents.to_json(document),
        media_type=CSV if as_csv else JSON,
        headers={
            **NO_STORE,
            "Vary": "Accept",
            "Content-Disposition": f'attachment; filename="{name}"',
        },
    )


ROUTER = Router(path="/", tags=["Wallets"], security=SECURITY, route_handlers=[get_statement])
