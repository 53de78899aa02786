"""Asks many operations at once, and compares what came back to the letter."""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

from rewards.infra.http import ENCODER
from tests.http.calling import Answer
from tests.security.callers import Shown
from tests.security.operations import Operation
from tests.security.world import UNKNOWN, World

AT_ONCE = 16
# The same for all, so that answers can be compared to the letter.
ASKED_AS = {"X-Request-Id": "req_matrix"}
# One is made at a time, as its document says; who comes meanwhile is told to come back (503).
ALONE = {"makeStatement"}
# They change with the second, not with who asks.
PASSING = {"Date"}
# They count what the caller asked for before.
RUNNING = {"X-RateLimit-Remaining", "X-RateLimit-Reset"}
# Without them these reads are refused before anything is looked for.
NEEDED = {"denomination": 25, "quantity": 1, "source": "INR", "target": "USD"}
# The same of one alone, of days that others leave out: a day that is over; and those on which the
# world was furnished, as its clock is soon a week later.
TODAY, A_DAY = datetime.now(UTC).date(), timedelta(days=1)
NEEDED_BY: Mapping[str, Mapping[str, object]] = {
    "getStatement": {"from": TODAY - A_DAY, "to": TODAY - A_DAY},
    "listLedgerAccounts": {"from": TODAY - A_DAY, "to": TODAY + A_DAY},
    "listLedgerTransactions": {"from": TODAY - A_DAY, "to": TODAY + A_DAY},
}


async def ask(
    world: World,
    one: Operation,
    shown: Shown,
    ids: Mapping[str, Any] | None = None,
    *,
    query: str = "",
    body: Any = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """The operation, with ids that nobody has and a body that says nothing unless told others."""
    known = ids if ids is not None else dict.fromkeys(one.parameters, UNKNOWN)
    said = body if body is not None else {} if "requestBody" in one.told else None
    raw = None if said is None else ENCODER.encode(said)
    turn = world.turn if one.operation_id in ALONE else nullcontext()
    async with turn:
        return await world.api.call(
            one.method,
            one.at(known) + query,
            raw=raw,
            headers={**ASKED_AS, **(headers or {})},
            shown=shown,
        )


async def all_of(asked: Iterable[Any]) -> list[Any]:
    """What each of these coroutines gives, in order, so many at a time."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def take(one: Any) -> Any:
        async with turns:
            return await one

    return await asyncio.gather(*map(take, asked))


def example(one: Operation) -> Any:
    """A body that could be right."""
    return one.body["example"] if one.body else None


def needed(one: Operation) -> str:
    """What no reader of this operation may leave out."""
    values = {**NEEDED, **NEEDED_BY.get(one.operation_id, {})}
    return "?" + "&".join(f"{name}={values[name]}" for name in one.queries if name in values)


def alike(answer: Answer) -> tuple[object, ...]:
    """All of the answer that could tell one from another."""
    headers = {name: value for name, value in lasting(answer).items() if name not in RUNNING}
    return answer.status, headers, answer.text


def lasting(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in PASSING}
