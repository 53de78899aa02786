"""What is never put on the wire."""

import pytest

from rewards.vendors.throttle import Breaker, Throttle
from rewards.vendors.wire import Exchange, NotSent, Wire, open_session
from tests.vendors.office import simulator


class Kept:
    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []

    async def record(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)


@pytest.mark.parametrize("value", ["a\nX-Other: b", "a\r", "a\x00", "\ud800"])
async def test_a_header_that_cannot_be_sent_is_known_not_to_be(value: str) -> None:
    """A vendor may hand out such a token; what follows must not look like an unknown outcome."""
    shop, kept, breaker = simulator(), Kept(), Breaker(opens_after=1)
    async with shop.serve() as url, open_session() as session:
        wire = Wire(session, url, kept, safe=frozenset(), throttle=Throttle({}), breaker=breaker)
        with pytest.raises(NotSent, match="cannot be sent"):
            await wire.call("balance", "GET", "/balance", headers={"Authorization": value})
        assert not breaker.open, "the vendor did nothing wrong"
        answer = await wire.call(
            "balance", "GET", "/balance", headers={"Authorization": "Bearer k"}
        )
    assert answer.status == 200
    assert (len(kept.exchanges), shop.book.calls["balance"]) == (1, 1)
