"""Passwords: right, wrong, unknown, and never on the event loop."""

import asyncio
import time

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
