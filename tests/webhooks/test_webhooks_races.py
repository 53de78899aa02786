"""Whatever two may want of a webhook at once: one wins, and nothing is sent twice."""

import asyncio
from collections import Counter

from rewards.webhooks.model_endpoints import ENDPOINTS_MAX
from tests.webhooks.subscriber import URL, Reply, Subscriber

AT_ONCE = 8
WAITING = """
SELECT event_id, count(*) AS deliveries FROM webhook_deliveries
WHERE endpoint_id = 1 AND status = 'PENDING' GROUP BY 1 ORDER BY 1
"""


async def at_once(
    shop: Subscriber, path: str, body: object = None, times: int = AT_ONCE
) -> Counter[int]:
    answers: list[Reply] = await asyncio.gather(*(shop.post(path, body) for _ in range(times)))
    return Counter(answer.status for answer in answers)


async def test_the_last_free_place_is_taken_once(shop: Subscriber) -> None:
    for _ in range(ENDPOINTS_MAX - 2):
        await shop.endpoint()
    assert await at_once(shop, "", {"url": URL}) == {201: 2, 409: AT_ONCE - 2}


async def test_a_secret_is_rotated_once(shop: Subscriber) -> None:
    await shop.endpoint()
    assert await at_once(shop, "/1/rotate-secret") == {200: 1, 409: AT_ONCE - 1}


async def test_one_delivery_is_repeated_once(shop: Subscriber) -> None:
    await shop.endpoint()
    await shop.queued(1, "FAILED")
    assert await at_once(shop, "/deliveries/1/redeliver") == {202: AT_ONCE}
    assert await shop.rows(WAITING) == [{"event_id": 1, "deliveries": 1}]


async def test_what_was_lost_is_recovered_once(shop: Subscriber) -> None:
    await shop.endpoint()
    for number in range(6):
        await (shop.queued(1, "FAILED") if number % 2 else shop.event())
    since = {"since": "2026-11-21T00:00:00Z"}
    some = [shop.post("/1/recover", since) for _ in range(4)]
    others = [shop.post(f"/deliveries/{n}/redeliver") for n in (1, 2, 3)]
    answers = await asyncio.gather(*some, *others)
    assert {answer.status for answer in answers} == {202}
    assert sum(answer.body["missed"] for answer in answers[:4]) == 3
    assert await shop.rows(WAITING) == [{"event_id": n, "deliveries": 1} for n in range(1, 7)]


async def test_after_a_deletion_nothing_happens(shop: Subscriber) -> None:
    await shop.endpoint()
    await shop.queued(1, "FAILED")
    answers = await asyncio.gather(
        shop.post("/1/test"),
        shop.post("/1/rotate-secret"),
        shop.call("DELETE", "/1"),
        shop.call("DELETE", "/1"),
        shop.post("/deliveries/1/redeliver"),
        shop.call("PATCH", "/1", {"name": "x"}),
    )
    codes = [answer.status for answer in answers]
    assert sorted(codes[2:4]) == [204, 404]
    assert {*codes[:2], *codes[4:]} <= {200, 202, 404}
    trail = [row["action"] for row in await shop.audit()]
    assert trail.index("webhook.deleted") == len(trail) - 1
    [left] = await shop.rows("SELECT secret, previous_secret FROM webhook_endpoints")
    assert left == {"secret": b"", "previous_secret": None}
