"""What became of deliveries: lists, one in full, sent again one by one or all since a time."""

from datetime import timedelta
from typing import Any

from rewards.core.actor import SYSTEM
from rewards.webhooks import deliveries
from rewards.webhooks.deliveries import RECOVER_MAX, give_up_deleted
from rewards.webhooks.model import EventType
from tests.webhooks.subscriber import AT, Subscriber

FOREVER_AGO = "2000-01-01T00:00:00Z"
MANY = """
WITH made AS (
    INSERT INTO events (client_id, type, order_id, data, created_at)
    SELECT $1, 'order.created', 5, '{"order_id": 5}', $2 FROM generate_series(1, $3::int)
    RETURNING id
), fed AS (
    INSERT INTO event_feed (client_id, sequence, event_id, sealed_at)
    SELECT $1, row_number() OVER (ORDER BY id), id, $2 FROM made
)
INSERT INTO event_counters VALUES ($1, $3)
"""


async def test_a_delivery_looks_as_published(shop: Subscriber) -> None:
    await shop.endpoint()
    await shop.queued(1, attempts=1)
    await shop.queued(1, "DELIVERED", attempts=2)
    await shop.queued(1, "FAILED", attempts=9)
    answer = await shop.get("/1/deliveries")
    assert answer.status == 200
    told: dict[str, Any] = {
        "id": 1,
        "webhook_id": 1,
        "event_id": "evt_1",
        "event": "order.delivered",
        "sequence": 1,
        "status": "PENDING",
        "attempts": 1,
        "next_attempt_at": "2026-11-21T13:00:00Z",
        "last_status_code": None,
        "last_error": None,
        "redelivery_of": None,
        "created_at": "2026-11-21T12:00:00Z",
        "finished_at": None,
    }
    assert answer.body[2] == told
    done = {"next_attempt_at": None, "finished_at": "2026-11-21T12:00:00Z"}
    assert answer.body[1] == told | done | {
        "id": 2,
        "event_id": "evt_2",
        "sequence": 2,
        "status": "DELIVERED",
        "attempts": 2,
        "last_status_code": 200,
    }
    assert answer.body[0]["last_error"] == "HTTP 500"
    one = (await shop.get("/deliveries/2")).body
    assert one["history"] == [
        {
            "number": number,
            "started_at": "2026-11-21T12:00:00Z",
            "took_ms": 12,
            "status_code": code,
            "error": None,
            "answer": text,
        }
        for number, code, text in ((1, 500, "oops"), (2, 200, "thanks"))
    ]
    assert one["payload"] == {
        "id": "evt_2",
        "event": "order.delivered",
        "type": "order.delivered",
        "timestamp": "2026-11-21T12:00:00Z",
        "sequence": 2,
        "data": {"order_id": 5},
    }
    assert {name: one[name] for name in answer.body[1]} == answer.body[1]


async def test_each_filter_narrows_the_list(shop: Subscriber) -> None:
    await shop.endpoint()
    await shop.endpoint()
    await shop.queued(1)
    shop.clock.advance(hours=1)
    await shop.queued(1, "DELIVERED", attempts=1, kind=EventType.ORDER_CREATED)
    shop.clock.advance(hours=1)
    await shop.queued(1, "FAILED", kind=EventType.ORDER_CREATED)
    await shop.queued(2, "FAILED")
    shop.clock.advance(days=1)
    await shop.queued(1, "FAILED")
    for query, ids in (
        ({}, [5, 3, 2, 1]),
        ({"status": "failed"}, [5, 3]),
        ({"status": "PENDING"}, [1]),
        ({"event": "order.CREATED"}, [3, 2]),
        ({"event": "order.created", "status": "DELIVERED"}, [2]),
        ({"event": "webhook.test"}, []),
        ({"from_": "2026-11-21T13:00:00Z"}, [5, 3, 2]),
        ({"to": "2026-11-21T13:00:00Z"}, [1]),
        ({"from_": "2026-11-21", "to": "2026-11-21"}, [3, 2, 1]),
        ({"from_": "2026-11-21T14:00:00+01:00", "to": "2026-11-21", "status": "FAILED"}, [3]),
        ({"status": "", "event": "", "from_": "", "cursor": ""}, [5, 3, 2, 1]),
    ):
        answer = await shop.get("/1/deliveries", **query)
        assert [each["id"] for each in answer.body] == ids, query
    for query, message in (
        ({"status": "LOST"}, "Invalid Status: oneof"),
        ({"event": "order.lost"}, "Invalid Event: oneof"),
        ({"from_": "soon"}, "Invalid From: timestamp"),
        ({"limit": "0"}, "Invalid Limit: min"),
        ({"limit": "501"}, "Invalid Limit: max"),
        ({"cursor": "x!"}, "Invalid Cursor: format"),
    ):
        refused = await shop.get("/1/deliveries", **query)
        assert refused.refusal == (400, message, "INVALID_FIELD"), query


