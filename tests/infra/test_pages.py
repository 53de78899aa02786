"""What pages make of an API that does not answer, before anybody is shown it."""

import asyncio
from typing import Any

import pytest

from rewards.infra.pages import caller
from rewards.infra.pages.caller import ApiRefused, Caller
from rewards.infra.pages.visit import explain


async def test_an_api_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left = asyncio.Event()

    async def hangs(_scope: Any, _receive: Any, _send: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            left.set()

    monkeypatch.setattr(caller, "CALL_TIMEOUT_S", 0.05)
    asking = Caller(hangs, None, "req_1")
    with pytest.raises(ApiRefused) as told:
        await asking.ask("POST", "/api/v1/orders", body={})
    assert (told.value.status, told.value.code, told.value.request_id) == (
        504,
        "TIMED_OUT",
        "req_1",
    )
    assert "It may still be done" in explain(told.value)
    assert left.is_set()
