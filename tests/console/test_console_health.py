"""Health and mail: what is at work and what waits, a failed job run again, a mail followed."""

from rewards.infra.beats import Heart, ProcessKind
from rewards.staff.model import Role
from tests.console.desk import Desk
from tests.console.watched import fail_job, mailed, trail, waiting


async def test_health_says_who_is_silent_and_what_was_given_up(desk: Desk) -> None:
    db = desk.shop.parts.db
    admin = await desk.at(Role.ADMIN)
    page = await admin.get("/console/health")
    assert "No process was heard of" in page.said
    assert "No job failed" in page.said
    await Heart(db, ProcessKind.WORKER).beat()
    job = await fail_job(desk)
    async with db.transaction() as tx:
        await tx.execute("UPDATE process_beats SET beat_at = now() - interval '1 hour'")
    page = await admin.get("/console/health")
    for text in ("Silent processes 1", "Worker Silent", "orders.fill", "no such shelf", "1 h"):
        assert text in page.said, (text, page.said)
    viewer = await desk.at(Role.VIEWER)
    page = await viewer.get("/console/health")
    assert "no such shelf" in page.said
    assert "Run again" not in page.said
    refused = await viewer.post(f"/console/health/jobs/{job}/revive", {"csrf": page.csrf})
    assert "It needs the permission jobs:revive." in refused.said
    assert "no such shelf" in (await viewer.get("/console/health")).said
    page = await admin.send("/console/health", f"/console/health/jobs/{job}/revive")
    assert "It runs again." in page.said
    assert "No job failed" in page.said
    again = await admin.send("/console/health", f"/console/health/jobs/{job}/revive")
    assert "Dead job not found" in again.said
    assert await trail(desk, "job.revived") == [(desk.name(Role.ADMIN), None)]


async def test_the_jobs_that_failed_are_told_with_all_there_are(desk: Desk) -> None:
    """The page shows the latest of them, and says of how many."""
    await fail_job(desk, 51)
    page = await (await desk.at(Role.OPERATIONS)).get("/console/health")
    assert "The latest 50 of 51." in page.said


async def test_a_mail_is_found_and_its_attempts_are_told(desk: Desk) -> None:
    support = await desk.at(Role.SUPPORT)
    assert "No mail yet" in (await support.get("/console/mails")).said
    [order] = await waiting(desk, 1, stock=1)
    number = await mailed(desk, order)
    async with desk.shop.parts.db.transaction() as tx:
        await tx.execute(
            "INSERT INTO notice_attempts (notice_id, number, outcome, stage, reply_code, reply,"
            " started_at, took_ms) VALUES ($1, 1, 'NO_MAILBOX', 'RCPT', 550, 'who?', now(), 5)",
            number,
        )
    page = await support.get(f"/console/mails?order_id={order.id}&state=FAILED")
    assert f'href="/console/mails/{number}"' in page.text
    assert "j***@customer.example" in page.said
    assert "No mail fits" in (await support.get("/console/mails?state=SENT")).said
    wrong = await support.get("/console/mails?client_id=x")
    assert wrong.status == 200
    assert "Invalid ClientId" in wrong.said
    path = f"/console/mails/{number}"
    page = await support.get(path)
    for text in ("No mailbox", "550 who?", "at RCPT", str(order.id)):
        assert text in page.said, text
    assert "jane.doe" not in page.text
    refused = await support.send(path, f"{path}/resend", reason="")
    assert "Invalid Reason" in refused.said
    assert await trail(desk, "notice.resent") == []
    page = await support.send(path, f"{path}/resend", reason="they asked")
    assert "It is mailed once more." in page.said
    assert page.url.endswith(path)
    listed = await support.get("/console/mails")
    assert f"once more of {number}" in listed.said
    waits = await support.get(f"/console/mails/{number + 1}")
    assert "Not tried yet" in waits.said
    assert "Mail it again" not in waits.said
    assert (await support.get("/console/mails/999")).status == 404
