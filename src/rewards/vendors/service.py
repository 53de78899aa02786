"""Vendor accounts and the products they sell: what staff, jobs and the command line may do.

Every change of an account is announced, so that each process obeys it within a second.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import asyncpg
import msgspec

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.core.actor import Actor
from rewards.core.errors import InvalidField
from rewards.core.page import Page, PageAsk
from rewards.core.text import UNPRINTABLE, printable
from rewards.infra import jobs
from rewards.infra.changes import announce
from rewards.infra.crypto import Vault
from rewards.infra.db import Tx
from rewards.infra.jobs import JobAsk
from rewards.vendors import sql, sql_exchanges, sql_health, sql_products, sql_standing
from rewards.vendors.account import (
    CHANGES_TOPIC,
    Account,
    AccountChange,
    NewAccount,
    SealedAccount,
    VendorNameTaken,
    check_config,
    check_name,
    check_secrets,
    moved,
)
from rewards.vendors.building import check_build
from rewards.vendors.kept import (
    Calls,
    ExchangeFilter,
    KeptBalance,
    KeptExchange,
    KeptOffer,
    Mapped,
    Reading,
    Standing,
    What,
)
from rewards.vendors.model import Balance, Callback, VendorNotFound
from rewards.vendors.port import AdapterKind
from rewards.vendors.purchases import buy_job
from rewards.vendors.registry import ADAPTERS

# Where an account's secrets are sealed: table and field, with the vendor's id.
SECRETS_PLACE = "vendors.secrets"
SYNC_JOB = jobs.declare("vendors.sync")
HEARD_MAX = 10
CALLS_LOOKED_AT = 100
SKU_CHARS_MAX = 200
PERCENT_MAX = Decimal(100)
PERCENT_PLACES = 4
PRIORITY_MAX = 1_000
# As the table says.
FEE_MINOR_MAX = 1_000_000_000
_SECRETS = msgspec.json.Decoder(dict[str, str])


async def create(
    tx: Tx,
    vault: Vault,
    new: NewAccount,
    who: Actor,
    at: datetime,
    *,
    loopback: bool,
    reason: str | None = None,
) -> Account:
    """Add an ACTIVE account; its secrets are sealed and never told again.

    Raises InvalidField for an unknown adapter, a setting or secret that it does not take or lacks,
    and an address that is neither HTTPS nor, with `loopback`, of this machine; VendorNameTaken.
    """
    kind = _kind(new.adapter)
    check_name(new.name)
    check_config(kind, new.config, loopback=loopback)
    check_secrets(kind, new.secrets)
    check_build(kind, new.config, new.secrets)
    vendor_id = await sql.next_id(tx)
    account = await sql.insert_account(
        tx,
        vendor_id,
        name=new.name,
        adapter=kind.name,
        config=new.config,
        sealed=_sealed(vault, vendor_id, new.secrets),
        at=at,
    )
    if account is None:
        raise VendorNameTaken
    facts = {**_told(account), "secrets": sorted(new.secrets)}
    await audit.record(tx, [_fact(who, account.id, "vendor.created", facts, reason)], at)
    await announce(tx, CHANGES_TOPIC, [account.id])
    return account


async def change(
    tx: Tx,
    vault: Vault,
    vendor_id: int,
    wanted: AccountChange,
    who: Actor,
    at: datetime,
    *,
    loopback: bool,
) -> Account:
    """Change what is not None in `wanted`; the account as it is then. A change of nothing is none.

    An address of another host needs all secrets anew (`Invalid Secrets: required`): nobody may
    have what he cannot read sent to himself. Raises VendorNotFound, and what `create` raises.
    """
    held = await sql.lock_account(tx, vendor_id)
    if held is None:
        raise VendorNotFound
    before, kind = held.account, _kind(held.account.adapter)
    config = _merged(before.config, wanted.config or {})
    if wanted.name is not None:
        check_name(wanted.name)
    # What stays is not looked at: whatever becomes of the rules, an account can be paused.
    if config != before.config:
        check_config(kind, config, loopback=loopback)
    secrets = await _changed_secrets(tx, vault, kind, held, config, wanted.secrets)
    if secrets is not None:
        check_build(kind, config, secrets)
    after = replace(
        before,
        name=before.name if wanted.name is None else wanted.name,
        status=wanted.status or before.status,
        config=config,
    )
    if after == before and not wanted.secrets:
        return before
    sealed = held.sealed if secrets is None else _sealed(vault, vendor_id, secrets)
    try:
        after = await sql.update_account(tx, replace(after, changed_at=at), sealed)
    except asyncpg.UniqueViolationError:
        raise VendorNameTaken from None
    facts = _differences(before, after)
    if wanted.secrets:
        facts["secrets"] = sorted(wanted.secrets)
    await audit.record(tx, [_fact(who, vendor_id, "vendor.changed", facts, wanted.reason)], at)
    await announce(tx, CHANGES_TOPIC, [vendor_id])
    return after


async def read(tx: Tx, vendor_ids: Sequence[int]) -> list[SealedAccount | None]:
    """The account of each id, in order; None where there is none."""
    found = await sql.read_accounts(tx, vendor_ids)
    return [found.get(vendor_id) for vendor_id in vendor_ids]


async def find_by_name(tx: Tx, name: str) -> SealedAccount | None:
    """The account of this name, which no two have."""
    return await sql.find_by_name(tx, name)


async def list_accounts(tx: Tx, ask: PageAsk) -> Page[SealedAccount]:
    """Accounts by id."""
    accounts, total = await sql.list_accounts(tx, ask)
    return Page(accounts, ask, total)


async def ask_for_sync(tx: Tx, vendor_id: int, who: Actor, at: datetime) -> None:
    """Have a worker read the vendor's balance and catalogue soon. Raises VendorNotFound."""
    if not await sql.read_accounts(tx, [vendor_id]):
        raise VendorNotFound
    await audit.record(tx, [_fact(who, vendor_id, "vendor.sync_asked", {})], at)
    await enqueue_syncs(tx, [vendor_id])


