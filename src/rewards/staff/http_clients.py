"""Clients, as staff see and change them: limits, credentials, logins."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, Router, get, patch, post
from litestar.params import FromPath

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.clients import service as clients
from rewards.clients.model import (
    Client,
    ClientChange,
    ClientNotFound,
    ClientStatus,
    Limits,
    NewClient,
)
from rewards.core.text import printable
from rewards.infra.db import Tx
from rewards.infra.http import decode, encode, member_of, page_answer, path_id
from rewards.infra.openapi import answers, asks, takes
from rewards.staff.auth import caller, requires
from rewards.staff.given import (
    PAGED,
    GivenClock,
    GivenDatabase,
    decimal_of,
    no_json,
    paged,
    reason_told,
)
from rewards.staff.model import Permission

NAME_CHARS_MAX = 200
Percent = Annotated[
    msgspec.Raw,
    msgspec.Meta(
        extra_json_schema={
            "type": ["number", "null"],
            "minimum": 0,
            "maximum": 100,
            "description": "Percent charged on top when an order needs FX",
            "examples": [1.5],
        }
    ),
]


class LimitsIn(msgspec.Struct, forbid_unknown_fields=True):
    """What is left out stays as it is, or, for a new client, takes the default."""

    orders_per_minute: int | None = None
    orders_per_10s: int | None = None
    orders_per_day: int | None = None
    concurrent_orders: int | None = None
    max_quantity: int | None = None

    def over(self, limits: Limits) -> Limits:
        return Limits(
            _or(self.orders_per_minute, limits.per_minute),
            _or(self.orders_per_10s, limits.per_10s),
            _or(self.orders_per_day, limits.per_day),
            _or(self.concurrent_orders, limits.concurrent),
        )


def _fee(raw: msgspec.Raw) -> Decimal | None:
    """None for null; its bounds are the client's to check."""
    return decimal_of("ConversionFeePercent", raw)


def _or(given: int | None, else_: int) -> int:
    return else_ if given is None else given


class NewClientIn(msgspec.Struct, forbid_unknown_fields=True):
    """`allowed_ips`: addresses or CIDR ranges; empty: every one. `reason`: for the trail."""

    name: str
    limits: LimitsIn = msgspec.field(default_factory=LimitsIn)
    allowed_ips: list[str] = []
    # Charged on top when an order needs FX.
    conversion_fee_percent: Percent = msgspec.field(default_factory=no_json)
    reason: str | None = None


class ClientChangeIn(msgspec.Struct, forbid_unknown_fields=True):
    """What is left out stays as it is. `status`: ACTIVE or SUSPENDED; `reason`: for the trail."""

    name: str | None = None
    status: str | None = None
    limits: LimitsIn | None = None
    allowed_ips: list[str] | None = None
    conversion_fee_percent: Percent = msgspec.field(default_factory=no_json)
    reason: str | None = None


class LimitsOut(msgspec.Struct):
    orders_per_minute: int
    orders_per_10s: int
    orders_per_day: int
    concurrent_orders: int
    max_quantity: int


class ClientOut(msgspec.Struct):
    id: int
    name: str
    status: ClientStatus
    limits: LimitsOut
    allowed_ips: list[str]
    conversion_fee_percent: Decimal
    created_at: datetime

    @classmethod
    def of(cls, client: Client) -> "ClientOut":
        limits = client.limits
        return cls(
            client.id,
            client.name,
            client.status,
            LimitsOut(
                limits.per_minute,
                limits.per_10s,
                limits.per_day,
                limits.concurrent,
                client.max_quantity,
            ),
            list(client.allowed_ips),
            client.conversion_fee_percent,
            client.created_at,
        )


NEW_CLIENT = msgspec.json.Decoder(NewClientIn)
CLIENT_CHANGE = msgspec.json.Decoder(ClientChangeIn)


@get(
    "/clients",
    operation_id="listClients",
    operation_class=asks(
        {
            **PAGED,
            "name": {
                "type": "string",
                "maxLength": NAME_CHARS_MAX,
                "description": "A part of the name, in any case",
            },
            "search": {
                "type": "string",
                "maxLength": NAME_CHARS_MAX,
                "description": "A part of the name, or of a username of its people, in any case",
            },
        }
    ),
    guards=[requires(Permission.CLIENTS_READ)],
    responses=answers(list[ClientOut], 400, 401, 403),
)
async def list_clients(request: Request[Any, Any, Any], db: GivenDatabase) -> Response[bytes]:
    """Clients by id; `page`, `limit` (50, max 500).

    `name` finds a part of a name in any case, `search` also of the usernames of their people.
    """
    query = request.query_params
    ask = paged(request)
    name = printable("Name", query["name"], NAME_CHARS_MAX) if query.get("name") else None
    text = printable("Search", query["search"], NAME_CHARS_MAX) if query.get("search") else None
    async with db.connection() as connection:
        page = await clients.list_clients(connection, ask, name=name, search=text)
    return page_answer(request, page, [ClientOut.of(client) for client in page.items])


