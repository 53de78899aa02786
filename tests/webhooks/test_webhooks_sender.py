"""Deliveries are sent as the contract says, each attempt is written down, and order is kept."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from rewards.core.actor import SYSTEM
from rewards.infra.db import Database
from rewards.infra.outbound import Poster
from rewards.infra.targets import Targets
from rewards.webhooks import endpoints, sender
from rewards.webhooks.lanes import AT_ONCE_MAX
from rewards.webhooks.model import EndpointStatus
from rewards.webhooks.model_endpoints import EndpointChange
from rewards.webhooks.model_sending import ATTEMPTS_MAX, DELAYS_S
from tests.webhooks.posting import LOCAL, Post, open_post, sending, sequences, until
from tests.webhooks.receiver import Conduct, Heard, status

DUE_IN = "SELECT extract(epoch FROM next_at - now())::float8 FROM webhook_deliveries WHERE id = $1"
# Longer than any delay, with its jitter.
LONG = timedelta(days=2)


@pytest.fixture
async def post(db: Database, tmp_path: Path) -> AsyncIterator[Post]:
    async with open_post(db, tmp_path) as opened:
        yield opened


def fails(_heard: Heard) -> Conduct:
    return Conduct(status(503, body="not now"))


async def test_what_is_sent_and_what_is_kept(post: Post) -> None:
    client_id, endpoint_id = await post.lone("hook")
    await post.queue(client_id, 2)
    assert await post.sender().drain() == 2
    first, second = post.receiver.heard["hook"]
    told = json.loads(first.body)
    assert told == {
        "id": first.id,
        "event": "wallet.credited",
        "type": "wallet.credited",
        "timestamp": told["timestamp"],
        "sequence": 1,
        "data": {"number": 1},
    }
    assert json.loads(second.body)["sequence"] == 2
    assert first.headers["content-type"] == "application/json"
    post.verify_all(endpoint_id, "hook")
    for delivery, attempt in zip(
        await post.deliveries(endpoint_id), await post.attempts(endpoint_id), strict=True
    ):
        assert (delivery["status"], delivery["attempts"]) == ("DELIVERED", 1)
        assert (delivery["lease"], delivery["last_error"]) == (None, None)
        assert (attempt["number"], attempt["status_code"], attempt["answer"]) == (1, 200, "ok")
    assert await post.breaches() == {}


async def test_the_whole_schedule_by_the_database(post: Post) -> None:
    """T38: each delay within a tenth; the same id and body each time, another time of sending."""
    post.receiver.conduct = fails
    client_id, endpoint_id = await post.lone()
    await post.queue(client_id)
    for number, delay_s in enumerate(DELAYS_S, 1):
        assert await post.sender().drain() == 1
        assert await post.sender().drain() == 0, "the next one is not due"
        [delivery] = await post.deliveries(endpoint_id)
        assert (delivery["status"], delivery["attempts"]) == ("PENDING", number)
        due_s = await post.value(DUE_IN, delivery["id"])
        assert 0.9 * delay_s - 5 <= due_s <= 1.1 * delay_s
        await post.pass_time(timedelta(seconds=1.1 * delay_s))
    await post.sender().drain()
    [delivery] = await post.deliveries(endpoint_id)
    assert (delivery["status"], delivery["attempts"]) == ("FAILED", ATTEMPTS_MAX)
    assert delivery["last_error"] == "answered 503"
    await post.pass_time(LONG)
    assert await post.sender().drain() == 0
    heard = post.receiver.heard["hook"]
    assert len(heard) == ATTEMPTS_MAX
    assert len({(one.id, one.body) for one in heard}) == 1
    kept = await post.attempts(endpoint_id)
    assert [each["number"] for each in kept] == list(range(1, ATTEMPTS_MAX + 1))
    assert {(each["status_code"], each["answer"]) for each in kept} == {(503, "not now")}
    assert await post.breaches() == {}


async def test_retry_after_is_obeyed(post: Post) -> None:
    post.receiver.conduct = lambda _: Conduct(status(429, "Retry-After: 5000\r\n"))
    client_id, endpoint_id = await post.lone()
    await post.queue(client_id, 3)
    assert await post.sender().drain() == 1, "the others wait as well, for a while"
    first, *others = await post.deliveries(endpoint_id)
    assert 4_900 < await post.value(DUE_IN, first["id"]) <= 5_000
    assert all((each["attempts"], each["lease"]) == (0, None) for each in others)


async def test_what_gets_no_answer_says_why(post: Post) -> None:
    post.receiver.conduct = lambda _: Conduct(hangs_up=True)
    client_id, endpoint_id = await post.lone()
    await post.queue(client_id)
    await post.sender().drain()
    [attempt] = await post.attempts(endpoint_id)
    assert attempt["status_code"] is None
    assert attempt["error"] == "the connection broke, or what came back is not HTTP"


async def test_an_address_that_may_no_longer_be_sent_to_is_an_attempt(post: Post) -> None:
    """Stored while local targets were allowed; nobody is asked now."""
    client_id, endpoint_id = await post.lone()
    await post.queue(client_id)
    async with Poster(Targets()) as poster:
        assert await post.sender(poster=poster).drain() == 1
    [attempt] = await post.attempts(endpoint_id)
    assert attempt["error"] == "the address is not allowed"
    assert post.receiver.connections == 0


async def test_first_attempts_begin_in_order_over_two_workers(post: Post) -> None:
    """Some fail and come again meanwhile; no delivery is sent twice."""

    def some(heard: Heard) -> Conduct:
        first = post.receiver.ids(heard.path).count(heard.id) == 1
        return Conduct(status(500)) if first and int(heard.id[4:]) % 7 == 0 else Conduct()

    post.receiver.conduct = some
    both = [await post.lone(f"p{number}") for number in range(4)]
    for client_id, _ in both:
        await post.queue(client_id, 60)
    async with sending(post.sender(), post.sender()):
        while await post.value("SELECT count(*) FROM webhook_deliveries WHERE status = 'PENDING'"):
            await post.pass_time(LONG)
            await asyncio.sleep(0.05)
    for _, endpoint_id in both:
        firsts = [each for each in await post.attempts(endpoint_id) if each["number"] == 1]
        begun = sorted(firsts, key=lambda each: each["started_at"])
        assert [each["delivery_id"] for each in begun] == [each["delivery_id"] for each in firsts]
    ids = [one.id for one in post.receiver.all]
    again = await post.value("SELECT count(*) FROM webhook_attempts WHERE number > 1")
    assert again > 0
    assert len(ids) == 240 + again
    assert await post.breaches() == {}


async def test_dead_and_slow_endpoints_delay_no_other(post: Post) -> None:
    """T39: one hangs, one drags on, ninety-eight are served while those two still wait."""

    def two(heard: Heard) -> Conduct:
        return {"p0": Conduct(None), "p1": Conduct(after_s=1.5)}.get(heard.path, Conduct())

    post.receiver.conduct = two
    lanes = [await post.lone(f"p{number}") for number in range(100)]
    for client_id, _ in lanes:
        await post.queue(client_id, 5)
    async with sending(post.sender()):
        await until(lambda: sum(len(post.receiver.heard[f"p{n}"]) for n in range(2, 100)) == 490)
        assert len(post.receiver.heard["p0"]) <= 1
        assert len(post.receiver.heard["p1"]) <= 2
    assert post.receiver.most_at_once["p0"] == 1


async def test_an_endpoint_gets_no_more_at_once_than_its_cap(post: Post) -> None:
    post.receiver.conduct = lambda _: Conduct(after_s=0.02)
    client_id, endpoint_id = await post.lone()
    await post.queue(client_id, 150)
    await post.sender().drain()
    assert 1 < post.receiver.most_at_once["hook"] <= AT_ONCE_MAX
    assert sequences(await post.deliveries(endpoint_id)) == list(range(1, 151))
    assert len(set(post.receiver.ids("hook"))) == 150


async def test_a_dead_endpoint_is_only_probed_and_found_again(post: Post) -> None:
    alive = False

    def conduct(_heard: Heard) -> Conduct:
        return Conduct() if alive else Conduct(status(500))

    post.receiver.conduct = conduct
    client_id, endpoint_id = await post.lone()
    await post.queue(client_id, 50)
    one = post.sender()
    made = await one.drain()
    assert 5 <= made < 10, "the circuit opened"
    alive = True
    async with sending(one):
        await until(lambda: len(post.receiver.heard["hook"]) == 50)
    waiting = [each for each in await post.deliveries(endpoint_id) if each["attempts"] == 0]
    assert waiting == []
    assert await post.breaches() == {}


async def test_a_disabled_endpoint_keeps_what_waits_until_it_is_enabled(post: Post) -> None:
    client_id, endpoint_id = await post.lone()
    await post.queue(client_id, 2)
    for wanted, sent in ((EndpointStatus.DISABLED, 0), (EndpointStatus.ENABLED, 2)):
        async with post.db.transaction() as tx:
            await endpoints.change(
                *(tx, post.vault, LOCAL, client_id, endpoint_id),
                *(EndpointChange(status=wanted), SYSTEM, post.clock.now()),
            )
        assert await post.sender().drain() == sent
    assert len(post.receiver.heard["hook"]) == 2


async def test_after_a_rotation_both_secrets_sign(post: Post) -> None:
    client_id, endpoint_id = await post.lone()
    async with post.db.transaction() as tx:
        shown = await endpoints.rotate_secret(
            *(tx, post.vault, client_id, endpoint_id, SYSTEM, post.clock.now())
        )
    await post.queue(client_id)
    await post.sender().drain()
    [heard] = post.receiver.heard["hook"]
    assert len(heard.headers["webhook-signature"].split(" ")) == 2
    post.verify_all(endpoint_id, "hook")
    assert shown.secret is not None
    post.secrets[endpoint_id] = shown.secret
    post.verify_all(endpoint_id, "hook")


async def test_a_changed_endpoint_is_obeyed_before_the_next_attempt(post: Post) -> None:
    """What was leased and has not begun is given back, and goes where it belongs now."""
    post.receiver.conduct = lambda heard: Conduct(after_s=0.3 if heard.path == "old" else 0)
    client_id, endpoint_id = await post.lone("old")
    await post.queue(client_id, 10)
    one = post.sender()
    async with sending(one):
        await until(lambda: bool(post.receiver.heard["old"]))
        async with post.db.transaction() as tx:
            await endpoints.change(
                *(tx, post.vault, LOCAL, client_id, endpoint_id),
                *(EndpointChange(url=post.receiver.url("new")), SYSTEM, post.clock.now()),
            )
        await one.forget([endpoint_id])
        await until(lambda: len(post.receiver.heard["new"]) == 9)
    assert len(post.receiver.heard["old"]) == 1


async def test_a_look_that_finds_nothing_writes_nothing(post: Post) -> None:
    await post.lone()
    sent = post.sender()
    next_xid = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text"
    before = await post.value(next_xid)
    assert await sent.drain() == 0
    assert await post.value(next_xid) == before


async def test_a_stop_gives_back_what_waits_and_writes_down_what_it_cut_off(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "STOP_GRACE_S", 0.1)
    post.receiver.conduct = lambda _: Conduct(None)
    client_id, endpoint_id = await post.lone()
    await post.queue(client_id, 4)
    async with sending(post.sender()):
        await until(lambda: bool(post.receiver.heard["hook"]))
    cut, *others = await post.deliveries(endpoint_id)
    assert all((each["lease"], each["attempts"]) == (None, 0) for each in others)
    assert (cut["lease"], cut["attempts"], cut["last_error"]) == (None, 1, sender.STOPPED)
    assert (await post.health(endpoint_id))["failing_since"] is None
    assert await post.breaches() == {}
