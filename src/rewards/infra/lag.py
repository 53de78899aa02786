"""How late an event loop is: what blocks it makes everybody wait."""

import asyncio

from rewards.infra.metrics import Histogram

EVERY_S = 0.25
ENDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)

LAG = Histogram("event_loop_lag_seconds", "How late the event loop woke a sleeper.", ends=ENDS_S)


async def watch() -> None:
    """Sleep and look how late it is, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due_s = loop.time() + EVERY_S
        await asyncio.sleep(EVERY_S)
        LAG.observe(max(loop.time() - due_s, 0.0))
