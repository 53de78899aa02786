"""The harness around the load: its yardstick, its table, and what it refuses to call measured."""

import asyncio
import os
import sys
from pathlib import Path

import asyncpg
import pytest

from benchmarks import home, report, tpcb
from benchmarks.bench import WrongAnswers, check
from benchmarks.load import Outcome
from benchmarks.report import Figure
from rewards.infra import postgres

TREE = Path(__file__).parents[2]


async def test_the_yardstick_runs_on_the_server_that_is_measured(
    server_dsn: str, tmp_path: Path
) -> None:
    programs = postgres.binaries(tmp_path)
    admin = await asyncpg.connect(server_dsn)
    try:
        dsn = await tpcb.prepare(programs, server_dsn, scale=1)
        found = await tpcb.measure(programs, dsn, 1, clients=2)
        assert found.per_second > 1
        assert 0 < found.latency_ms < 1000
        with pytest.raises(tpcb.PgbenchFailed, match="does not exist"):
            await tpcb.measure(programs, tpcb.with_database(server_dsn, "bench_missing"), 1)
    finally:
        await admin.execute(f"DROP DATABASE IF EXISTS {tpcb.DATABASE} WITH (FORCE)")
        await admin.close()


def test_a_dsn_becomes_the_variables_of_libpq() -> None:
    assert tpcb.environment("postgresql://o%40w:p%2Fw@/rewards?host=/run/x&port=5432") == {
        "PGHOST": "/run/x",
        "PGPORT": "5432",
        "PGUSER": "o@w",
        "PGPASSWORD": "p/w",
        "PGDATABASE": "rewards",
    }
    there = tpcb.environment("postgresql://postgres@127.0.0.1:5499/postgres")
    assert (there["PGHOST"], there["PGPORT"]) == ("127.0.0.1", "5499")
    assert "PGPASSWORD" not in there
    assert tpcb.with_database("postgresql://u:p@/a?host=/r", "b") == "postgresql://u:p@/b?host=/r"


def test_the_table_shows_figures_and_ratios() -> None:
    text = report.table(
        [
            Figure("orders", "orders/s", 4_400.4, "/s", 11_000, "TPC-B/s", "≥ 0.40"),
            Figure("memory", "API process", 62.25, "MiB"),
        ]
    )
    head, line, first, second = text.splitlines()
    assert head.split() == ["case", "figure", "against", "ratio", "goal"]
    assert set(line) == {"-"}
    assert " ".join(first.split()) == ("orders 4,400 /s orders/s 11,000 TPC-B/s 0.4 ≥ 0.40")
    assert second.split() == ["memory", "62.2", "MiB", "API", "process"]


def test_the_median_is_not_moved_by_one_bad_run() -> None:
    assert report.middle([1, 100, 3]) == 3
    assert report.middle([]) != report.middle([])


@pytest.mark.parametrize(
    ("statuses", "marked", "lost"),
    [({200: 10}, 9, 0), ({200: 9, 503: 1}, 9, 0), ({200: 10}, 10, 1), ({}, 0, 0)],
)
def test_a_run_that_did_something_else_is_no_measurement(
    statuses: dict[int, int], marked: int, lost: int
) -> None:
    outcome = Outcome(marked=marked, lost=lost)
    outcome.statuses.update(statuses)
    with pytest.raises(WrongAnswers):
        check(outcome)


def test_memory_counts_a_process_and_its_children() -> None:
    assert home.children_of(os.getpid())[0] == os.getpid()
    assert home.memory_bytes([os.getpid()]) > 5 * 1024 * 1024


async def test_a_process_that_ends_is_not_waited_for() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "raise SystemExit(3)")
    await process.wait()
    with pytest.raises(home.NotReady, match="3"):
        await home.until_ready(home.free_port(), process)


@pytest.mark.long
async def test_a_short_run_measures_orders() -> None:
    pytest.importorskip("rewards.entry.api")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks", "--seconds", "1", "--rounds", "1"),
        *("orders_per_second", "lone_order"),
        cwd=TREE,
        env={**os.environ, "PYTHONPATH": f"{TREE / 'src'}:{TREE}"},
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 180)
    assert process.returncode == 0
    text = said.decode()
    assert "orders/s, 1,000 clients" in text
    assert "not measured" not in text
