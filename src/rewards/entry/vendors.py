"""`rewards vendors list | add | check | sync`: vendor accounts from the command line."""

import getpass
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from rewards.core.actor import SYSTEM
from rewards.core.clock import SystemClock
from rewards.core.currency import exponent_of
from rewards.core.errors import Refusal
from rewards.core.money import to_decimal
from rewards.core.page import PageAsk
from rewards.entry import database
from rewards.infra.changes import ChangeFeed
from rewards.infra.crypto import Vault
from rewards.infra.db import Database
from rewards.infra.settings import Settings
from rewards.vendors import service
from rewards.vendors.account import Account, NewAccount
from rewards.vendors.accounts import Accounts
from rewards.vendors.model import Balance, VendorNotFound
from rewards.vendors.registry import ADAPTERS
from rewards.vendors.tasks import VendorTasks
from rewards.vendors.wire import open_session

SHOWN_MAX = 500


@dataclass(frozen=True, slots=True)
class VendorDesk:
    """A process of its own that may ask vendors."""

    db: Database
    vault: Vault
    accounts: Accounts

    async def find(self, name: str) -> Account:
        """By name, or else by id. Raises VendorNotFound."""
        async with self.db.connection() as connection:
            found = await service.find_by_name(connection, name)
            if found is None and name.isascii() and name.isdigit():
                [found] = await service.read(connection, [int(name)])
        if found is None:
            raise VendorNotFound
        return found.account


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[VendorDesk]:
    """Database, vault and vendors for one command."""
    async with AsyncExitStack() as stack:
        db = await Database.connect(await database.app_dsn(settings), settings)
        stack.push_async_callback(db.close)
        vault = await Vault.open_database(db, settings)
        feed = ChangeFeed(db)
        session = await stack.enter_async_context(open_session())
        yield VendorDesk(db, vault, Accounts(db, vault, feed, settings, SystemClock(), session))


async def show(settings: Settings) -> int:
    """A line for each account."""
    async with opened(settings) as desk, desk.db.connection() as connection:
        page = await service.list_accounts(connection, PageAsk(1, SHOWN_MAX))
        ids = [held.account.id for held in page.items]
        balances = await service.balances_of(connection, ids)
        readings = await service.readings_of(connection, ids)
    table = Table("id", "name", "adapter", "status", "balance", "trouble")
    for held, left, went in zip(page.items, balances, readings, strict=True):
        account = held.account
        table.add_row(
            str(account.id),
            account.name,
            account.adapter,
            account.status,
            ", ".join(_amount(each.balance) for each in left),
            "; ".join(f"{each.what}: {each.problem}" for each in went if each.problem),
        )
    Console().print(table)
    return 0


async def add(settings: Settings, name: str, adapter: str, config: Sequence[str]) -> int:
    """Add an account with settings given as `name=value`; 1 and the reason when refused."""
    try:
        pairs = dict(each.split("=", 1) for each in config)
        secrets = _secrets(adapter)
    except (ValueError, msgspec.MsgspecError):
        typer.echo("settings are name=value; secrets are a JSON object of texts", err=True)
        return 1
    async with opened(settings) as desk:
        try:
            async with desk.db.transaction() as tx:
                account = await service.create(
                    *(tx, desk.vault, NewAccount(name, adapter, pairs, secrets), SYSTEM),
                    SystemClock().now(),
                    loopback=settings.vendor_loopback,
                )
        except Refusal as refused:
            return _refused(refused)
    typer.echo(f"added {account.name} as {account.id}")
    return 0


async def check(settings: Settings, name: str) -> int:
    """Ask the vendor now; 1 when it does not answer to our credentials."""
    async with opened(settings) as desk:
        try:
            checked = await desk.accounts.check((await desk.find(name)).id)
        except Refusal as refused:
            return _refused(refused)
    if checked.problem:
        typer.echo(f"no: {checked.problem} ({checked.took_ms} ms)", err=True)
        return 1
    left = ", ".join(map(_amount, checked.balances)) or "no balance told"
    typer.echo(f"yes: {left} ({checked.took_ms} ms)")
    return 0


async def sync(settings: Settings, name: str) -> int:
    """Read balance and catalogue now; 1 when either failed."""
    async with opened(settings) as desk:
        try:
            account = await desk.find(name)
        except Refusal as refused:
            return _refused(refused)
        await VendorTasks(desk.db, desk.accounts, SystemClock()).sync([account.id])
        async with desk.db.connection() as connection:
            [readings] = await service.readings_of(connection, [account.id])
            offers = await service.list_offers(connection, account.id, PageAsk(1, 1))
    for each in readings:
        typer.echo(f"{each.what}: {each.problem or 'read'}")
    typer.echo(f"{offers.total} offers")
    return int(any(each.problem for each in readings))


def _secrets(adapter: str) -> dict[str, str]:
    """Asked one by one from a person, else read from standard input: never from the arguments."""
    kind = ADAPTERS.get(adapter)
    if kind is None or not kind.secrets:
        return {}
    if not sys.stdin.isatty():
        return msgspec.json.decode(sys.stdin.buffer.read(), type=dict[str, str])
    asked = {each.name: getpass.getpass(f"{each.name} ({each.about}): ") for each in kind.secrets}
    return {name: value for name, value in asked.items() if value}


def _amount(balance: Balance) -> str:
    amount = to_decimal(balance.amount_minor, exponent_of(balance.currency))
    return f"{balance.currency} {amount:,}"


def _refused(refused: Refusal) -> int:
    typer.echo(refused.message, err=True)
    return 1
