"""Vendor accounts, as staff see and change them: settings, secrets, whether they answer."""

from typing import Any

import msgspec
from litestar import Request, Response, Router, get, patch, post
from litestar.params import FromPath

from rewards.infra.crypto import Vault
from rewards.infra.db import Tx
from rewards.infra.http import decode, encode, member_of, page_answer, path_id
from rewards.infra.openapi import answers, asks, takes
from rewards.staff.auth import caller, requires
from rewards.staff.given import (
    PAGED,
    GivenAccounts,
    GivenClock,
    GivenDatabase,
    GivenSettings,
    GivenVault,
    paged,
    reason_told,
)
from rewards.staff.model import Permission
from rewards.staff.vendor_view import (
    AdapterOut,
    BalanceOut,
    CheckOut,
    ReadingOut,
    SyncOut,
    VendorCallsOut,
    VendorOut,
)
from rewards.vendors import service as vendors
from rewards.vendors.account import (
    MASK,
    Account,
    AccountChange,
    AccountStatus,
    NewAccount,
    SealedAccount,
    masked,
)
from rewards.vendors.kept import KeptBalance, Reading
from rewards.vendors.model import VendorNotFound
from rewards.vendors.registry import ADAPTERS


class NewVendorIn(msgspec.Struct, forbid_unknown_fields=True):
    """`config` and `secrets`: what `GET /vendor-adapters` says the adapter takes.

    `reason`: why, for the trail.
    """

    name: str
    adapter: str
    config: dict[str, str]
    secrets: dict[str, str] = {}
    reason: str | None = None

    def __repr__(self) -> str:
        return f"NewVendorIn({self.name!r}, {self.adapter!r})"


class VendorChangeIn(msgspec.Struct, forbid_unknown_fields=True):
    """What is left out stays as it is, also inside `config` and `secrets`.

    `status`: ACTIVE or PAUSED. A null inside `config` puts that field back to its default.
    `reason`: why, for the trail.
    """

    name: str | None = None
    status: str | None = None
    config: dict[str, str | None] | None = None
    secrets: dict[str, str] | None = None
    reason: str | None = None

    def __repr__(self) -> str:
        return "VendorChangeIn([redacted])"


SECRETS = requires(Permission.VENDORS_SECRETS, proof=True)
NEW_VENDOR = msgspec.json.Decoder(NewVendorIn)
VENDOR_CHANGE = msgspec.json.Decoder(VendorChangeIn)


@get(
    "/vendor-adapters",
    operation_id="listVendorAdapters",
    guards=[requires(Permission.VENDORS_READ)],
    responses=answers(list[AdapterOut], 401, 403),
)
async def list_adapters() -> Response[bytes]:
    """The kinds of vendors there are: what each needs, its limits and what it can do."""
    return encode([AdapterOut.of(kind) for kind in ADAPTERS.values()])


@get(
    "/vendors",
    operation_id="listVendors",
    operation_class=asks(PAGED),
    guards=[requires(Permission.VENDORS_READ)],
    responses=answers(list[VendorOut], 400, 401, 403),
)
async def list_vendors(
    request: Request[Any, Any, Any], db: GivenDatabase, vault: GivenVault
) -> Response[bytes]:
    """Accounts by id, with balances and how reading them went; `page`, `limit` (50, max 500)."""
    ask = paged(request)
    async with db.connection() as connection:
        page = await vendors.list_accounts(connection, ask)
        shown = await _shown(connection, vault, page.items, request)
    return page_answer(request, page, shown)


@get(
    "/vendors/{vendor_id:str}",
    operation_id="getVendor",
    guards=[requires(Permission.VENDORS_READ)],
    responses=answers(VendorOut, 401, 403, 404),
)
async def get_vendor(
    request: Request[Any, Any, Any], db: GivenDatabase, vault: GivenVault, vendor_id: FromPath[str]
) -> Response[bytes]:
    """One account."""
    number = path_id(vendor_id, VendorNotFound)
    async with db.connection() as connection:
        return encode(await _one(connection, vault, number, request))


@get(
    "/vendors/{vendor_id:str}/health",
    operation_id="getVendorHealth",
    guards=[requires(Permission.VENDORS_READ)],
    responses=answers(VendorCallsOut, 401, 403, 404),
)
async def get_vendor_health(db: GivenDatabase, vendor_id: FromPath[str]) -> Response[bytes]:
    """Whether the vendor answers, and what is under way there, as all processes saw it."""
    number = path_id(vendor_id, VendorNotFound)
    async with db.connection() as connection:
        health, calls = await vendors.health_of(connection, number)
    return encode(
        VendorCallsOut(
            *(number, health.open, health.unknown, health.cases, health.problem),
            *(calls.made, calls.failed, calls.failed_in_a_row, calls.left_alone),
            *(calls.answered_at, calls.failed_at),
        )
    )


