"""What a person can tell a simulator: by a header, by a script, and to let time pass."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from rewards.sandbox.vendors import DEMOS, Demo
from rewards.vendors.simulators.faults import HEADER, Fault
from rewards.vendors.simulators.serving import Simulator

SCRIPT, CLOCK, BOOK = "/_simulator/script", "/_simulator/clock", "/_simulator/book"


class Stopped:
    """A clock on which no time passes by itself."""

    def now(self) -> datetime:
        return datetime(2026, 11, 20, 12, tzinfo=UTC)


class Room:
    def __init__(self, simulator: Simulator, http: aiohttp.ClientSession) -> None:
        self.simulator = simulator
        self.http = http
        plain = [route for route in simulator.routes() if "{" not in route[1]]
        # One that needs no body, where there is one.
        self.method, self.path = min(plain, key=lambda route: route[0] != "GET")

    async def call(self, fault: str = "") -> tuple[int, bytes]:
        """Some call that it answers, without a token, with a fault asked for by header."""
        headers = {HEADER: fault} if fault else {}
        async with self.http.request(self.method, self.path, headers=headers) as answer:
            return answer.status, await answer.read()

    async def tell(self, path: str, said: object) -> tuple[int, dict[str, object]]:
        async with self.http.post(path, json=said) as answer:
            return answer.status, await answer.json()


@pytest.fixture(params=DEMOS, ids=lambda demo: demo.adapter)
async def room(request: pytest.FixtureRequest) -> AsyncIterator[Room]:
    demo: Demo = request.param
    simulator = demo.open(Stopped())
    async with simulator.serve() as url, aiohttp.ClientSession(url) as http:
        yield Room(simulator, http)


async def test_a_header_brings_a_fault_to_its_call_alone(room: Room) -> None:
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await room.call(Fault.DROP_BEFORE)
    assert (await room.call(Fault.THROTTLE))[0] == 429
    assert (await room.call(Fault.ERROR_BEFORE))[0] == 503
    _, spoiled = await room.call(Fault.HTML)
    assert spoiled.startswith(b"<html>")
    status, usual = await room.call()
    assert status != 429
    assert not usual.startswith(b"<html>")


async def test_a_fault_that_is_none_is_refused_and_the_known_ones_are_told(room: Room) -> None:
    status, told = await room.call("NO_SUCH")
    assert status == 400
    assert all(fault.encode() in told for fault in Fault)


async def test_a_script_strikes_the_calls_it_names_so_often(room: Room) -> None:
    name = room.simulator.routes()[room.method, room.path][0]
    asked = [
        {"fault": "THROTTLE", "call": "no-such-call"},
        {"fault": "ERROR_BEFORE", "call": name, "times": 2, "skip": 1},
    ]
    assert await room.tell(SCRIPT, asked) == (200, {"taken": 2})
    usual = (await room.call())[0]
    assert [(await room.call())[0] for _ in range(3)] == [503, 503, usual]
    assert await room.tell(SCRIPT, [{"fault": "THROTTLE"}]) == (200, {"taken": 1})
    assert await room.tell(SCRIPT, []) == (200, {"taken": 0})
    assert (await room.call())[0] == usual


@pytest.mark.parametrize(
    "said",
    [
        {"fault": "HTML"},
        ["HTML"],
        [{}],
        [{"fault": "NO_SUCH"}],
        [{"fault": "HTML", "times": "x"}],
        7,
    ],
)
async def test_a_script_without_sense_is_refused_whole(room: Room, said: object) -> None:
    if isinstance(said, list):
        said = [{"fault": "THROTTLE"}, *said]
    status, _ = await room.tell(SCRIPT, said)
    assert status == 400
    assert (await room.call())[0] != 429


async def test_time_passes_as_told_and_no_other_way(room: Room) -> None:
    _, before = await room.tell(CLOCK, {"advance_s": 0})
    status, after = await room.tell(CLOCK, {"advance_s": 3_600})
    assert status == 200
    then, now = (datetime.fromisoformat(str(told["now"])) for told in (before, after))
    assert now - then == timedelta(hours=1)
    for wrong in ({}, {"advance_s": "x"}, {"advance_s": 1e300}, [], 7):
        assert (await room.tell(CLOCK, wrong))[0] == 400
    async with room.http.get(BOOK) as answer:
        assert (await answer.json())["sales"] == []
