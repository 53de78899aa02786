"""Asking for jobs: part of the transaction, once for each key, and never a secret in one."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from rewards.infra import jobs, schedules
from rewards.infra.db import Database
from rewards.infra.jobs import JobAsk
from rewards.infra.queue import NAMES, LeasedQueries, PoolDriver
from rewards.infra.schedules import Schedule

pytestmark = pytest.mark.usefixtures("names")
READ = "SELECT entrypoint, convert_from(payload, 'UTF8') AS payload FROM pgqueuer ORDER BY id"


async def queue(db: Database) -> list[tuple[str, str]]:
    async with db.connection() as connection:
        return [tuple(row) for row in await connection.fetch(READ)]


async def test_jobs_are_queued_when_the_transaction_commits(db: Database) -> None:
    async with db.transaction() as tx:
        await jobs.enqueue(tx, [JobAsk("test.a", {"order_id": 1}), JobAsk("test.b")])
        assert await queue(db) == []
    assert await queue(db) == [("test.a", '{"order_id":1}'), ("test.b", "{}")]


async def test_jobs_of_an_undone_transaction_never_were(db: Database) -> None:
    async def fail() -> None:
        async with db.transaction() as tx:
            await jobs.enqueue(tx, [JobAsk("test.a")])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await queue(db) == []


async def test_no_asks_are_no_statement() -> None:
    await jobs.enqueue(None, [])  # type: ignore[arg-type]


async def test_asks_of_one_key_are_one_job_at_the_earliest_time(db: Database) -> None:
    soon, late = datetime(2030, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)
    async with db.transaction() as tx:
        await jobs.enqueue(
            tx,
            [
                JobAsk("test.a", dedupe_key="1", execute_after=late),
                JobAsk("test.a", dedupe_key="1", execute_after=soon, priority=5),
                JobAsk("test.a", dedupe_key="2"),
                JobAsk("test.b", dedupe_key="1"),
            ],
        )
    async with db.transaction() as tx:
        await jobs.enqueue(tx, [JobAsk("test.a", dedupe_key="1", execute_after=late)])
        rows = await tx.fetch("SELECT dedupe_key, execute_after, priority FROM pgqueuer")
    found = {row["dedupe_key"]: (row["execute_after"], row["priority"]) for row in rows}
    assert found.keys() == {"test.a:1", "test.a:2", "test.b:1"}
    assert found["test.a:1"] == (soon, 5)
    async with db.transaction() as tx:
        await jobs.enqueue(tx, [JobAsk("test.a", dedupe_key="1")])
        at = await tx.fetchval(
            "SELECT execute_after <= now() FROM pgqueuer WHERE dedupe_key = 'test.a:1'"
        )
    assert at is True


async def test_a_queued_twin_is_not_run_before_the_second_ask_commits(db: Database) -> None:
    """Otherwise the run could look too early, and nobody would look again."""
    async with db.transaction() as tx:
        await jobs.enqueue(tx, [JobAsk("test.a", dedupe_key="1"), JobAsk("test.a", dedupe_key="2")])
    async with db.transaction() as second:
        await jobs.enqueue(second, [JobAsk("test.a", dedupe_key="1")])
        async with db.transaction() as worker:
            rows = await worker.fetch("SELECT dedupe_key FROM pgqueuer FOR UPDATE SKIP LOCKED")
            assert [row["dedupe_key"] for row in rows] == ["test.a:2"]


async def test_what_is_asked_while_a_twin_runs_is_queued_again(db: Database) -> None:
    async with db.transaction() as tx:
        await jobs.enqueue(tx, [JobAsk("test.a", dedupe_key="1")])
        await tx.execute("UPDATE pgqueuer SET status = 'picked'")
    async with db.transaction() as tx:
        await jobs.enqueue(tx, [JobAsk("test.a", dedupe_key="1")])
    assert len(await queue(db)) == 2


async def test_overlapping_keys_in_any_order_do_not_deadlock(db: Database) -> None:
    async def ask(turn: int) -> None:
        keys = [str(n) for n in range(10)]
        async with db.transaction() as tx:
            await jobs.enqueue(
                tx, [JobAsk("test.a", dedupe_key=key) for key in keys[:: 1 if turn % 2 else -1]]
            )

    await asyncio.gather(*(ask(turn) for turn in range(60)))
    assert len(await queue(db)) == 10


async def test_a_name_must_be_declared_and_a_payload_clean(db: Database) -> None:
    async with db.transaction() as tx:
        with pytest.raises(AssertionError, match="declare"):
            await jobs.enqueue(tx, [JobAsk("test.unknown")])
        with pytest.raises(AssertionError, match="no place in a job"):
            await jobs.enqueue(tx, [JobAsk("test.a", {"pin_code": "1234"})])
        with pytest.raises(AssertionError, match="ids, not data"):
            await jobs.enqueue(tx, [JobAsk("test.a", {"ids": list(range(10_000))})])
    assert await queue(db) == []


async def test_a_lost_ask_is_retried_as_one_with_its_queued_twin(db: Database) -> None:
    """A dead job comes back once, and not at all where a twin already waits."""
    async with db.transaction() as tx:
        for key in ("1", "2", None, "1"):
            await jobs.enqueue(tx, [JobAsk("test.a", dedupe_key=key)])
            await tx.execute("UPDATE pgqueuer SET status = 'failed', attempts = 9")
        await jobs.enqueue(tx, [JobAsk("test.a", dedupe_key="2")])
        ids = [row["id"] for row in await tx.fetch("SELECT id FROM pgqueuer ORDER BY id")]
        letters = await jobs.dead(tx)
        assert [letter.job_id for letter in letters] == ids[3::-1]
        assert letters[0].name == "test.a"
        assert letters[0].attempts == 9
        assert await jobs.revive(tx, [*ids[:4], 999_999, ids[4]]) == [True] * 4 + [False] * 2
        assert await jobs.dead(tx) == []
        rows = await tx.fetch("SELECT dedupe_key FROM pgqueuer WHERE status = 'queued'")
    assert sorted(str(row["dedupe_key"]) for row in rows) == ["None", "test.a:1", "test.a:2"]


async def test_the_state_counts_what_waits_runs_is_lost_and_dead(db: Database) -> None:
    async with db.transaction() as tx:
        await jobs.enqueue(tx, [JobAsk("test.a") for _ in range(6)])
        ids = [row["id"] for row in await tx.fetch("SELECT id FROM pgqueuer ORDER BY id")]
        await tx.execute("UPDATE pgqueuer SET status = 'failed' WHERE id = $1", ids[0])
        await tx.execute("UPDATE pgqueuer SET status = 'picked' WHERE id = ANY($1)", ids[1:3])
        await tx.execute(
            "UPDATE pgqueuer SET heartbeat = now() - interval '1 min' WHERE id = $1", ids[1]
        )
        await tx.execute(
            "UPDATE pgqueuer SET execute_after = now() + interval '1 h' WHERE id = $1", ids[3]
        )
        await tx.execute(
            "UPDATE pgqueuer SET execute_after = now() - interval '9 s' WHERE id = $1", ids[4]
        )
        found = await jobs.state(tx)
        assert found == jobs.QueueState(queued=3, due=2, running=2, lost=1, dead=1, late_s=9.0)
        assert await jobs.names_besides(tx, ["test.b"]) == ["test.a"]
        assert await jobs.names_besides(tx, ["test.a"]) == []


async def test_old_log_rows_go_and_those_of_dead_letters_stay(db: Database) -> None:
    async with db.transaction() as tx:
        await jobs.enqueue(tx, [JobAsk("test.a")])
        await tx.execute(
            "INSERT INTO pgqueuer_log (created, job_id, status, priority, entrypoint)"
            " SELECT now() - interval '9 days', job_id, 'successful', 0, 'test.a'"
            " FROM (SELECT id FROM pgqueuer"
            " UNION ALL SELECT generate_series(900001, 900005)) AS j (job_id)"
        )
        week_ago = await tx.fetchval("SELECT now() - interval '7 days'")
        assert await jobs.forget(tx, week_ago, limit=3) == 3
        assert await jobs.forget(tx, week_ago) == 2
        assert await jobs.forget(tx, week_ago - timedelta(days=9)) == 0
        assert await tx.fetchval("SELECT count(*) FROM pgqueuer_log") == 1


PLAN = [Schedule("test.a", 1800), Schedule("test.b", 86_400, 7_200)]


async def test_a_turn_is_on_the_clock_and_queued_once_by_many_workers(db: Database) -> None:
    async with db.transaction() as tx:
        await schedules.register(tx, PLAN)
        rows = await tx.fetch("SELECT name, next_at, now() AS now FROM job_schedules ORDER BY name")
        assert await schedules.tick(tx, PLAN) == []
    half_hour, daily = rows
    assert half_hour["next_at"].minute in (0, 30)
    assert half_hour["next_at"].second == 0
    assert timedelta(0) < half_hour["next_at"] - half_hour["now"] <= timedelta(minutes=30)
    assert (daily["next_at"].hour, daily["next_at"].minute) == (2, 0)

    async with db.transaction() as tx:
        await tx.execute("UPDATE job_schedules SET next_at = now() - interval '3 hours'")

    async def tick() -> list[str]:
        async with db.transaction() as tx:
            return await schedules.tick(tx, PLAN)

    ticks = await asyncio.gather(*(tick() for _ in range(12)))
    # Turns that were missed are made up once.
    assert sorted(name for names in ticks for name in names) == ["test.a", "test.b"]
    assert [name for name, _ in await queue_names(db)] == ["test.a", "test.b"]
    async with db.connection() as connection:
        assert await connection.fetchval("SELECT min(next_at) > now() FROM job_schedules")


async def queue_names(db: Database) -> list[tuple[str, str]]:
    async with db.connection() as connection:
        rows = await connection.fetch("SELECT entrypoint, dedupe_key FROM pgqueuer ORDER BY 1")
        return [tuple(row) for row in rows]


async def test_a_turn_still_queued_gets_no_second_job(db: Database) -> None:
    async with db.transaction() as tx:
        await schedules.register(tx, PLAN)
        for _ in range(3):
            await tx.execute("UPDATE job_schedules SET next_at = now()")
            assert await schedules.tick(tx, PLAN) == ["test.a", "test.b"]
    assert len(await queue_names(db)) == 2


async def test_a_shorter_interval_takes_hold_at_once(db: Database) -> None:
    async with db.transaction() as tx:
        await schedules.register(tx, [Schedule("test.a", 86_400)])
        await schedules.register(tx, [Schedule("test.a", 60)])
        assert await tx.fetchval("SELECT next_at <= now() + interval '60 s' FROM job_schedules")
        before = await tx.fetchval("SELECT next_at FROM job_schedules")
        await schedules.register(tx, [Schedule("test.a", 86_400)])
        assert await tx.fetchval("SELECT next_at FROM job_schedules") == before


OURS = (
    *("pgqueuer_priority_id_id1_idx", "pgqueuer_updated_id_id1_idx", "pgqueuer_unique_dedupe_key"),
    *("pgqueuer_log_status", "pgqueuer_log_not_aggregated", "pgq_rebuild_"),
    *("FUNCTION fn_pgqueuer_changed", "TRIGGER tg_pgqueuer_changed"),
)


async def test_our_schema_is_the_librarys_but_for_what_we_left_out(db: Database, dsn: str) -> None:
    """A newer PgQueuer that wants other columns fails here and not in production."""
    plan = await LeasedQueries.over(PoolDriver(dsn, db)).plan_upgrade()
    foreign = [text for text in plan.statements if not any(part in text for part in OURS)]
    assert foreign == []


async def test_environment_variables_do_not_rename_the_queue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("QUEUE_TABLE", "elsewhere")
    monkeypatch.setenv("PGQUEUER_PREFIX", "x_")
    fresh = type(NAMES)(**NAMES.model_dump(exclude={"durability", "widen_id"}))
    assert fresh.queue_table == "pgqueuer"
    assert fresh.channel == "ch_pgqueuer"


async def test_the_dequeue_uses_its_index_in_a_long_queue(db: Database, dsn: str) -> None:
    async with db.transaction() as tx:
        await tx.execute(
            "INSERT INTO pgqueuer (priority, entrypoint, status)"
            " SELECT 0, 'test.' || n % 20, 'queued' FROM generate_series(1, 20000) AS n"
        )
    admin = await asyncpg.connect(dsn)
    await admin.execute("ANALYZE pgqueuer")
    queries = LeasedQueries.over(PoolDriver(dsn, db))
    query = queries.qbq.build_dequeue_query(
        batch_size=64,
        entrypoints=[f"test.{n}" for n in range(20)],  # type: ignore[misc]
        concurrency_limits=[0] * 20,
        queue_manager_id="0b5c1d6e-0000-0000-0000-000000000000",  # type: ignore[arg-type]
        global_concurrency_limit=256,
        heartbeat_timeout=timedelta(seconds=30),
    )
    rows = await admin.fetch("EXPLAIN " + query.sql, *query.args)
    plan = "\n".join(row[0] for row in rows)
    await admin.close()
    assert "pgqueuer_ep_prio_id_idx" in plan
    assert "Seq Scan on pgqueuer " not in plan, plan