async def enqueue_syncs(tx: Tx, vendor_ids: Sequence[int]) -> None:
    """A job for each, so that one slow vendor holds no other up."""
    asks = [JobAsk(SYNC_JOB, {"vendor_id": each}, dedupe_key=str(each)) for each in vendor_ids]
    await jobs.enqueue(tx, asks)


async def open_secrets(vault: Vault, held: SealedAccount, tx: Tx | None = None) -> dict[str, str]:
    """The secrets themselves, for the adapter; nobody is ever shown more than their mask.

    `tx` is the transaction of a caller that is in one.
    """
    await vault.learn([held.sealed], tx)
    return _SECRETS.decode(vault.open(SECRETS_PLACE, held.account.id, held.sealed))


async def balances_of(tx: Tx, vendor_ids: Sequence[int]) -> list[list[KeptBalance]]:
    """What each vendor last said is left to buy with, by currency."""
    found = await sql.read_balances(tx, vendor_ids)
    return [found[vendor_id] for vendor_id in vendor_ids]


async def keep_balances(tx: Tx, vendor_id: int, balances: Sequence[Balance], at: datetime) -> None:
    """Note what a vendor said at `at` is left to buy with, unless it said more since."""
    await sql.keep_balances(tx, vendor_id, balances, at)
    await sql.note_reading(tx, vendor_id, What.BALANCES, None, at)


async def readings_of(tx: Tx, vendor_ids: Sequence[int]) -> list[list[Reading]]:
    """How reading each vendor's balances and catalogue last went."""
    found = await sql.read_readings(tx, vendor_ids)
    return [found[vendor_id] for vendor_id in vendor_ids]


async def list_offers(
    tx: Tx, vendor_id: int, ask: PageAsk, search: str | None = None
) -> Page[KeptOffer]:
    """A vendor's catalogue as last read, by sku; `search` finds a part of name or sku, any case."""
    offers, total = await sql.list_offers(tx, vendor_id, ask, search)
    return Page(offers, ask, total)


async def health(tx: Tx, limit: int) -> list[sql_health.Health]:
    """How each vendor is doing, by id; one statement."""
    return await sql_health.health(tx, limit)


async def health_of(tx: Tx, vendor_id: int) -> tuple[sql_health.Health, Calls]:
    """How one vendor is doing, and how the last calls to it went. Raises VendorNotFound."""
    found = await sql_health.health(tx, 1, vendor_id)
    if not found:
        raise VendorNotFound
    return found[0], Calls.of(await sql_health.last_calls(tx, vendor_id, CALLS_LOOKED_AT))


async def exchanges_of_order(tx: Tx, order_id: int, limit: int) -> list[KeptExchange]:
    """What was said about the purchases of one order, oldest first, without bodies."""
    return await sql_exchanges.of_order(tx, order_id, limit)


async def read_exchanges(
    tx: Tx, vendor_id: int, narrow: ExchangeFilter, *, before_id: int, limit: int
) -> list[KeptExchange]:
    """What was said on the wire, newest first; the next page begins before the last one's id."""
    return await sql_exchanges.read(tx, vendor_id, narrow, before_id, limit)