async def test_a_cursor_goes_on_where_a_page_ended(shop: Subscriber) -> None:
    await shop.endpoint()
    for number in range(5):
        # Two of them at the same moment.
        shop.clock.advance(seconds=number % 2)
        await shop.queued(1, "FAILED" if number else "PENDING")
    seen, cursor = [], ""
    for _ in range(5):
        page = await shop.get("/1/deliveries", limit=2, cursor=cursor, to="2027-01-01")
        seen += [each["id"] for each in page.body]
        if page.headers["X-Has-More"] == "false":
            break
        assert 'rel="next"' in page.headers["Link"]
        cursor = page.headers["X-Next-Cursor"]
    assert seen == [5, 4, 3, 2, 1]
    assert "X-Next-Cursor" not in page.headers


async def test_what_is_over_is_sent_again_as_a_new_delivery(shop: Subscriber) -> None:
    await shop.endpoint()
    for status in ("FAILED", "DELIVERED"):
        old = await shop.queued(1, status, attempts=1)
        shop.clock.advance(hours=1)
        answer = await shop.post(f"/deliveries/{old}/redeliver")
        assert answer.status == 202
        again = answer.body
        assert again["redelivery_of"] == old
        assert (again["status"], again["attempts"]) == ("PENDING", 0)
        assert again["next_attempt_at"] == again["created_at"]
        kept = (await shop.get(f"/deliveries/{old}")).body
        assert (kept["status"], kept["event_id"]) == (status, again["event_id"])
        # While that one waits no third is made.
        twice = await shop.post(f"/deliveries/{old}/redeliver")
        assert twice.body["id"] == again["id"]
    trail = [row for row in await shop.audit() if row["action"] == "webhook.redelivered"]
    facts = {"webhook_id": 1, "event_id": 1, "delivery_id": 2}
    assert [row["facts"] for row in trail][:2] == [facts, facts]
    assert [row["subject_id"] for row in trail] == [1, 1, 3, 3]


async def test_what_waits_is_sent_now(shop: Subscriber) -> None:
    await shop.endpoint()
    waiting = await shop.queued(1, attempts=5)
    shop.clock.advance(minutes=1)
    answer = (await shop.post(f"/deliveries/{waiting}/redeliver")).body
    assert (answer["id"], answer["attempts"]) == (waiting, 5)
    assert answer["next_attempt_at"] == "2026-11-21T12:01:00Z"
    # One that is due already does not lose its place.
    shop.clock.advance(minutes=1)
    answer = (await shop.post(f"/deliveries/{waiting}/redeliver")).body
    assert answer["next_attempt_at"] == "2026-11-21T12:01:00Z"


