"""Passwords: right, wrong, unknown, and never on the event loop."""

import asyncio
import time
from statistics import median, quantiles

import pytest

from rewards.core.errors import Unavailable
from rewards.infra import passwords
from rewards.infra.passwords import Passwords


@pytest.fixture(scope="module")
def hasher() -> Passwords:
    return Passwords()


async def test_only_the_right_password_matches(hasher: Passwords) -> None:
    digest = await hasher.digest("correct horse battery")
    assert digest.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await hasher.matches(digest, "correct horse battery")
    assert not await hasher.matches(digest, "correct horse batterz")


async def test_an_unknown_user_or_a_broken_digest_never_matches(hasher: Passwords) -> None:
    assert not await hasher.matches(None, "nobody")
    assert not await hasher.matches("$argon2id$broken", "nobody")


async def test_an_unknown_user_costs_what_a_known_one_does(hasher: Passwords) -> None:
    digest = await hasher.digest("correct horse battery")
    known, unknown = 0.0, 0.0
    for _ in range(10):
        start = time.perf_counter()
        await hasher.matches(digest, "wrong")
        middle = time.perf_counter()
        await hasher.matches(None, "wrong")
        unknown += time.perf_counter() - middle
        known += middle - start
    # A loaded machine is noisy; a missing digest check would make the ratio a hundredth.
    assert 0.3 < known / unknown < 3


async def test_a_flood_of_logins_is_turned_away_not_queued(
    hasher: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "WAITING_MAX", 2)
    answers = await asyncio.gather(
        *(hasher.matches(None, "x") for _ in range(5)), return_exceptions=True
    )
    assert [type(answer) for answer in answers].count(Unavailable) == 3
    assert await hasher.matches(None, "x") is False


LOOKS = 400
LOOK_EVERY_S = 0.002
# A digest on the event loop makes each look late by all of it, some hundreds of times as late.
LATER_MAX = 50


async def lateness_s() -> list[float]:
    """How much later than asked the loop comes back to somebody, again and again."""
    late = []
    for _ in range(LOOKS):
        due_s = time.perf_counter() + LOOK_EVERY_S
        await asyncio.sleep(LOOK_EVERY_S)
        late.append(time.perf_counter() - due_s)
    return late


async def test_the_event_loop_goes_on_while_passwords_are_hashed(hasher: Passwords) -> None:
    """T52. As many as there are threads, all the time, against the loop alone in the same run."""
    done = 0

    async def hash_on() -> None:
        nonlocal done
        while True:
            await hasher.matches(None, "a password")
            done += 1

    bare = await lateness_s()
    hashing = [asyncio.create_task(hash_on()) for _ in range(passwords.THREADS_MAX)]
    busy = await lateness_s()
    for task in hashing:
        task.cancel()
    await asyncio.wait(hashing)
    for name, late in (("bare", bare), ("hashing", busy)):
        p99 = quantiles(late, n=100)[-1]
        print(f"{name}: median {median(late) * 1e3:.2f} ms late, p99 {p99 * 1e3:.2f} ms")
    assert done > passwords.THREADS_MAX
    assert median(busy) < LATER_MAX * median(bare)
