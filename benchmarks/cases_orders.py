"""Orders over HTTP: how many a second, how long a lone one takes, and one of a thousand units."""

from collections.abc import Sequence

from benchmarks import load
from benchmarks.bench import DELIVERED, Bench, check, quantiles
from benchmarks.load import Outcome
from benchmarks.report import Figure, middle
from benchmarks.world import ORDINARY, REALTIME, Caller, orders

# More than this machine can sell; stock must not run out while it is measured.
SOLD_PER_SECOND_MAX = 9_000
WARM_UP_ORDERS = 2_000
LONE_PER_SECOND = 50
LONE_SECONDS = 10
BIG_QUANTITY = 1_000
BIG_ORDERS = 5
GOAL_TPCB = "≥ 0.40"
GOAL_ONE_CLIENT = "≥ 0.90"
GOAL_DEPTH = "≥ 0.90"
DEEP_UNITS = 1_000_000


async def _rates(bench: Bench, **sources: Sequence[Caller]) -> tuple[list[float], float]:
    """Orders a second of each of these callers, and TPC-B transactions a second.

    Medians of runs that take turns, so that a machine which changes meanwhile does so for all.
    """
    seconds = bench.seconds * bench.rounds * len(sources)
    warm_up = WARM_UP_ORDERS * len(sources)
    await bench.world.lay_in(ORDINARY, warm_up + int(SOLD_PER_SECOND_MAX * seconds))
    await bench.world.settle()
    asked = {what: orders(callers) for what, callers in sources.items()}
    for source in asked.values():
        await bench.run(source)
    yard: list[float] = []
    ours: dict[str, list[Outcome]] = {what: [] for what in asked}
    for _ in range(bench.rounds):
        yard.append((await bench.yardstick()).per_second)
        for what, source in asked.items():
            ours[what].append(await bench.run(source))
    for what, runs in ours.items():
        p50, p99 = quantiles(runs, 0.5, 0.99)
        generator_us = middle([outcome.generator_us for outcome in runs])
        bench.note(
            f"{what.replace('_', ' ')}: {bench.connections} connections, p50 {p50:.1f} ms,"
            f" p99 {p99:.1f} ms; the generator took {generator_us:.0f} µs of CPU a request on the"
            " same cores"
        )
    return [middle([one.per_second for one in runs]) for runs in ours.values()], middle(yard)


async def orders_per_second(bench: Bench) -> list[Figure]:
    """Authenticated by API key, limits on, idempotency keys, sealed vouchers delivered."""
    callers = bench.world.callers
    [many, one], yard = await _rates(bench, thousand_clients=callers, one_client=callers[:1])
    tps = "TPC-B/s, 8 clients"
    case = "orders_per_second"
    return [
        Figure(case, "orders/s, 1,000 clients", many, "/s", yard, tps, GOAL_TPCB),
        Figure(case, "orders/s, 1 client", one, "/s", yard, tps, GOAL_TPCB),
        Figure(case, "orders/s, 1 client", one, "/s", many, "/s, 1,000 clients", GOAL_ONE_CLIENT),
    ]


async def stock_depth(bench: Bench) -> list[Figure]:
    """Whether a pool of a million units sells as fast as one of a few."""
    [shallow], yard = await _rates(bench, shallow_pool=bench.world.callers)
    await bench.world.deepen(ORDINARY, DEEP_UNITS)
    [deep], yard_deep = await _rates(bench, deep_pool=bench.world.callers)
    return [
        Figure(
            *("stock_depth", "of TPC-B/s with 1,000,000 units", deep / yard_deep, ""),
            *(shallow / yard, "with few", GOAL_DEPTH),
        )
    ]


async def lone_order(bench: Bench) -> list[Figure]:
    """An order when little else goes on: fifty a second, counted from when each was due."""
    await bench.world.lay_in(ORDINARY, LONE_PER_SECOND * LONE_SECONDS * 2)
    source = orders(bench.world.callers)
    await load.open_loop(bench.base_url, source, per_second=LONE_PER_SECOND, seconds=2)
    outcome = await load.open_loop(
        bench.base_url,
        source,
        per_second=LONE_PER_SECOND,
        seconds=LONE_SECONDS,
        mark=DELIVERED,
    )
    check(outcome)
    yard_ms = (await bench.yardstick(clients=1)).latency_ms
    bench.note("lone_order:\n" + "\n".join(outcome.latencies.histogram()))
    p50, p99 = outcome.latencies.quantile_ms(0.5, 0.99)
    lone = "ms, a lone TPC-B transaction"
    return [
        Figure("lone_order", "p50 at 50 orders/s", p50, "ms", yard_ms, lone),
        Figure("lone_order", "p99 at 50 orders/s", p99, "ms", yard_ms, lone),
    ]


async def realtime_order(bench: Bench) -> list[Figure]:
    """One order of a thousand units of a realtime product, all delivered in the request."""
    await bench.world.lay_in(REALTIME, BIG_QUANTITY * (BIG_ORDERS + 1) + 100)
    medians = []
    for quantity, count in ((1, 20), (BIG_QUANTITY, BIG_ORDERS)):
        source = orders(bench.world.callers[:1], REALTIME, quantity)
        # One caller on one connection; the first order warms the path.
        outcome = await load.open_loop(
            *(bench.base_url, source),
            per_second=2,
            seconds=count / 2,
            connections=1,
            mark=DELIVERED,
        )
        check(outcome)
        medians += outcome.latencies.quantile_ms(0.5)
    one, thousand = medians
    per_unit_us = thousand * 1e3 / BIG_QUANTITY
    return [
        Figure("realtime_order", "order of 1,000 units", thousand, "ms", one, "ms, of 1 unit"),
        Figure("realtime_order", "each of its units", per_unit_us, "µs", one * 1e3, "µs, alone"),
    ]
