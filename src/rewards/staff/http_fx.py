"""Exchange rates, as staff see and set them; and those that wait because they jump."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.params import FromPath

from rewards.core.money import read_json_amount
from rewards.core.text import printable, timestamp
from rewards.infra.db import Tx
from rewards.infra.http import ID_MAX, decode, encode, one_of, page_answer, path_id, whole
from rewards.infra.openapi import answers, asks, choice, takes, whole_number
from rewards.pricing import service_rates as rates
from rewards.pricing.model_rates import (
    Ages,
    Channel,
    FxRateJump,
    HeldRate,
    HeldRateNotFound,
    HeldState,
    NewRate,
    Outcome,
    RateRow,
)
from rewards.pricing.rates import with_spread
from rewards.pricing.rules import check_pair, read_percent
from rewards.staff.auth import caller, requires
from rewards.staff.given import PAGED, GivenClock, GivenDatabase, GivenSettings, paged
from rewards.staff.model import Permission

LIST_DEFAULT, LIST_MAX = 50, 500
REASON_CHARS_MAX = 500
CODE = {"type": "string", "pattern": "^[A-Za-z]{3}$"}

# A JSON number or a string of one; floats never touch it.
Figure = Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"type": ["number", "string"]})]
OptionalFigure = Annotated[
    msgspec.Raw, msgspec.Meta(extra_json_schema={"type": ["number", "string", "null"]})
]


def _absent() -> msgspec.Raw:
    return msgspec.Raw(b"null")


class FxRateOut(msgspec.Struct):
    """`rate`: units of target for one unit of source; clients get `charged_rate`, spread included.

    After `stale_at` it refuses orders that need it; null: it never gets too old.
    """

    id: int
    source: str
    target: str
    rate: Decimal
    spread_percent: Decimal
    charged_rate: Decimal | None
    channel: Channel
    origin: str
    quoted_at: datetime
    set_at: datetime | None
    stale_at: datetime | None
    stale: bool

    @classmethod
    def of(cls, row: RateRow, ages: Ages, at: datetime) -> "FxRateOut":
        stale_at = row.stale_at(ages)
        return cls(
            row.id,
            row.source,
            row.target,
            row.rate,
            row.spread_percent,
            with_spread(row.rate, row.spread_percent),
            row.channel,
            row.origin,
            row.quoted_at,
            row.set_at,
            stale_at,
            stale_at is not None and at > stale_at,
        )


class HeldRateOut(msgspec.Struct):
    """A rate from a file or a provider that differs too much from `charged_before`, which clients
    are charged while it is OPEN."""

    id: int
    source: str
    target: str
    rate: Decimal
    spread_percent: Decimal
    charged_rate: Decimal | None
    charged_before: Decimal
    channel: Channel
    origin: str
    quoted_at: datetime
    held_at: datetime
    state: HeldState
    decided_at: datetime | None

    @classmethod
    def of(cls, held: HeldRate) -> "HeldRateOut":
        rate = held.rate
        return cls(
            held.id,
            rate.source,
            rate.target,
            rate.rate,
            rate.spread_percent,
            with_spread(rate.rate, rate.spread_percent),
            held.charged_before,
            rate.channel,
            rate.origin,
            rate.quoted_at,
            held.held_at,
            held.state,
            held.decided_at,
        )


class FxRateIn(msgspec.Struct, forbid_unknown_fields=True):
    """`rate`: units of target for one unit of source, up to 12 decimals. `quoted_at`: now, if left
    out. `confirm`: it is meant, however much it differs from the one in force."""

    source: str
    target: str
    rate: Figure = msgspec.field(default_factory=_absent)
    reason: str = ""
    spread_percent: OptionalFigure = msgspec.field(default_factory=_absent)
    origin: str | None = None
    quoted_at: str | None = None
    confirm: bool = False


class DecisionIn(msgspec.Struct, forbid_unknown_fields=True):
    """Why, always."""

    reason: str = ""


FX_RATE = msgspec.json.Decoder(FxRateIn)
DECISION = msgspec.json.Decoder(DecisionIn)


@get(
    "/fx-rates",
    operation_id="listFxRates",
    operation_class=asks(PAGED),
    guards=[requires(Permission.FX_READ)],
    responses=answers(list[FxRateOut], 400, 401, 403),
)
async def list_rates(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    settings: GivenSettings,
) -> Response[bytes]:
    """The rate in force of each pair, by source and target. The other direction of a pair without
    a rate of its own is its inverse, and two currencies without any meet in USD."""
    ask = paged(request)
    async with db.connection() as connection:
        page = await rates.current(connection, ask)
    ages, at = rates.ages_of(settings), clock.now()
    return page_answer(request, page, [FxRateOut.of(row, ages, at) for row in page.items])


@get(
    "/fx-rates/history",
    operation_id="listFxRateHistory",
    operation_class=asks(
        {
            "source": CODE | {"description": "From this currency; required"},
            "target": CODE | {"description": "To this currency; required"},
            "limit": whole_number("Lines a page", maximum=LIST_MAX, default=LIST_DEFAULT),
            "before": whole_number(
                "Below this id: the last one of the page before", maximum=ID_MAX
            ),
        }
    ),
    guards=[requires(Permission.FX_READ)],
    responses=answers(list[FxRateOut], 400, 401, 403),
)
async def list_history(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    settings: GivenSettings,
) -> Response[bytes]:
    """Every rate there ever was of one direction of a pair, the newest, in force, first."""
    query = request.query_params
    source, target = query.get("source", "").upper(), query.get("target", "").upper()
    check_pair(source, target)
    limit = whole("Limit", query.get("limit"), default=LIST_DEFAULT, maximum=LIST_MAX)
    before = whole("Before", query.get("before"), default=ID_MAX, maximum=ID_MAX)
    async with db.connection() as connection:
        rows = await rates.history(connection, source, target, before, limit)
    ages, at = rates.ages_of(settings), clock.now()
    return encode([FxRateOut.of(row, ages, at) for row in rows])


@post(
    "/fx-rates",
    status_code=201,
    operation_id="setFxRate",
    guards=[requires(Permission.FX_WRITE)],
    operation_class=takes(FxRateIn, needs=("rate", "reason")),
    responses=answers(FxRateOut, 400, 401, 403, 409, status=201, told="In force"),
)
async def set_rate(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    settings: GivenSettings,
) -> Response[bytes]:
    """Put a rate in force, in every process within a second. Orders keep the rate they had.

    409 `FX_RATE_JUMP` when it differs from what clients are charged now by more than a set
    percentage (10), and is not confirmed.
    """
    body = decode(FX_RATE, await request.body())
    reason = printable("Reason", body.reason, REASON_CHARS_MAX)
    who, at = caller(request), clock.now()
    offer = _offer(body, body.origin or who.staff.username, settings.fx_spread_percent, at)

    async def work(tx: Tx) -> RateRow:
        [loaded] = await rates.offer_rates(
            tx, [offer], who.actor, at, settings, reason=reason, confirmed=body.confirm
        )
        before = loaded.decision.charged_before
        if loaded.outcome is Outcome.HELD and before is not None:
            # Raised inside the transaction: nothing waits for a decision that its author can make.
            raise FxRateJump(before, settings.fx_jump_percent_max)
        [row] = await rates.history(tx, offer.source, offer.target, ID_MAX, 1)
        return row

    return encode(FxRateOut.of(await db.run(work), rates.ages_of(settings), at), 201)


def _offer(body: FxRateIn, origin: str, spread_percent: Decimal, at: datetime) -> NewRate:
    # A number or its text.
    spread = bytes(body.spread_percent).decode().strip('"')
    return NewRate(
        body.source.upper(),
        body.target.upper(),
        read_json_amount("Rate", bytes(body.rate)),
        origin,
        at if body.quoted_at is None else timestamp("QuotedAt", body.quoted_at),
        Channel.STAFF,
        spread_percent if spread == "null" else read_percent("SpreadPercent", spread),
    )


@get(
    "/fx-rates/held",
    operation_id="listHeldFxRates",
    operation_class=asks(
        {
            "state": choice(HeldState, "In any case"),
            "limit": whole_number("Lines a page", maximum=LIST_MAX, default=LIST_DEFAULT),
            "before": whole_number(
                "Below this id: the last one of the page before", maximum=ID_MAX
            ),
        }
    ),
    guards=[requires(Permission.FX_READ)],
    responses=answers(list[HeldRateOut], 400, 401, 403),
)
async def list_held(request: Request[Any, Any, Any], db: GivenDatabase) -> Response[bytes]:
    """Rates that came from files and providers and differ too much; the newest first."""
    query = request.query_params
    limit = whole("Limit", query.get("limit"), default=LIST_DEFAULT, maximum=LIST_MAX)
    before = whole("Before", query.get("before"), default=ID_MAX, maximum=ID_MAX)
    state = one_of("State", HeldState, query.get("state"))
    async with db.connection() as connection:
        found = await rates.held_rates(connection, state, before, limit)
    return encode([HeldRateOut.of(held) for held in found])


@post(
    "/fx-rates/held/{held_id:str}/confirm",
    status_code=200,
    operation_id="confirmHeldFxRate",
    guards=[requires(Permission.FX_WRITE)],
    operation_class=takes(DecisionIn, needs=("reason",)),
    responses=answers(HeldRateOut, 400, 401, 403, 404, 409),
)
async def confirm_held(
    request: Request[Any, Any, Any], db: GivenDatabase, clock: GivenClock, held_id: FromPath[str]
) -> Response[bytes]:
    """It is right: put it in force. 409 when somebody decided, or a newer one of its pair came."""
    return await _decide(request, db, clock, held_id, HeldState.CONFIRMED)


@post(
    "/fx-rates/held/{held_id:str}/dismiss",
    status_code=200,
    operation_id="dismissHeldFxRate",
    guards=[requires(Permission.FX_WRITE)],
    operation_class=takes(DecisionIn, needs=("reason",)),
    responses=answers(HeldRateOut, 400, 401, 403, 404, 409),
)
async def dismiss_held(
    request: Request[Any, Any, Any], db: GivenDatabase, clock: GivenClock, held_id: FromPath[str]
) -> Response[bytes]:
    """It is wrong: it will not be asked about again. 409 when it is not open any more."""
    return await _decide(request, db, clock, held_id, HeldState.DISMISSED)


async def _decide(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    held_id: str,
    state: HeldState,
) -> Response[bytes]:
    body = decode(DECISION, await request.body())
    reason = printable("Reason", body.reason, REASON_CHARS_MAX)
    number, who, at = path_id(held_id, HeldRateNotFound), caller(request).actor, clock.now()
    decided = await db.run(lambda tx: rates.decide_held(tx, number, state, who, reason, at))
    return encode(HeldRateOut.of(decided))


ROUTER = Router(
    path="/admin/api/v1",
    tags=["Exchange rates (staff)"],
    route_handlers=[list_rates, list_history, set_rate, list_held, confirm_held, dismiss_held],
)
