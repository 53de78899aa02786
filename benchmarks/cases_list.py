"""Lists over HTTP when a client has a million orders."""

from benchmarks import load, wire
from benchmarks.bench import Bench, WrongAnswers
from benchmarks.report import Figure
from benchmarks.world import ORDINARY, Caller, orders

MANY = 1_000_000
CHUNK = 100_000
FEW = 50
DEEP_PAGE = 1_000

# The template's columns whatever they are, but for what must differ from row to row.
COPY_ORDERS = """
SELECT format(
    'INSERT INTO orders (%s) SELECT %s FROM orders AS o, generate_series($1::bigint, $2) AS n'
    ' WHERE o.id = $3',
    string_agg(quote_ident(column_name), ', '),
    string_agg(CASE column_name
        WHEN 'id' THEN 'n'
        WHEN 'transaction_id' THEN 'n'
        WHEN 'ref' THEN '''bench-'' || n'
        WHEN 'placed_at' THEN 'o.placed_at - (($2 - n) || '' ms'')::interval'
        ELSE 'o.' || quote_ident(column_name) END, ', '))
FROM information_schema.columns
WHERE table_schema = current_schema() AND table_name = 'orders' AND is_generated = 'NEVER'
"""
COPY_ITEMS = """
INSERT INTO order_items (order_id, position, status, unit_id, delivered_at)
SELECT n, i.position, i.status, n, i.delivered_at
FROM order_items AS i, generate_series($1::bigint, $2) AS n WHERE i.order_id = $3
"""


async def list_page(bench: Bench) -> list[Figure]:
    """The first page, and a deep one, of a million orders against the first page of fifty."""
    rich, poor = bench.world.callers[-1], bench.world.callers[-2]
    await _place(bench, poor, FEW)
    await _place(bench, rich, 1)
    await _copy(bench, rich.client_id)
    await bench.world.settle()
    path = "/api/v1/orders?limit=10"
    few = await _p50_ms(bench, poor, path)
    many = await _p50_ms(bench, rich, path)
    deep = await _p50_ms(bench, rich, f"{path}&page={DEEP_PAGE}")
    of_few = "ms, of 50 orders"
    return [
        Figure("list_page", "first page of 1,000,000 orders", many, "ms", few, of_few),
        Figure("list_page", f"page {DEEP_PAGE:,} of it", deep, "ms", few, of_few),
    ]


async def _place(bench: Bench, caller: Caller, number: int) -> None:
    await bench.world.lay_in(ORDINARY, number + 10)
    source = orders([caller])
    outcome = await load.open_loop(
        bench.base_url, source, per_second=100, seconds=number / 100, connections=1
    )
    if outcome.good != number:
        raise WrongAnswers(str(outcome.strange[:1]))


async def _copy(bench: Bench, client_id: int) -> None:
    """A million orders like the client's one, by SQL; ids below all that are in use."""
    async with bench.world.db.connection() as connection:
        template = await connection.fetchval(
            "SELECT min(id) FROM orders WHERE client_id = $1", client_id
        )
        copy_orders = await connection.fetchval(COPY_ORDERS)
    for first in range(-MANY, 0, CHUNK):
        async with bench.world.db.transaction() as tx:
            for statement in (copy_orders, COPY_ITEMS):
                await tx.execute(statement, first, first + CHUNK - 1, template, timeout=60)


async def _p50_ms(bench: Bench, caller: Caller, path: str) -> float:
    request = wire.render("GET", path, caller.headers)
    outcome = await load.closed(
        bench.base_url, iter(lambda: request, b""), connections=1, seconds=bench.seconds
    )
    if outcome.good != outcome.answered or not outcome.good:
        raise WrongAnswers(str(outcome.strange[:1]))
    [p50] = outcome.latencies.quantile_ms(0.5)
    return p50
