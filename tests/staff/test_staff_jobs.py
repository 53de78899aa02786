"""Jobs that nobody tries any more: staff see them and give them another chance."""

from rewards.staff.model import Role
from tests.staff.house import House

API = "/admin/api/v1"
# As the worker leaves a job that failed too often.
DEAD = """
WITH job AS (
    INSERT INTO pgqueuer (priority, entrypoint, payload, status, attempts)
    VALUES (0, 'orders.fill', '{"order_id": 7}', 'failed', 9) RETURNING id
)
INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, traceback)
SELECT id, 'failed', 0, 'orders.fill', '{"exception_message": "no such shelf"}' FROM job
RETURNING job_id
"""
ALIVE = "SELECT status, attempts FROM pgqueuer WHERE id = $1"


async def test_a_dead_job_is_seen_and_revived_once(house: House) -> None:
    operations = await house.as_role(Role.OPERATIONS)
    async with house.db.transaction() as tx:
        job_id = await tx.fetchval(DEAD)
    [told] = (await house.http.get(f"{API}/jobs/dead", headers=operations)).json()
    assert (told["id"], told["name"], told["payload"]) == (job_id, "orders.fill", {"order_id": 7})
    assert (told["attempts"], told["reason"]) == (9, "no such shelf")
    path = f"{API}/jobs/{job_id}/revive"
    assert (await house.http.post(path, headers=operations)).json() == {
        "id": job_id,
        "revived": True,
    }
    async with house.db.connection() as connection:
        row = await connection.fetchrow(ALIVE, job_id)
    assert row is not None and tuple(row) == ("queued", 0)
    [audited] = await house.audit()
    assert (audited["action"], audited["subject_id"]) == ("job.revived", job_id)
    assert audited["facts"] == {
        "name": "orders.fill",
        "payload": {"order_id": 7},
        "attempts": {"from": 9, "to": 0},
    }
    before = await house.everything()
    again = await house.http.post(path, headers=operations)
    assert (again.status_code, again.json()["code"]) == (404, "DEAD_JOB_NOT_FOUND")
    assert await house.everything() == before
    assert (await house.http.get(f"{API}/jobs/dead", headers=operations)).json() == []