async def test_what_cannot_be_sent_again_changes_nothing(shop: Subscriber) -> None:
    await shop.endpoint()
    old = await shop.queued(1, "FAILED")
    forgotten = await shop.queued(1, "FAILED")
    await shop.rows("DELETE FROM events WHERE id = 2")
    before = await shop.everything()
    answer = await shop.post(f"/deliveries/{forgotten}/redeliver")
    assert answer.refusal == (409, "The event is no longer kept", "EVENT_FORGOTTEN")
    assert await shop.everything() == before
    assert (await shop.get(f"/deliveries/{forgotten}")).body["payload"] is None
    await shop.call("PATCH", "/1", {"status": "DISABLED"})
    before = await shop.everything()
    answer = await shop.post(f"/deliveries/{old}/redeliver")
    assert answer.refusal[2] == "WEBHOOK_DISABLED"
    assert await shop.everything() == before


async def test_many_are_sent_again_each_with_its_answer(shop: Subscriber) -> None:
    await shop.endpoint()
    await shop.endpoint(who=2)
    mine, foreign = await shop.queued(1, "FAILED"), await shop.queued(2, "FAILED", who=2)
    waiting = await shop.queued(1)
    async with shop.parts.db.transaction() as tx:
        answers = await deliveries.redeliver(
            tx, shop.ids[1], [waiting, foreign, mine, 99], SYSTEM, AT
        )
    codes = [getattr(each, "code", None) for each in answers]
    assert codes == [None, "DELIVERY_NOT_FOUND", None, "DELIVERY_NOT_FOUND"]
    assert [getattr(each, "redelivery_of", None) for each in answers] == [None, None, mine, None]


async def test_all_that_was_not_received_is_sent(shop: Subscriber) -> None:
    """Given up, waiting, and never queued; not what arrived, nor what it does not subscribe to."""
    await shop.event()
    shop.clock.advance(hours=1)
    await shop.endpoint(events=("order.delivered", "order.failed"))
    too_old = await shop.queued(1, "FAILED")
    shop.clock.advance(hours=1)
    since = shop.clock.now().isoformat()
    arrived = await shop.queued(1, "DELIVERED", attempts=1)
    lost = await shop.queued(1, "FAILED")
    arrived_later = await shop.queued(1, "FAILED")
    retried = await shop.queued(1, attempts=3)
    due = await shop.queued(1)
    await shop.event()
    await shop.event(EventType.ORDER_CREATED)
    await shop.event(who=2)
    await shop.post(f"/deliveries/{arrived_later}/redeliver")
    await shop.rows(
        "UPDATE webhook_deliveries SET status = 'DELIVERED', finished_at = now()"
        " WHERE redelivery_of IS NOT NULL"
    )
    shop.clock.advance(minutes=1)
    answer = await shop.post("/1/recover", {"since": since})
    assert answer.status == 202
    done = {"webhook_id": 1, "failed": 1, "missed": 1, "waiting": 1, "complete": True}
    assert answer.body == done
    now = "2026-11-21T14:01:00Z"
    listed = (await shop.get("/1/deliveries", status="PENDING")).body
    found = {each["id"]: each for each in listed}
    assert found.keys() - {retried, due} == {each["id"] for each in listed[:2]}
    assert found[retried]["next_attempt_at"] == now
    assert found[due]["next_attempt_at"] == "2026-11-21T14:00:00Z"
    again = [each for each in listed if each["redelivery_of"]]
    missed = [each for each in listed[:2] if not each["redelivery_of"]]
    assert [each["redelivery_of"] for each in again] == [lost]
    assert [each["event_id"] for each in missed] == ["evt_8"]
    assert {each["next_attempt_at"] for each in listed[:2]} == {now}
    assert not {arrived, too_old} & found.keys()
    # Asked again, nothing is sent twice.
    before = (await shop.get("/1/deliveries", limit=500)).body
    nothing = (await shop.post("/1/recover", {"since": since})).body
    assert nothing == done | {"failed": 0, "missed": 0, "waiting": 0}
    assert (await shop.get("/1/deliveries", limit=500)).body == before
    [told] = [row for row in await shop.audit() if row["action"] == "webhook.recovered"][:1]
    assert told["facts"] == {"since": since, "failed": 1, "missed": 1, "waiting": 1}
    # From the beginning, but never of before the webhook was made.
    all_of_it = (await shop.post("/1/recover", {"since": FOREVER_AGO})).body
    assert all_of_it == done | {"missed": 0, "waiting": 0}