@get(
    "/clients/{client_id:str}",
    operation_id="getClient",
    guards=[requires(Permission.CLIENTS_READ)],
    responses=answers(ClientOut, 401, 403, 404),
)
async def get_client(client_id: FromPath[str], db: GivenDatabase) -> Response[bytes]:
    """One client."""
    number = path_id(client_id, ClientNotFound)
    async with db.connection() as connection:
        [client] = await clients.read(connection, [number])
    if client is None:
        raise ClientNotFound
    return encode(ClientOut.of(client))


@post(
    "/clients",
    status_code=201,
    operation_id="createClient",
    guards=[requires(Permission.CLIENTS_WRITE)],
    operation_class=takes(NewClientIn),
    responses=answers(ClientOut, 400, 401, 403, status=201, told="Added"),
)
async def create_client(
    request: Request[Any, Any, Any], db: GivenDatabase, clock: GivenClock
) -> Response[bytes]:
    """Add a client, ACTIVE, without credentials, logins or wallets yet."""
    body = decode(NEW_CLIENT, await request.body())
    quantity, reason = body.limits.max_quantity, reason_told(body.reason)
    new = NewClient(
        name=body.name,
        limits=body.limits.over(Limits()),
        allowed_ips=tuple(body.allowed_ips),
        conversion_fee_percent=_fee(body.conversion_fee_percent) or Decimal(0),
        **({} if quantity is None else {"max_quantity": quantity}),
    )

    async def work(tx: Tx) -> Client:
        at = clock.now()
        [client] = await clients.create(tx, [new], at)
        who = caller(request).actor
        facts = _told(client)
        fact = AuditFact(who, client.id, "client.created", "client", client.id, facts, reason)
        await audit.record(tx, [fact], at)
        return client

    return encode(ClientOut.of(await db.run(work)), 201)


@patch(
    "/clients/{client_id:str}",
    operation_id="changeClient",
    guards=[requires(Permission.CLIENTS_WRITE)],
    operation_class=takes(ClientChangeIn),
    responses=answers(ClientOut, 400, 401, 403, 404),
)
async def change_client(
    request: Request[Any, Any, Any], db: GivenDatabase, clock: GivenClock, client_id: FromPath[str]
) -> Response[bytes]:
    """Change a client; counts in every process within a second.

    A SUSPENDED client is answered 401 on every route of its own.
    """
    body = decode(CLIENT_CHANGE, await request.body())
    number, reason = path_id(client_id, ClientNotFound), reason_told(body.reason)

    async def work(tx: Tx) -> Client:
        # A change of nothing locks the row and says what it holds.
        before = await clients.change(tx, number, ClientChange())
        client = await clients.change(tx, number, _wanted(body, before))
        old, new = _told(before), _told(client)
        facts = {key: {"from": old[key], "to": new[key]} for key in new if old[key] != new[key]}
        who = caller(request).actor
        fact = AuditFact(who, client.id, "client.changed", "client", client.id, facts, reason)
        await audit.record(tx, [fact], clock.now())
        return client

    return encode(ClientOut.of(await db.run(work)))


def _wanted(body: ClientChangeIn, before: Client) -> ClientChange:
    status = None if body.status is None else member_of("Status", ClientStatus, body.status)
    return ClientChange(
        name=body.name,
        status=status,
        limits=None if body.limits is None else body.limits.over(before.limits),
        max_quantity=None if body.limits is None else body.limits.max_quantity,
        conversion_fee_percent=_fee(body.conversion_fee_percent),
        allowed_ips=None if body.allowed_ips is None else tuple(body.allowed_ips),
    )


def _told(client: Client) -> dict[str, object]:
    """A client as the audit trail tells of it."""
    told = msgspec.structs.asdict(ClientOut.of(client))
    limits = msgspec.structs.asdict(told.pop("limits"))
    return {key: value for key, value in told.items() if key not in ("id", "created_at")} | limits


ROUTER = Router(
    path="/admin/api/v1",
    tags=["Clients (staff)"],
    route_handlers=[list_clients, get_client, create_client, change_client],
)