@post(
    "/vendors",
    status_code=201,
    operation_id="createVendor",
    guards=[SECRETS],
    operation_class=takes(NewVendorIn),
    responses=answers(VendorOut, 400, 401, 403, 409, status=201, told="Added"),
)
async def create_vendor(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    vault: GivenVault,
    settings: GivenSettings,
    accounts: GivenAccounts,
) -> Response[bytes]:
    """Add an account, ACTIVE. Its secrets are sealed and never shown again.

    Addresses must be HTTPS.
    """
    body = decode(NEW_VENDOR, await request.body())
    new = NewAccount(body.name, body.adapter, body.config, body.secrets)
    who, loopback = caller(request).actor, settings.vendor_loopback
    reason = reason_told(body.reason)

    async def work(tx: Tx) -> VendorOut:
        account = await vendors.create(
            tx, vault, new, who, clock.now(), loopback=loopback, reason=reason
        )
        return await _one(tx, vault, account.id, request)

    made = await db.run(work)
    accounts.expire()
    return encode(made, 201)


@patch(
    "/vendors/{vendor_id:str}",
    operation_id="changeVendor",
    guards=[requires(Permission.VENDORS_WRITE)],
    operation_class=takes(VendorChangeIn),
    responses=answers(VendorOut, 400, 401, 403, 404, 409),
)
async def change_vendor(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    vault: GivenVault,
    settings: GivenSettings,
    accounts: GivenAccounts,
    vendor_id: FromPath[str],
) -> Response[bytes]:
    """Change or pause an account; counts in every process within a second.

    With a PAUSED one nothing is bought, and what was bought is still read back. `config` and
    `secrets` take `vendors:secrets`; an address on another host needs every secret anew.
    """
    body = decode(VENDOR_CHANGE, await request.body())
    number = path_id(vendor_id, VendorNotFound)
    if body.config is not None or body.secrets is not None:
        # An address decides where secrets are sent: it is as good as the secrets.
        await SECRETS(request)
    status = None if body.status is None else member_of("Status", AccountStatus, body.status)
    reason = reason_told(body.reason)
    wanted = AccountChange(body.name, status, body.config, body.secrets, reason)
    who, loopback = caller(request).actor, settings.vendor_loopback

    async def work(tx: Tx) -> VendorOut:
        await vendors.change(tx, vault, number, wanted, who, clock.now(), loopback=loopback)
        return await _one(tx, vault, number, request)

    changed = await db.run(work)
    accounts.expire()
    return encode(changed)


@post(
    "/vendors/{vendor_id:str}/check",
    status_code=200,
    operation_id="checkVendor",
    guards=[requires(Permission.VENDORS_WRITE)],
    responses=answers(CheckOut, 401, 403, 404, told="The vendor was asked"),
)
async def check_vendor(accounts: GivenAccounts, vendor_id: FromPath[str]) -> Response[bytes]:
    """Ask the vendor for our balance now, to see that it answers; at most 20 seconds."""
    checked = await accounts.check(path_id(vendor_id, VendorNotFound))
    balances = [BalanceOut.of(each) for each in checked.balances]
    return encode(CheckOut(checked.problem is None, checked.problem, checked.took_ms, balances))


@post(
    "/vendors/{vendor_id:str}/sync",
    status_code=202,
    operation_id="syncVendor",
    guards=[requires(Permission.VENDORS_WRITE)],
    responses=answers(SyncOut, 401, 403, 404, status=202, told="Queued"),
)
async def sync_vendor(
    request: Request[Any, Any, Any], db: GivenDatabase, clock: GivenClock, vendor_id: FromPath[str]
) -> Response[bytes]:
    """Have a worker read the vendor's balance and catalogue now; it does every day anyway."""
    number = path_id(vendor_id, VendorNotFound)
    who = caller(request).actor

    async def work(tx: Tx) -> None:
        await vendors.ask_for_sync(tx, number, who, clock.now())

    await db.run(work)
    return encode(SyncOut(number), 202)


async def _one(tx: Tx, vault: Vault, vendor_id: int, request: Request[Any, Any, Any]) -> VendorOut:
    [held] = await vendors.read(tx, [vendor_id])
    if held is None:
        raise VendorNotFound
    [shown] = await _shown(tx, vault, [held], request)
    return shown


async def _shown(
    tx: Tx, vault: Vault, found: list[SealedAccount], request: Request[Any, Any, Any]
) -> list[VendorOut]:
    may = caller(request).staff.may(Permission.VENDORS_SECRETS)
    ids = [held.account.id for held in found]
    balances, readings = await vendors.balances_of(tx, ids), await vendors.readings_of(tx, ids)
    return [
        _out(held.account, await _masks(tx, vault, held, may), left, went)
        for held, left, went in zip(found, balances, readings, strict=True)
    ]


async def _masks(tx: Tx, vault: Vault, held: SealedAccount, may: bool) -> dict[str, str]:
    secrets = await vendors.open_secrets(vault, held, tx)
    return {name: masked(value) if may else MASK for name, value in secrets.items()}


def _out(
    account: Account,
    secrets: dict[str, str],
    balances: list[KeptBalance],
    readings: list[Reading],
) -> VendorOut:
    return VendorOut(
        account.id,
        account.name,
        account.adapter,
        account.status,
        dict(account.config),
        secrets,
        [BalanceOut.of(each.balance, each.read_at) for each in balances],
        [ReadingOut(each.what, each.tried_at, each.read_at, each.problem) for each in readings],
        account.created_at,
        account.changed_at,
    )


ROUTER = Router(
    path="/admin/api/v1",
    tags=["Vendors (staff)"],
    route_handlers=[
        list_adapters,
        list_vendors,
        get_vendor,
        get_vendor_health,
        create_vendor,
        change_vendor,
        check_vendor,
        sync_vendor,
    ],
)
