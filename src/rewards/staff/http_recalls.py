"""Bad batches, as staff handle them: look who has them, stop their sale, ask for them back."""

from decimal import Decimal
from typing import Any

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.params import FromPath

from rewards.core.currency import exponent_of
from rewards.core.money import to_decimal
from rewards.infra.http import ID_MAX, decode, encode, one_of, path_id, whole
from rewards.infra.openapi import answers, asks, choice, takes, whole_number
from rewards.inventory.model import BatchNotFound, BatchStatus, UnitState
from rewards.orders.model import Holder, ItemStatus, Status, SubStatus, item_id
from rewards.staff import recalls
from rewards.staff.auth import caller, requires
from rewards.staff.given import GivenClock, GivenDatabase, reason_of
from rewards.staff.http_approvals import ApprovalOut
from rewards.staff.model import Permission

LIST_DEFAULT, LIST_MAX = 100, 1_000


class MoneyOut(msgspec.Struct):
    currency: str
    amount: Decimal


class RecallOut(msgspec.Struct):
    """A batch as a recall sees it: what it would do, how far it is, what it has done.

    `units` counts by state; while a recall is carried out DELIVERED goes down and REVOKED up. What
    orders hold now, and what taking it back would refund, is added up unless it is too much
    (`counted` false).
    """

    batch_id: int
    name: str
    status: BatchStatus
    units: dict[UnitState, int]
    counted: bool
    orders: int
    clients: int
    refunds: list[MoneyOut]
    # The newest request, whatever became of it.
    approval: ApprovalOut | None

    @classmethod
    def of(cls, found: recalls.Recall) -> "RecallOut":
        return cls(
            batch_id=found.batch.batch_id,
            name=found.batch.name,
            status=found.batch.status,
            units=found.units,
            counted=found.counted,
            orders=found.orders,
            clients=found.clients,
            refunds=[
                MoneyOut(currency, to_decimal(minor, exponent_of(currency)))
                for currency, minor in sorted(found.refunds_minor.items())
            ],
            approval=ApprovalOut.of(found.approval) if found.approval else None,
        )


class BatchUnitOut(msgspec.Struct, omit_defaults=True):
    """A unit of the batch and whoever has it, or had it until it was taken back; never a code."""

    unit_id: int
    state: UnitState
    order_id: int | None = None
    item_id: str | None = None
    item_status: ItemStatus | None = None
    client_id: int | None = None
    status: Status | None = None
    sub_status: SubStatus | None = None

    @classmethod
    def of(cls, unit_id: int, state: UnitState, one: Holder | None) -> "BatchUnitOut":
        if one is None:
            return cls(unit_id, state)
        return cls(
            unit_id,
            state,
            one.order_id,
            item_id(one.order_id, one.position),
            one.item_status,
            one.client_id,
            one.state.status,
            one.state.sub_status,
        )


class UnblockedOut(msgspec.Struct):
    """How many units wait for the next pump again."""

    batch_id: int
    unblocked: int


class RecallIn(msgspec.Struct, forbid_unknown_fields=True):
    """Why, always. `replace`: give each holder another unit from the pool where there is one."""

    reason: str = ""
    replace: bool = False


class BlockedOut(msgspec.Struct):
    """How many units this took out of sale; those that were already, or are sold, not counted."""

    batch_id: int
    blocked: int


class BlockIn(msgspec.Struct, forbid_unknown_fields=True):
    """Why, always."""

    reason: str = ""


class UnblockIn(msgspec.Struct, forbid_unknown_fields=True):
    """Why, always."""

    reason: str = ""


RECALL = msgspec.json.Decoder(RecallIn)
BLOCK = msgspec.json.Decoder(BlockIn)
UNBLOCK = msgspec.json.Decoder(UnblockIn)


@get(
    "/inventory/batches/{batch_id:str}/recall",
    operation_id="previewRecall",
    guards=[requires(Permission.INVENTORY_READ)],
    responses=answers(RecallOut, 401, 403, 404),
)
async def preview_recall(batch_id: FromPath[str], db: GivenDatabase) -> Response[bytes]:
    """What a recall of the batch would touch and cost; during one its progress. Changes nothing."""
    return encode(RecallOut.of(await recalls.look(db, path_id(batch_id, BatchNotFound))))