async def test_recovering_finds_the_first_event_of_a_time(shop: Subscriber) -> None:
    """Whatever the length of the feed, and also where its beginning was forgotten."""
    await shop.endpoint()
    for _ in range(9):
        await shop.event()
        shop.clock.advance(hours=1)
    await shop.rows("DELETE FROM event_feed WHERE sequence <= 2")
    await shop.rows("DELETE FROM events WHERE id <= 2")
    for since, missed in (
        (AT + timedelta(hours=20), 0),
        (AT + timedelta(hours=8), 1),
        (AT + timedelta(hours=7, seconds=1), 0),
        (AT + timedelta(hours=4, minutes=30), 3),
        (AT, 3),
    ):
        answer = await shop.post("/1/recover", {"since": since.isoformat()})
        assert answer.body["missed"] == missed, since
    assert (await shop.get("/1/deliveries", limit=500)).headers["X-Page-Size"] == "7"
    await shop.endpoint(who=2)
    nothing = await shop.post("/2/recover", {"since": FOREVER_AGO}, who=2)
    assert nothing.body["missed"] == 0


async def test_a_long_outage_is_recovered_in_portions(shop: Subscriber) -> None:
    await shop.endpoint()
    await shop.rows(MANY, shop.ids[1], shop.clock.now(), RECOVER_MAX + 10)
    first = (await shop.post("/1/recover", {"since": FOREVER_AGO})).body
    assert (first["missed"], first["complete"]) == (RECOVER_MAX, False)
    rest = (await shop.post("/1/recover", {"since": FOREVER_AGO})).body
    assert (rest["missed"], rest["complete"]) == (10, True)


async def test_a_time_that_is_none_is_refused(shop: Subscriber) -> None:
    await shop.endpoint()
    await shop.queued(1, "FAILED")
    before = await shop.everything()
    for body, message in (
        ({}, "Invalid Since: required"),
        ({"since": ""}, "Invalid Since: required"),
        ({"since": "yesterday"}, "Invalid Since: timestamp"),
        ({"since": "2026-11-21T12:00:00"}, "Invalid Since: timestamp"),
        ({"since": 5}, "Invalid request body format"),
    ):
        assert (await shop.post("/1/recover", body)).refusal[:2] == (400, message)
    assert await shop.everything() == before


async def test_what_waits_for_a_deleted_webhook_is_given_up(shop: Subscriber) -> None:
    await shop.endpoint()
    await shop.endpoint()
    gone = [await shop.queued(1) for _ in range(3)]
    done, stays = await shop.queued(1, "DELIVERED", attempts=1), await shop.queued(2)
    await shop.rows(
        "UPDATE webhook_deliveries SET lease = gen_random_uuid(),"
        " leased_until = now() WHERE id = $1",
        gone[0],
    )
    await shop.call("DELETE", "/1")
    jobs = await shop.rows("SELECT entrypoint FROM pgqueuer")
    assert [row["entrypoint"] for row in jobs] == ["webhooks.give_up"]
    assert await give_up_deleted(shop.parts.db, shop.clock) == 3
    assert await give_up_deleted(shop.parts.db, shop.clock) == 0
    rows = await shop.rows("SELECT * FROM webhook_deliveries ORDER BY id")
    found = {row["id"]: row for row in rows}
    for delivery_id in gone:
        row = found[delivery_id]
        assert (row["status"], row["last_error"]) == ("FAILED", "The webhook was deleted")
        assert (row["lease"], row["finished_at"]) == (None, AT)
    assert found[done]["status"] == "DELIVERED"
    assert found[stays]["status"] == "PENDING"
    assert (await shop.get(f"/deliveries/{gone[0]}")).status == 404
    assert (await shop.post(f"/deliveries/{gone[0]}/redeliver")).status == 404
