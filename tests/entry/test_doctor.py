"""The doctor: clean books are clean, and each breach is found by its own check, by name and row."""

import json

import asyncpg
import pytest

from rewards.alerts import sql_checks as alerts
from rewards.audit import service as audit
from rewards.audit import verifying
from rewards.claims import sql_checks as claims
from rewards.entry import doctor
from rewards.infra import checks
from rewards.infra.db import Database
from rewards.infra.migrate import APPEND_ONLY
from rewards.notices import sql_checks as notices
from rewards.orders import sql_checks as orders
from rewards.reconciliation import sql_checks as reconciliation
from rewards.reports import sql_checks as reports
from rewards.restocks import sql_checks as restocks
from rewards.staff import sql_checks as staff
from rewards.vendors import sql_checks as vendors
from rewards.webhooks import sql_checks as webhooks
from tests.audit.trailing import PUBLIC, sealer
from tests.entry import books
from tests.entry.plants import PLANTS


@pytest.fixture
async def clean_dsn(dsn: str, db: Database) -> str:
    async with db.transaction() as tx:
        await books.write_books(tx)
    await sealer(db).drain()
    return dsn


async def plant(dsn: str, what: str) -> None:
    """Write past every trigger, as only a superuser can."""
    connection = await asyncpg.connect(dsn)
    await connection.execute("SET session_replication_role = replica; " + what)
    await connection.close()


async def subject_of(dsn: str, told: int | str) -> object:
    if not (isinstance(told, str) and told.startswith("SELECT")):
        return told
    connection = await asyncpg.connect(dsn)
    subject = await connection.fetchval(told)
    await connection.close()
    return subject


async def test_clean_books_are_clean(
    clean_dsn: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert await doctor.run_doctor(clean_dsn, True) == doctor.CLEAN
    said = json.loads(capfdbinary.readouterr().out)
    assert said["clean"] is True
    names = {check["name"] for check in said["checks"]}
    assert names == doctor.all_checks().keys() | set(verifying.NAMES)
    assert all(check["breaches"] == 0 and check["problem"] is None for check in said["checks"])


async def test_a_fresh_database_is_clean(dsn: str) -> None:
    assert await doctor.run_doctor(dsn, True) == doctor.CLEAN


def test_every_check_of_ours_has_a_breach_to_find() -> None:
    slices = (
        orders,
        checks,
        vendors,
        reconciliation,
        restocks,
        claims,
        notices,
        staff,
        webhooks,
        audit,
        reports,
        alerts,
    )
    assert PLANTS.keys() == {name for each in slices for name in each.CHECKS}


def test_every_append_only_table_is_watched() -> None:
    assert all(f"'{name}'" in checks.APPEND_ONLY_IS_GUARDED for name in APPEND_ONLY)


@pytest.mark.parametrize("name", PLANTS)
async def test_one_breach_is_found_by_its_check_alone(clean_dsn: str, name: str) -> None:
    await plant(clean_dsn, PLANTS[name].sql)
    subject = await subject_of(clean_dsn, PLANTS[name].subject)
    findings = await checks.run(clean_dsn, doctor.all_checks())
    assert [finding.problem for finding in findings if finding.problem] == []
    broken = {finding.name: finding for finding in findings if finding.breaches}
    assert list(broken) == [name], broken
    assert broken[name].breaches == 1
    assert [row["subject"] for row in broken[name].rows] == [subject]
    assert doctor.exit_code(findings) == doctor.BREACHED


async def test_the_trail_is_walked_with_the_key_it_is_signed_with(
    clean_dsn: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    ours, others = doctor.Trusted(PUBLIC), doctor.Trusted("ab" * 32)
    assert await doctor.run_doctor(clean_dsn, True, trusted=ours) == doctor.CLEAN
    assert await doctor.run_doctor(clean_dsn, True, trusted=others) == doctor.BREACHED
    _, said = map(json.loads, capfdbinary.readouterr().out.splitlines())
    broken = [check["name"] for check in said["checks"] if check["breaches"]]
    assert broken == [verifying.SIGNATURES]


async def test_a_changed_entry_is_named(
    clean_dsn: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    await plant(clean_dsn, "UPDATE audit_entries SET reason = 'another' WHERE id = 2")
    assert await doctor.run_doctor(clean_dsn) == doctor.BREACHED
    said = capsys.readouterr().out
    assert "  2  problem=changed, position=2, seal=1" in said
    assert "I20 without signatures" in said


async def test_a_breach_is_told_to_people_with_its_rows(
    clean_dsn: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    await plant(clean_dsn, PLANTS["i9_unit_is_sold_once"].sql)
    assert await doctor.run_doctor(clean_dsn) == doctor.BREACHED
    said = capsys.readouterr().out
    assert "i9_unit_is_sold_once: 1 rows" in said
    assert "items=2" in said
    assert "1 broken" in said


async def test_no_more_than_twenty_rows_are_told_and_all_are_counted(clean_dsn: str) -> None:
    await plant(
        clean_dsn,
        "INSERT INTO order_items SELECT 1000 + n, 1, 'PENDING' FROM generate_series(1, 50) n",
    )
    [finding] = await checks.run(clean_dsn, {"orphan_item": orders.CHECKS["orphan_item"]})
    assert (finding.breaches, len(finding.rows)) == (50, checks.SUBJECTS_MAX)


async def test_a_check_that_cannot_run_is_no_clean_bill(
    dsn: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    await plant(dsn, "DROP TABLE order_items")
    assert await doctor.run_doctor(dsn, True) == doctor.COULD_NOT_RUN
    said = json.loads(capfdbinary.readouterr().out)
    assert any(
        '"order_items" does not exist' in (check["problem"] or "") for check in said["checks"]
    )


async def test_a_slow_check_is_stopped(dsn: str) -> None:
    [finding] = await checks.run(dsn, {"slow": "SELECT pg_sleep(5) AS subject"}, timeout_s=0.1)
    assert finding.problem is not None
    assert finding.took_s < 2


async def test_nobody_there_is_exit_two(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert await doctor.run_doctor("postgresql://127.0.0.1:1/nothing", True) == 2
    assert json.loads(capfdbinary.readouterr().out)["clean"] is False


async def test_a_check_can_write_nothing(dsn: str) -> None:
    [finding] = await checks.run(dsn, {"w": "SELECT nextval('orders_id_seq') AS subject"})
    assert finding.problem is not None
    assert "read-only" in finding.problem