@post(
    "/inventory/batches/{batch_id:str}/recall",
    status_code=202,
    operation_id="recallBatch",
    guards=[requires(Permission.INVENTORY_RECALL)],
    operation_class=takes(RecallIn, needs=("reason",)),
    responses=answers(
        RecallOut, 400, 401, 403, 404, 409, status=202, told="Out of sale; waits for approval"
    ),
)
async def recall_batch(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    batch_id: FromPath[str],
) -> Response[bytes]:
    """Take the batch out of sale now, and ask a second person for taking it back from its holders.

    What is unsold is blocked when this answers. Once approved (`/approvals/{id}/approve`) the batch
    is RECALLED for good, and a worker takes every sold unit back: revoked and refunded with a late
    `order.cancelled`, or with `replace` exchanged for a unit from the pool while there are any.
    409 when it is recalled, or the same was asked for already.
    """
    number = path_id(batch_id, BatchNotFound)
    body = decode(RECALL, await request.body())
    who = caller(request)
    ask = recalls.RecallAsk(number, who.actor, who.staff.id, reason_of(body.reason), body.replace)
    await recalls.request(db, clock, ask)
    return encode(RecallOut.of(await recalls.look(db, number)), 202)


@post(
    "/inventory/batches/{batch_id:str}/block",
    status_code=200,
    operation_id="blockBatch",
    guards=[requires(Permission.INVENTORY_RECALL)],
    operation_class=takes(BlockIn, needs=("reason",)),
    responses=answers(BlockedOut, 400, 401, 403, 404, 409),
)
async def block_batch(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    batch_id: FromPath[str],
) -> Response[bytes]:
    """Take what is unsold of a batch out of sale, until it is unblocked; sold units stay sold.

    When it answers none of them is for sale. To take sold ones back as well, recall the batch. 409
    when it is recalled.
    """
    number = path_id(batch_id, BatchNotFound)
    body = decode(BLOCK, await request.body())
    taken = await recalls.block(db, clock, number, caller(request).actor, reason_of(body.reason))
    return encode(BlockedOut(number, taken))


@post(
    "/inventory/batches/{batch_id:str}/unblock",
    status_code=200,
    operation_id="unblockBatch",
    guards=[requires(Permission.INVENTORY_RECALL)],
    operation_class=takes(UnblockIn, needs=("reason",)),
    responses=answers(UnblockedOut, 400, 401, 403, 404, 409),
)
async def unblock_batch(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    batch_id: FromPath[str],
) -> Response[bytes]:
    """Sell a blocked batch again, such as after its recall was rejected; the next pump loads it.

    Units that were blocked for a reason of their own stay so. 409 when the batch is recalled, or
    while its recall waits for approval.
    """
    number = path_id(batch_id, BatchNotFound)
    body = decode(UNBLOCK, await request.body())
    back = await recalls.unblock(db, clock, number, caller(request).actor, reason_of(body.reason))
    return encode(UnblockedOut(number, back))


@get(
    "/inventory/batches/{batch_id:str}/units",
    operation_id="listBatchUnits",
    operation_class=asks(
        {
            "state": choice(UnitState, "In any case; all states if left out"),
            "limit": whole_number("Units a page", maximum=LIST_MAX, default=LIST_DEFAULT),
            "after": whole_number("Above this id: the last one of the page before", maximum=ID_MAX),
        }
    ),
    guards=[requires(Permission.INVENTORY_READ)],
    responses=answers(list[BatchUnitOut], 400, 401, 403, 404),
)
async def list_batch_units(
    request: Request[Any, Any, Any], batch_id: FromPath[str], db: GivenDatabase
) -> Response[bytes]:
    """Every unit of the batch by id, with the order, item and client that has it, or had it."""
    number = path_id(batch_id, BatchNotFound)
    query = request.query_params
    limit = whole("Limit", query.get("limit"), default=LIST_DEFAULT, maximum=LIST_MAX)
    after_id = (
        whole("After", query["after"], default=1, maximum=ID_MAX) if query.get("after") else 0
    )
    wanted = one_of("State", UnitState, query.get("state"))
    states = tuple(UnitState) if wanted is None else (wanted,)
    found = await recalls.units(db, number, states, after_id, limit)
    return encode([BatchUnitOut.of(*line) for line in found])


ROUTER = Router(
    path="/admin/api/v1",
    tags=["Inventory (staff)"],
    route_handlers=[preview_recall, recall_batch, block_batch, unblock_batch, list_batch_units],
)
