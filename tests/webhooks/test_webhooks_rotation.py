"""A secret is rotated while deliveries run: whoever knows either one verifies for a day (T41)."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rewards.core.actor import SYSTEM
from rewards.infra.db import Database
from rewards.webhooks import endpoints, signing
from rewards.webhooks.model_endpoints import RotationUnderWay
from tests.webhooks.posting import Post, open_post, sending, until
from tests.webhooks.receiver import Heard

MANY = 150


class MovedClock:
    """Real time, put forward by as much as a test likes."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture
async def post(db: Database, tmp_path: Path) -> AsyncIterator[Post]:
    async with open_post(db, tmp_path) as opened:
        opened.clock = MovedClock()
        yield opened


async def rotate(post: Post, client_id: int, endpoint_id: int, *, leaked: bool = False) -> bytes:
    async with post.db.transaction() as tx:
        shown = await endpoints.rotate_secret(
            *(tx, post.vault, client_id, endpoint_id, SYSTEM, post.clock.now()),
            revoke_previous=leaked,
        )
    assert shown.secret is not None
    return signing.key_of(shown.secret)


def believed(key: bytes, heard: Sequence[Heard], now_s: float) -> int:
    """How many of these a receiver with only this key believes."""
    return sum(signing.verified(key, one.headers, one.body, now_s) for one in heard)


async def test_a_rotation_under_load_loses_no_receiver(post: Post) -> None:
    client_id, endpoint_id = await post.lone()
    old = signing.key_of(post.secrets[endpoint_id])
    heard, now = post.receiver.heard["hook"], post.clock.now
    await post.queue(client_id, MANY)
    sender = post.sender()
    async with sending(sender):
        await until(lambda: len(heard) > MANY // 10)
        new = await rotate(post, client_id, endpoint_id)
        await sender.forget([endpoint_id])
        with pytest.raises(RotationUnderWay):
            await rotate(post, client_id, endpoint_id)
        await until(lambda: len(heard) == MANY)
        await post.queue(client_id, MANY)
        await until(lambda: len(heard) == 2 * MANY)
    # Who has not heard of the new one yet believes all; who uses it alone, all since it was made.
    assert believed(old, heard, now().timestamp()) == 2 * MANY
    assert believed(new, heard[MANY:], now().timestamp()) == MANY
    assert believed(bytes(32), heard, now().timestamp()) == 0


async def test_after_a_day_the_old_secret_signs_no_more(post: Post) -> None:
    client_id, endpoint_id = await post.lone()
    old = signing.key_of(post.secrets[endpoint_id])
    new = await rotate(post, client_id, endpoint_id)
    heard, clock = post.receiver.heard["hook"], post.clock
    assert isinstance(clock, MovedClock)
    for hours, by_old in ((23, 1), (24, 0)):
        clock.ahead = timedelta(hours=hours)
        await post.queue(client_id)
        await post.sender().drain()
        assert believed(old, heard[-1:], clock.now().timestamp()) == by_old
        assert believed(new, heard[-1:], clock.now().timestamp()) == 1
    newest = await rotate(post, client_id, endpoint_id)
    await post.queue(client_id)
    await post.sender().drain()
    counts = [believed(key, heard[-1:], clock.now().timestamp()) for key in (old, new, newest)]
    assert counts == [0, 1, 1]


async def test_a_secret_that_leaked_signs_nothing_from_then_on(post: Post) -> None:
    client_id, endpoint_id = await post.lone()
    keys = [signing.key_of(post.secrets[endpoint_id])]
    keys.append(await rotate(post, client_id, endpoint_id))
    keys.append(await rotate(post, client_id, endpoint_id, leaked=True))
    await post.queue(client_id)
    await post.sender().drain()
    heard = post.receiver.heard["hook"]
    now_s = post.clock.now().timestamp()
    assert [believed(key, heard, now_s) for key in keys] == [0, 0, 1]
