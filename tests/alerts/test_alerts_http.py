"""Alerts and health as staff see them."""

from pathlib import Path
from typing import Any

from rewards.infra.beats import Heart, ProcessKind
from tests.staff.office import Office, open_office

RAISE = """
INSERT INTO alerts (kind, subject, level, facts, raised_at, seen_at, cleared_at) VALUES
    ('JOBS_LATE', 'job a', 600, '{"due": 3}', now() - interval '1 h', now(), NULL),
    ('JOBS_LATE', 'job b', 700, '{}', now() - interval '2 h', now() - interval '1 h',
        now() - interval '1 h'),
    ('DRIFT_FOUND', 'own books', 2, '{}', now(), now(), NULL)
"""


async def write(office: Office, query: str) -> None:
    async with office.shop.parts.db.transaction() as tx:
        await tx.execute(query)


async def subjects(office: Office, query: str = "") -> list[str]:
    found: list[dict[str, Any]] = await office.ask("viewer", "GET", f"/alerts{query}")
    return [alert["subject"] for alert in found]


async def test_alerts_are_listed_newest_first_and_narrowed(dsn: str, tmp_path: Path) -> None:
    async with open_office(dsn, tmp_path) as office:
        await write(office, RAISE)
        assert await subjects(office) == ["own books", "job b", "job a"]
        assert await subjects(office, "?state=open") == ["own books", "job a"]
        assert await subjects(office, "?state=PAST&kind=jobs_late") == ["job b"]
        assert await subjects(office, "?limit=1") == ["own books"]
        assert await subjects(office, "?limit=5&cursor=2") == ["job a"]
        assert await office.status("viewer", "GET", "/alerts?kind=nothing") == 400
        [alert] = await office.ask("viewer", "GET", "/alerts?state=open&kind=JOBS_LATE")
        assert (alert["title"], alert["unit"], alert["level"]) == ("Jobs are late", "seconds", 600)
        assert alert["facts"] == {"due": 3}
        assert alert["state"] == "OPEN"


async def test_somebody_looks_after_it_once(dsn: str, tmp_path: Path) -> None:
    async with open_office(dsn, tmp_path) as office:
        await write(office, RAISE)
        note = {"note": "the second worker is being started"}
        path = "/alerts/1/acknowledge"
        assert await office.refused("viewer", "POST", path, note, 403) == "FORBIDDEN"
        assert await office.refused("support", "POST", path, {"note": " "}, 400)
        assert await office.refused("support", "POST", "/alerts/99/acknowledge", note, 404)
        assert await office.refused("support", "POST", "/alerts/2/acknowledge", note) == (
            "ALERT_CLEARED"
        )
        told = await office.ask("support", "POST", path, note)
        assert told["acknowledged_by"] == office.people["support"]
        assert (told["note"], told["state"]) == (note["note"], "OPEN")
        assert told["acknowledged_by_name"] == "support"
        listed = await office.ask("viewer", "GET", "/alerts?state=open&limit=5")
        names = {alert["id"]: alert["acknowledged_by_name"] for alert in listed}
        assert names == {1: told["acknowledged_by_name"], 3: None}
        assert await office.refused("finance", "POST", path, note) == "ALERT_ACKNOWLEDGED"
        async with office.shop.parts.db.connection() as connection:
            [row] = await connection.fetch(
                "SELECT subject_id, reason, facts FROM audit_entries"
                " WHERE action = 'alert.acknowledged'"
            )
        assert (str(row["subject_id"]), row["reason"]) == ("1", note["note"])
        assert row["facts"] == {"kind": "JOBS_LATE", "subject": "job a"}


async def test_health_names_parts_processes_and_queues(dsn: str, tmp_path: Path) -> None:
    async with open_office(dsn, tmp_path) as office:
        await write(office, RAISE)
        told = await office.ask("viewer", "GET", "/health")
        assert told["status"] == "ready"
        assert told["parts"]["worker"] == "silent"
        assert told["processes"] == []
        db = office.shop.parts.db
        heart, gone = Heart(db, ProcessKind.WORKER), Heart(db, ProcessKind.WORKER)
        await heart.beat()
        await gone.beat(stopped=True)
        await Heart(db, ProcessKind.API).beat()
        await write(
            office,
            "INSERT INTO pgqueuer (priority, entrypoint, status, execute_after)"
            " VALUES (0, 'orders.fill', 'queued', now() - interval '2 min')",
        )
        told = await office.ask("viewer", "GET", "/health")
        assert told["parts"] == {
            "database": "ok",
            "schema": "ok",
            "change_feed": "ok",
            "worker": "ok",
            "desk": "ok",
        }
        states = sorted((each["kind"], each["state"]) for each in told["processes"])
        assert states == [("API", "AT_WORK"), ("WORKER", "AT_WORK"), ("WORKER", "STOPPED")]
        queues = {queue["name"]: queue for queue in told["queues"]}
        assert queues["orders.fill"]["late_s"] >= 120
        assert {"webhooks", "mail", "events to number", "acts to seal"} <= queues.keys()
        assert told["alerts_open"] == {"JOBS_LATE": 1, "DRIFT_FOUND": 1}
        await write(
            office,
            "UPDATE process_beats SET beat_at = now() - interval '2 min' WHERE stopped_at IS NULL",
        )
        told = await office.ask("viewer", "GET", "/health")
        assert told["parts"]["worker"] == "silent"
        assert {each["state"] for each in told["processes"]} == {"SILENT", "STOPPED"}
