"""Looks at a real database: what is raised, told once, cleared and told once more."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from rewards.alerts import telling, watch
from rewards.alerts.model import ATTEMPTS_MAX, AlertKind, Reading
from rewards.alerts.readings import Reader, Readings
from rewards.infra.beats import Heart, ProcessKind
from rewards.infra.jobs import JobAsk, enqueue
from rewards.infra.settings import Settings
from rewards.notices.service import SEND_JOB
from rewards.orders.placing import FILL_JOB, FLAGGED_JOB
from rewards.webhooks.signing import verified
from tests.alerts.lookout import HOOK, KEY, PEOPLE, Lookout, open_lookout
from tests.market import MovedClock
from tests.notices.postoffice import text_of
from tests.webhooks.receiver import GOOD, Conduct, status

DRIFT = """
WITH run AS (
    INSERT INTO reconciliation_runs (day, state, phase, next_at, started_at, ended_at)
    VALUES ('2026-01-01', 'DONE', 'UNITS', now(), now(), now()) RETURNING id
)
INSERT INTO drifts (run_id, day, kind, subject_kind, subject, ours, theirs, found_at)
SELECT id, '2026-01-01', 'X', 'order', '1', '{}', '{}', now() FROM run
"""


async def late_job(lookout: Lookout, minutes: int = 10) -> None:
    """A job that nobody does."""
    async with lookout.shop.parts.db.transaction() as tx:
        await enqueue(tx, [JobAsk(FILL_JOB, {"order_id": 1})])
    await lookout.write(
        "UPDATE pgqueuer SET execute_after = now() - make_interval(mins => $1)", minutes
    )


def to_one(mails: list[EmailMessage], person: str) -> list[EmailMessage]:
    return [mail for mail in mails if mail["To"] == person]


async def test_it_is_told_once_when_raised_and_once_when_cleared(lookout: Lookout) -> None:
    await lookout.look()
    assert await lookout.alerts() == []
    await late_job(lookout)
    for _ in range(3):
        await lookout.look()
    [alert] = await lookout.alerts(AlertKind.JOBS_LATE, still=True)
    assert (alert.subject, alert.level >= 600) == (f"job {FILL_JOB}", True)
    assert [mail["Subject"] for mail in to_one(lookout.mails(), PEOPLE[0])] == [
        f"Alert: Jobs are late (job {FILL_JOB})"
    ]
    assert "seconds" in text_of(lookout.mails()[0])
    # Within the slack it stays, and nobody is told anything.
    await lookout.write("UPDATE pgqueuer SET execute_after = now() - interval '260 s'")
    await lookout.look()
    assert len(lookout.mails()) == 2
    assert len(await lookout.alerts(still=True)) == 1
    await lookout.write("DELETE FROM pgqueuer")
    for _ in range(3):
        await lookout.look()
    assert await lookout.alerts(still=True) == []
    for person in PEOPLE:
        assert [mail["Subject"].partition(":")[0] for mail in to_one(lookout.mails(), person)] == [
            "Alert",
            "Cleared",
        ]
    raised, cleared = lookout.posts()
    assert raised.id == f"alert_{alert.id}_raised"
    for post, kind in ((raised, "alert.raised"), (cleared, "alert.cleared")):
        assert verified(KEY, post.headers, post.body, int(post.headers["webhook-timestamp"]))
        body = msgspec.json.decode(post.body)
        assert (body["id"], body["type"]) == (post.id, kind)
        assert body["data"]["kind"] == "JOBS_LATE"
    # The next crossing is another alert.
    await late_job(lookout)
    await lookout.look()
    assert len(await lookout.alerts()) == 2


async def test_what_cannot_be_told_is_told_later_and_in_order(lookout: Lookout) -> None:
    lookout.office.fail("MAIL", "451 later", times=3)
    lookout.receiver.conduct = lambda _: Conduct(status(500))
    await late_job(lookout)
    await lookout.look()
    await lookout.write("DELETE FROM pgqueuer")
    await lookout.look()
    assert lookout.mails() == []
    assert {state for _, _, state in await lookout.tellings()} == {"QUEUED"}
    reasons = await lookout.rows("SELECT reason FROM alert_tellings WHERE what = 'RAISED'")
    assert all(row["reason"] for row in reasons)
    # Before its time nobody is asked again, and never of its end before its begin.
    tried = len(lookout.posts())
    await lookout.watch.teller.tell_due()
    assert len(lookout.posts()) == tried
    lookout.receiver.conduct = lambda _: GOOD
    for _ in range(4):
        await lookout.write("UPDATE alert_tellings SET next_at = now() WHERE state = 'QUEUED'")
        await lookout.watch.teller.tell_due()
    assert {state for _, _, state in await lookout.tellings()} == {"SENT"}
    kinds = [mail["Subject"].partition(":")[0] for mail in to_one(lookout.mails(), PEOPLE[1])]
    assert kinds == ["Alert", "Cleared"]
    assert [post.id.rpartition("_")[2] for post in lookout.posts()[-2:]] == ["raised", "cleared"]


async def test_it_is_given_up_in_the_end_with_a_reason(lookout: Lookout) -> None:
    lookout.receiver.conduct = lambda _: Conduct(status(500))
    await late_job(lookout)
    await lookout.look()
    await lookout.write(
        "UPDATE alert_tellings SET attempts = $1, next_at = now() WHERE channel = 'WEBHOOK'",
        ATTEMPTS_MAX - 1,
    )
    await lookout.watch.teller.tell_due()
    [row] = await lookout.rows("SELECT state, reason FROM alert_tellings WHERE channel = 'WEBHOOK'")
    assert tuple(row) == ("FAILED", "answered 500")


async def test_of_two_who_have_the_turn_only_the_later_writes(lookout: Lookout) -> None:
    await late_job(lookout)
    mine, theirs = uuid4(), uuid4()
    await lookout.write("UPDATE alert_watch SET turn = $1", mine)
    await lookout.write("UPDATE alert_watch SET turn = $1", theirs)
    assert await lookout.watch.look(mine, slow=False) is None
    assert await lookout.alerts() == []
    await lookout.watch.look(theirs, slow=False)
    assert len(await lookout.alerts()) == 1


async def test_many_processes_raise_and_tell_one(lookout: Lookout) -> None:
    await late_job(lookout)
    await lookout.write("UPDATE alert_watch SET next_at = now()")
    await asyncio.gather(*(lookout.watch.step() for _ in range(8)))
    await asyncio.gather(*(lookout.watch.teller.tell_due() for _ in range(8)))
    assert len(await lookout.alerts()) == 1
    assert len(lookout.posts()) == 1
    assert sorted(mail["To"] for mail in lookout.mails()) == sorted(PEOPLE)
    # The next turn is a minute away.
    [row] = await lookout.rows("SELECT turns, next_at > now() + interval '50 s' FROM alert_watch")
    assert tuple(row) == (1, True)


async def test_each_kind_is_seen(dsn: str, tmp_path: Path) -> None:
    clock = MovedClock(timedelta(hours=-25))
    async with open_lookout(dsn, tmp_path, clock) as lookout:
        await see_each_kind(lookout, clock)


async def see_each_kind(lookout: Lookout, clock: MovedClock) -> None:
    shop = lookout.shop
    product = await shop.product()
    await shop.stock(product, 2)
    client_id = await shop.client(minor=10_000_000)
    for quantity in (2, 1, 60):
        await shop.place_one(shop.ask(client_id, product, quantity))
    clock.ahead = timedelta()
    await lookout.write(
        "INSERT INTO webhook_endpoints (client_id, name, url, secret, status, disabled_reason,"
        " disabled_at, failing_since, created_at, updated_at) VALUES"
        " ($1, 'a', 'https://a.example', 'x', 'ENABLED', NULL, NULL, now() - interval '3 h',"
        " now(), now()),"
        " ($1, 'b', 'https://b.example', 'x', 'DISABLED', 'FAILING', now(), NULL, now(), now())",
        client_id,
    )
    await lookout.write("UPDATE data_keys SET seals = 1500000000 WHERE purpose = 'units'")
    await lookout.write("UPDATE data_keys SET created_at = now() - interval '400 days'")
    await lookout.write("DELETE FROM process_beats WHERE kind = 'WORKER'")
    await Heart(shop.parts.db, ProcessKind.API).beat()
    await lookout.write("UPDATE process_beats SET started_at = now() - interval '2 min'")
    await lookout.look(slow=True)
    found = {(alert.kind, alert.subject) for alert in await lookout.alerts(still=True)}
    assert found >= {
        ("ORDERS_STUCK", "VENDOR_ORDER_PENDING"),
        ("ORDERS_STUCK", "INITIAL"),
        ("POOL_COVER_LOW", "product 6 25.00 USD"),
        ("ENDPOINT_FAILING", "endpoint 1"),
        ("ENDPOINT_DISABLED", "endpoint 2"),
        ("WORKER_SILENT", "workers"),
        ("SEALING_BEHIND", "events"),
        ("SEALING_BEHIND", "audit trail"),
    }
    kinds = {kind for kind, _ in found}
    assert AlertKind.KEY_NEAR_END in kinds
    worn = {subject for kind, subject in found if kind == AlertKind.KEY_NEAR_END}
    assert any(subject.endswith(" use") for subject in worn)
    assert any(subject.endswith(" age") for subject in worn)
    # What a stranger may not read is in none of it.
    told = " ".join(str(mail) for mail in lookout.mails())
    assert not any(code in told for code in shop.codes)


async def test_what_has_long_been_switched_off_is_neither_news_nor_over(
    lookout: Lookout,
) -> None:
    client_id = await lookout.shop.client()
    await lookout.write(
        "INSERT INTO webhook_endpoints (client_id, name, url, secret, status, disabled_reason,"
        " disabled_at, created_at, updated_at)"
        " SELECT $1, 'a', 'https://a.example', 'x', 'DISABLED', 'FAILING', now() - days, now(),"
        " now() FROM unnest(ARRAY[interval '1 day', interval '40 days']) AS days",
        client_id,
    )
    await lookout.look()
    [alert] = await lookout.alerts(still=True)
    assert alert.subject == "endpoint 1"
    await lookout.write("UPDATE webhook_endpoints SET disabled_at = now() - interval '31 days'")
    await lookout.look()
    assert len(await lookout.alerts(still=True)) == 1
    await lookout.write(
        "UPDATE webhook_endpoints SET status = 'ENABLED', disabled_reason = NULL,"
        " disabled_at = NULL"
    )
    await lookout.look()
    assert await lookout.alerts(still=True) == []
    assert [post.id.rpartition("_")[2] for post in lookout.posts()] == ["raised", "cleared"]


async def test_drift_is_told_of_until_somebody_explains_it(lookout: Lookout) -> None:
    await lookout.write(DRIFT)
    await lookout.look()
    [alert] = await lookout.alerts(AlertKind.DRIFT_FOUND, still=True)
    assert alert.subject == "own books"
    await lookout.write(
        "UPDATE drifts SET state = 'EXPLAINED', explained_by = 1, explained_at = now(), note = 'x'"
    )
    await lookout.look()
    assert await lookout.alerts(still=True) == []


async def test_a_least_balance_and_what_is_spent_of_it(dsn: str, tmp_path: Path) -> None:
    least = {"alert_vendor_balance_min": {"USD": "500"}}
    async with open_lookout(dsn, tmp_path, **least) as lookout:
        await lookout.write(
            "INSERT INTO vendors (name, adapter, config, sealed, status, created_at, changed_at)"
            " VALUES ('Acme', 'sandbox', '{}', '', 'ACTIVE', now(), now())"
        )
        await lookout.write("INSERT INTO vendor_balances VALUES (1, 'USD', 49999, now())")
        await lookout.look()
        assert [a.subject for a in await lookout.alerts(still=True)] == ["vendor 1 USD minimum"]
        await lookout.write("UPDATE vendor_balances SET balance_minor = 59999")
        await lookout.look()
        assert len(await lookout.alerts(still=True)) == 1
        await lookout.write("UPDATE vendor_balances SET balance_minor = 60000")
        await lookout.look()
        assert await lookout.alerts(still=True) == []
        # 14 days' spending of 3,500.00 is 250.00 a day: 600.00 lasts 2.4 days.
        await lookout.write(
            "INSERT INTO vendor_orders (vendor_id, key, purpose, subject_id, sku, face_minor,"
            " currency, quantity, state, cost_minor, cost_currency, next_at, window_ends_at,"
            " created_at, settled_at) VALUES (1, 'k', 'STOCK', 1, 's', 100, 'USD', 1, 'FULFILLED',"
            " 350000, 'USD', now(), now(), now(), now())"
        )
        await lookout.look()
        [alert] = await lookout.alerts(still=True)
        assert (alert.subject, str(alert.level)) == ("vendor 1 USD", "2.4")


async def test_what_cannot_be_read_leaves_its_alerts_alone(lookout: Lookout) -> None:
    await late_job(lookout)
    await lookout.look()
    await lookout.write("ALTER TABLE pgqueuer RENAME TO elsewhere")
    await lookout.look()
    assert len(await lookout.alerts(still=True)) == 1
    [row] = await lookout.rows("SELECT looked_at > now() - interval '1 min' FROM alert_watch")
    assert row[0]


@dataclass(frozen=True)
class Blind(Readings):
    """Sees late jobs, behind one kind that never answers and one that has a bug."""

    @property
    def quick(self) -> Mapping[AlertKind, Reader]:
        return {
            AlertKind.DRIFT_FOUND: asyncio.Event().wait,  # type: ignore[dict-item]
            AlertKind.KEY_NEAR_END: self.breaks,
            AlertKind.JOBS_LATE: self.jobs,
        }

    async def breaks(self) -> list[Reading]:
        raise KeyError("XYZ")


async def test_a_kind_that_hangs_or_breaks_takes_no_other_its_turn(
    lookout: Lookout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "READING_S", 9.0)
    parts = lookout.shop.parts
    blind = Blind(parts.db, parts.settings, parts.clock, parts.restocks)
    lookout.watch = replace(lookout.watch, readings=blind)
    await late_job(lookout)
    await lookout.look()
    [alert] = await lookout.alerts(still=True)
    assert alert.kind is AlertKind.JOBS_LATE


async def test_what_a_later_version_raised_is_left_to_it(lookout: Lookout) -> None:
    await late_job(lookout)
    await lookout.look()
    told = len(lookout.posts())
    await lookout.write(
        "INSERT INTO alerts (kind, subject, level, facts, raised_at, seen_at)"
        " VALUES ('MOON_FULL', 'moon', 1, '{}', now(), now())"
    )
    await lookout.write(
        "INSERT INTO alert_tellings (alert_id, what, channel, target, next_at)"
        " SELECT max(id), 'RAISED', 'WEBHOOK', '', now() FROM alerts"
    )
    await lookout.write("DELETE FROM pgqueuer")
    await lookout.look()
    assert [post.id.rpartition("_")[2] for post in lookout.posts()[told:]] == ["cleared"]
    assert [alert.kind for alert in await lookout.alerts()] == ["JOBS_LATE"]
    states = await lookout.rows("SELECT state FROM alert_tellings ORDER BY id DESC LIMIT 4")
    assert "QUEUED" in {row["state"] for row in states}


async def test_what_begins_together_is_one_mail_to_each_and_so_is_its_end(
    lookout: Lookout,
) -> None:
    async with lookout.shop.parts.db.transaction() as tx:
        names = [FILL_JOB, FLAGGED_JOB, SEND_JOB]
        await enqueue(tx, [JobAsk(name, {"n": n}) for n, name in enumerate(names)])
    await lookout.write("UPDATE pgqueuer SET execute_after = now() - interval '10 min'")
    lookout.office.fail("MAIL", "451 later", times=1)
    await lookout.look()
    assert len(lookout.posts()) == 3
    await lookout.write("UPDATE alert_tellings SET next_at = now() WHERE state = 'QUEUED'")
    await lookout.watch.teller.tell_due()
    await lookout.write("DELETE FROM pgqueuer WHERE entrypoint <> $1", FILL_JOB)
    await lookout.look()
    await lookout.write("DELETE FROM pgqueuer")
    await lookout.look()
    assert {state for _, _, state in await lookout.tellings()} == {"SENT"}
    assert len(lookout.posts()) == 6
    for person in PEOPLE:
        first, second, third = to_one(lookout.mails(), person)
        assert first["Subject"] == "Alert: 3 at once (3 times Jobs are late)"
        assert all(f"job {name}: " in text_of(first) for name in names)
        assert second["Subject"] == "Cleared: 2 at once (2 times Jobs are late)"
        assert third["Subject"] == f"Cleared: Jobs are late (job {FILL_JOB})"


async def test_a_mail_that_is_sent_again_with_more_in_it_is_another_mail(lookout: Lookout) -> None:
    """Whoever drops what they have already, by its id, misses nothing."""
    late = "UPDATE pgqueuer SET execute_after = now() - interval '10 min'"
    for name in (FILL_JOB, FLAGGED_JOB):
        async with lookout.shop.parts.db.transaction() as tx:
            await enqueue(tx, [JobAsk(name)])
        await lookout.write(late)
        await lookout.write("UPDATE alert_tellings SET next_at = now() WHERE state = 'QUEUED'")
        # Taken the first time, and nobody hears of it.
        lookout.office.fail("DATA", "torn", times=len(PEOPLE))
        await lookout.look()
        lookout.office.faults.clear()
    for person in PEOPLE:
        first, second = to_one(lookout.mails(), person)
        assert f"job {FLAGGED_JOB}" not in text_of(first)
        assert all(f"job {name}: " in text_of(second) for name in (FILL_JOB, FLAGGED_JOB))
        assert first["Message-ID"] != second["Message-ID"]


async def test_nobody_is_told_where_nobody_is_named(dsn: str, tmp_path: Path) -> None:
    quiet = {"alert_mail_to": (), "alert_webhook_url": ""}
    async with open_lookout(dsn, tmp_path, **quiet) as lookout:
        await late_job(lookout)
        await lookout.look()
        assert len(await lookout.alerts(still=True)) == 1
        assert await lookout.tellings() == []


def test_a_webhook_that_nobody_could_sign_is_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="whsec_"):
        telling.check(Settings(alert_webhook_url="https://x.example/", alert_webhook_secret="x"))
    telling.check(Settings())


async def test_old_alerts_are_forgotten(lookout: Lookout) -> None:
    await late_job(lookout)
    await lookout.look()
    await lookout.write("DELETE FROM pgqueuer")
    await lookout.look()
    year = timedelta(days=366)
    await lookout.write(
        "UPDATE alerts SET raised_at = raised_at - $1::interval, cleared_at = cleared_at - $1", year
    )
    await lookout.look()
    assert await lookout.alerts() == []
    assert await lookout.tellings() == []
    assert lookout.receiver.heard[HOOK]
