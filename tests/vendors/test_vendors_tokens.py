"""One token for all, for as long as it lives."""

import asyncio

import pytest

from rewards.vendors.tokens import Token, Tokens
from rewards.vendors.wire import NoAnswer, NotSent


class Issuer:
    """Hands out tokens of 100 s, by a clock that only the test moves."""

    def __init__(self) -> None:
        self.at, self.fetched, self.fails = 1_000.0, 0, False

    async def fetch(self) -> Token:
        self.fetched += 1
        await asyncio.sleep(0)
        if self.fails:
            raise NoAnswer("no answer in time")
        return Token("same-text", 100)

    def tokens(self) -> Tokens:
        return Tokens(self.fetch, lambda: self.at)


async def test_a_token_is_renewed_before_its_end() -> None:
    issuer = Issuer()
    tokens = issuer.tokens()
    first = await tokens.current()
    issuer.at += 89
    assert await tokens.current() is first
    issuer.at += 1
    assert await tokens.current() is not first
    assert issuer.fetched == 2


async def test_many_whose_token_was_rejected_fetch_one() -> None:
    issuer = Issuer()
    tokens = issuer.tokens()
    old = await tokens.current()
    new = await asyncio.gather(*(tokens.current(rejected=old) for _ in range(9)))
    assert issuer.fetched == 2
    assert {id(token) for token in new} == {id(await tokens.current())}
    assert old not in new


async def test_a_fetch_without_an_answer_means_that_nothing_was_sent_and_holds_nothing() -> None:
    issuer = Issuer()
    tokens = issuer.tokens()
    old = await tokens.current()
    issuer.fails = True
    with pytest.raises(NotSent, match="no token: no answer in time"):
        await tokens.current(rejected=old)
    issuer.fails = False
    assert await tokens.current() is not old
    assert "same-text" not in repr(old)
