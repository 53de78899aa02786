"""Compares what the database holds with the oracle's copy of it, and asks the doctor."""

import itertools
from collections.abc import Iterable

from rewards.entry import doctor
from rewards.infra import checks
from rewards.inventory import service as inventory
from rewards.orders import sql_read
from rewards.orders.model import STATES, Item, Order, State, walk
from tests.sim.market import Market


def facts(order: Order) -> tuple[object, ...]:
    """An order in the form of the oracle's `Sale.facts`."""
    return (
        order.id, order.client_id, order.wallet_id, order.currency, str(order.state),
        order.amount_minor, order.discount_minor, order.fees_minor, order.tax_minor,
        order.quantity, order.items_created, order.fulfilled, order.cancelled, order.revoked,
        order.refunded_minor, order.refund_owed_minor,
    )  # fmt: skip


def items(found: Iterable[Item]) -> list[tuple[int, str, int | None]]:
    return [(item.position, str(item.status), item.unit_id) for item in found]


async def compare(market: Market) -> None:
    """Orders, items, wallets, units, shelf and blocked units: row by row."""
    oracle = market.oracle
    async with market.shop.parts.db.connection() as connection:
        order_ids = [row["id"] for row in await connection.fetch("SELECT id FROM orders")]
        orders = await sql_read.read_orders(connection, order_ids)
        lines = await sql_read.read_items(connection, order_ids)
        balances = await connection.fetch("SELECT id, status, balance_minor FROM wallets")
        shelf = await connection.fetch("SELECT unit_id, loaded FROM shelf")
        blocked = await connection.fetch("SELECT unit_id, reason FROM blocked_units")
        units = await connection.fetch("SELECT id, state FROM units")
    assert {n: facts(order) for n, order in orders.items()} == {
        n: sale.facts() for n, sale in oracle.sales.items()
    }
    assert {n: items(found) for n, found in lines.items()} == {
        n: sale.items() for n, sale in oracle.sales.items()
    }
    assert {row[0]: (row[1], row[2]) for row in balances} == {
        n: (wallet.status, wallet.balance) for n, wallet in oracle.wallets.items()
    }
    assert {row[0]: row[1] for row in shelf} == {
        n: unit.loaded for n, unit in oracle.units.items() if unit.state == "AVAILABLE"
    }
    assert {row[0]: row[1] for row in blocked} == {
        n: unit.reason for n, unit in oracle.units.items() if unit.state == "BLOCKED"
    }
    assert {row[0]: row[1] for row in units} == {n: unit.state for n, unit in oracle.units.items()}
    await compare_codes(market)


async def compare_codes(market: Market) -> None:
    """I14: every unit opens, and holds what was loaded."""
    parts, units = market.shop.parts, market.oracle.units
    async with parts.db.connection() as connection:
        stored = await inventory.read_units(connection, list(units))
    sealed = [unit for unit in stored if unit is not None]
    assert len(sealed) == len(units)
    opened = await inventory.open_units(parts.vault, sealed)
    assert {unit.unit_id: found for unit, found in zip(sealed, opened, strict=True)} == {
        n: unit.fields for n, unit in units.items()
    }


async def walked(market: Market) -> set[tuple[State, State]]:
    """Every step that stands in the history of an order, each of them legal."""
    async with market.shop.parts.db.connection() as connection:
        rows = await connection.fetch("SELECT DISTINCT path FROM order_transitions")
    by_name = {str(state): state for state in STATES}
    paths = [walk(*(by_name[name] for name in row["path"])) for row in rows]
    return {step for path in paths for step in itertools.pairwise(path)}


async def ask_doctor(dsn: str) -> None:
    """Every invariant holds."""
    findings = await checks.run(dsn, doctor.all_checks())
    broken = [(f.name, f.problem, f.rows[:3]) for f in findings if f.breaches or f.problem]
    assert not broken, broken
