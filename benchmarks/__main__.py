"""`python -m benchmarks [case…]`: measures on a server and database of its own, prints ratios."""

import argparse
import shutil
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from tempfile import mkdtemp
from time import perf_counter

import uvloop

from benchmarks import (
    cases_bulk,
    cases_list,
    cases_orders,
    cases_pages,
    cases_process,
    cases_stock,
    cases_webhooks,
    report,
    tpcb,
    world,
)
from benchmarks.bench import Bench, WrongAnswers
from benchmarks.home import NotReady, open_home
from benchmarks.report import Figure

Case = Callable[[Bench], Awaitable[list[Figure]]]
# In this order: a later case may find more rows than an earlier one, never fewer.
CASES: dict[str, Case] = {
    "orders_per_second": cases_orders.orders_per_second,
    "lone_order": cases_orders.lone_order,
    "realtime_order": cases_orders.realtime_order,
    "bulk_order": cases_bulk.bulk_order,
    "stock": cases_stock.stock,
    "webhooks": cases_webhooks.deliveries,
    "memory": cases_process.memory,
    "start": cases_process.start,
    "stock_depth": cases_orders.stock_depth,
    "list_page": cases_list.list_page,
}
# On a house of its own, which takes minutes to fill: only where it is named, and nothing else.
ALONE: dict[str, Case] = {"pages": cases_pages.pages}


def arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("case", nargs="*", help="of: " + ", ".join(CASES | ALONE))
    parser.add_argument("--seconds", type=float, default=3.0, help="of one run (3)")
    parser.add_argument("--rounds", type=int, default=3, help="runs, taking turns (3)")
    parser.add_argument("--connections", type=int, default=256, help="of closed runs (256)")
    parser.add_argument("--home", type=Path, help="folder to work in and keep (a temporary one)")
    chosen = parser.parse_args(given)
    unknown = set(chosen.case) - CASES.keys() - ALONE.keys()
    if unknown:
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    if len(chosen.case) > 1 and not ALONE.keys().isdisjoint(chosen.case):
        parser.error(f"alone: {', '.join(sorted(ALONE))}")
    return chosen


async def measure(chosen: argparse.Namespace, path: Path) -> None:
    figures: list[Figure] = []
    async with open_home(path) as home:
        say("laying out the world")
        async with world.build(home) as made:
            tpcb_dsn = await tpcb.prepare(home.programs, home.server.owner_dsn)
            bench = Bench(
                *(home, made, await home.start_api(), tpcb_dsn),
                seconds=chosen.seconds,
                rounds=chosen.rounds,
                connections=chosen.connections,
            )
            try:
                for name in chosen.case or CASES:
                    figures += await _one(bench, name)
            finally:
                # Also of a run that was cut short.
                print(report.table(figures))
                print("\n".join(["", *bench.notes]))


async def _one(bench: Bench, name: str) -> list[Figure]:
    began_s = perf_counter()
    say(name)
    try:
        return await (CASES | ALONE)[name](bench)
    except (WrongAnswers, NotReady) as wrong:
        bench.note(f"{name}: not measured: {wrong}")
        return []
    finally:
        say(f"{name} took {perf_counter() - began_s:.0f} s")


def say(text: str) -> None:
    print(f"… {text}", file=sys.stderr, flush=True)


def main() -> None:
    chosen = arguments(sys.argv[1:])
    path = chosen.home or Path(mkdtemp(prefix="rewards-bench-"))
    try:
        uvloop.run(measure(chosen, path.absolute()))
    finally:
        if chosen.home is None:
            shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    main()