async def set_product(
    tx: Tx, wanted: Mapped, who: Actor, at: datetime, reason: str | None = None
) -> Mapped:
    """Say under which sku a vendor sells a product; the product's existence is the caller's to ask.

    Raises VendorNotFound; InvalidField for Sku (`min`, `max`, `printable`), DiscountPercent, Fee
    and Priority.
    """
    printable("Sku", wanted.sku, SKU_CHARS_MAX)
    if not 0 <= wanted.discount_percent <= PERCENT_MAX:
        raise InvalidField("DiscountPercent", "range")
    if wanted.discount_percent.normalize().as_tuple().exponent < -PERCENT_PLACES:  # type: ignore[operator]
        raise InvalidField("DiscountPercent", "precision")
    if not 0 <= wanted.fee_minor <= FEE_MINOR_MAX:
        raise InvalidField("Fee", "range")
    if not 0 <= wanted.priority <= PRIORITY_MAX:
        raise InvalidField("Priority", "range")
    # Its lock lets one of two who map the same product at once see the other.
    if await sql.lock_account(tx, wanted.vendor_id) is None:
        raise VendorNotFound
    before = await sql_products.lock_product(tx, wanted.vendor_id, wanted.product_id)
    if before == wanted:
        return before
    after = await sql_products.set_product(tx, wanted)
    facts: dict[str, object] = {
        "product_id": after.product_id,
        "from": _terms(before) if before else None,
        "to": _terms(after),
    }
    fact = _fact(who, after.vendor_id, "vendor.product_mapped", facts, reason)
    await audit.record(tx, [fact], at)
    return after


async def list_products(tx: Tx, vendor_id: int, ask: PageAsk) -> Page[Mapped]:
    """The products of ours that a vendor sells, by product."""
    products, total = await sql_products.list_products(tx, vendor_id, ask)
    return Page(products, ask, total)


async def standing(tx: Tx, since: datetime | None = None) -> list[Standing]:
    """What is left at each active vendor, and what was spent of it since then; see `Standing`."""
    return await sql_standing.read(tx, since)


async def hear(tx: Tx, vendor_id: int, hint: Callback) -> list[int]:
    """Have the open purchases that a vendor's message names read back soon; their ids."""
    key, ref = _name(hint.key), _name(hint.vendor_ref)
    found = await sql_exchanges.find_open(tx, vendor_id, key, ref, HEARD_MAX)
    await jobs.enqueue(tx, [buy_job(purchase_id) for purchase_id in found])
    return found


def _name(told: str | None) -> str | None:
    """None for what no purchase is called."""
    return None if told is None or UNPRINTABLE.search(told) else told


def _kind(adapter: str) -> AdapterKind:
    kind = ADAPTERS.get(adapter)
    if kind is None:
        raise InvalidField("Adapter", "oneof", details={"allowed": sorted(ADAPTERS)})
    return kind


def _sealed(vault: Vault, vendor_id: int, secrets: Mapping[str, str]) -> bytes:
    return vault.seal(SECRETS_PLACE, vendor_id, msgspec.json.encode(dict(secrets)))


def _merged(before: Mapping[str, str], wanted: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in {**before, **wanted}.items() if value is not None}


async def _changed_secrets(
    tx: Tx,
    vault: Vault,
    kind: AdapterKind,
    held: SealedAccount,
    config: Mapping[str, str],
    given: Mapping[str, str] | None,
) -> dict[str, str] | None:
    """All of them as they are to be; None when neither they nor the settings change."""
    given = given or {}
    elsewhere = moved(held.account.config, config)
    if not given and config == held.account.config:
        return None
    kept = await open_secrets(vault, held, tx)
    if elsewhere and not kept.keys() <= given.keys():
        raise InvalidField("Secrets", "required", details={"required": sorted(kept)})
    known = {each.name for each in kind.secrets}
    secrets = {**kept, **given}
    # A newer version of the adapter may ask for fewer.
    secrets = {name: value for name, value in secrets.items() if name in known or name in given}
    check_secrets(kind, secrets)
    return secrets


def _told(account: Account) -> dict[str, object]:
    return {
        "name": account.name,
        "adapter": account.adapter,
        "status": account.status,
        "config": dict(account.config),
    }


def _differences(before: Account, after: Account) -> dict[str, object]:
    old, new = _told(before), _told(after)
    return {key: {"from": old[key], "to": new[key]} for key in new if old[key] != new[key]}


def _terms(mapped: Mapped) -> dict[str, object]:
    return {
        "sku": mapped.sku,
        "discount_percent": mapped.discount_percent,
        "fee_minor": mapped.fee_minor,
        "priority": mapped.priority,
        "active": mapped.active,
    }


def _fact(
    who: Actor,
    vendor_id: int,
    action: str,
    facts: Mapping[str, object],
    reason: str | None = None,
) -> AuditFact:
    return AuditFact(who, None, action, "vendor", vendor_id, facts, reason)
