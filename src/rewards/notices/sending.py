"""Sends what is due: leased in batches, one dialogue a mail, and put down mail by mail."""

import asyncio
import random
from dataclasses import dataclass
from functools import partial
from time import monotonic
from uuid import UUID, uuid4

import structlog

from rewards.core.clock import Clock
from rewards.infra.db import Database, Tx
from rewards.infra.metrics import LATER_S, Counter, Histogram
from rewards.notices import sql
from rewards.notices.composing import Composer
from rewards.notices.model import (
    Attempt,
    Notice,
    NoticeState,
    Outcome,
    Reply,
    Settled,
    settle,
)
from rewards.notices.relay import Line, Relay

log = structlog.get_logger()

MAILS = Counter(
    "mails_total", "Mails that were tried, by what they are about and what became.", "kind", "state"
)
MAIL_LAG = Histogram(
    "mail_lag_seconds", "From the cause of a mail to the relay's taking it.", ends=LATER_S
)

# Mails that go over one connection.
BATCH_MAX = 8
# Longer than a batch takes when the relay is as slow as may be.
LEASE_SLACK_S = 120.0
# One run sends so many at most; the next one goes on.
RUN_MAX = 10_000
# After this one begins no further batch; the job's own limit is far above.
RUN_S = 300.0
# The relay is away or in trouble: the rest of a batch waits so long, uncounted.
PAUSE_S = 60.0
JITTER = 0.1
NO_RELAY = Settled(NoticeState.SKIPPED, "NO_RELAY")
TROUBLE = frozenset({Outcome.UNREACHED, Outcome.TURNED_AWAY, Outcome.LOST})


@dataclass(frozen=True, slots=True)
class Sending:
    """The sender of one worker. Without a relay what is due is skipped, and says so."""

    db: Database
    clock: Clock
    composer: Composer
    relay: Relay | None
    connections: int
    lease_s: float

    async def send_due(self) -> int:
        """Send until nothing is due, or the relay is in trouble; how many were tried.

        A mail that cannot be made keeps no other waiting: it is tried again when its lease has
        ended. The last such problem is raised at the end.
        """
        tried, problem = 0, None
        ends_s = monotonic() + RUN_S
        while tried < RUN_MAX and monotonic() < ends_s:
            outcomes = await asyncio.gather(
                *(self._send_batch() for _ in range(self.connections)), return_exceptions=True
            )
            counts = [each for each in outcomes if isinstance(each, int)]
            broken = [each for each in outcomes if isinstance(each, BaseException)]
            problem = broken[-1] if broken else problem
            tried += sum(map(abs, counts))
            # Negative: the relay is in trouble.
            if any(count < 0 for count in counts) or not any(counts):
                break
        if problem is not None:
            raise problem
        return tried

    async def _send_batch(self) -> int:
        """Take a batch and send it over one connection; how many, negative after trouble."""
        lease = uuid4()
        notices = await self.db.run(partial(self._take, lease))
        if not notices:
            return 0
        relay = self.relay
        if relay is None:
            for notice in notices:
                await self._put_down(lease, notice, NO_RELAY, None)
            return len(notices)
        async with relay.line() as line:
            for number, notice in enumerate(notices, 1):
                try:
                    outcome = await self._send_one(line, lease, notice)
                except Exception:
                    # It waits for the end of its lease; what comes after it does not.
                    await self._release(lease, notices[number:])
                    raise
                if outcome in TROUBLE:
                    await self._release(lease, notices[number:])
                    return -number
        return len(notices)

    async def _take(self, lease: UUID, tx: Tx) -> list[Notice]:
        return await sql.take(tx, lease, self.lease_s, BATCH_MAX, self.clock.now())

    async def _send_one(self, line: Line, lease: UUID, notice: Notice) -> Outcome | None:
        """Compose, send, put down; None where there was nothing to send."""
        made = await self.composer.compose(notice)
        if isinstance(made, Settled):
            await self._put_down(lease, notice, made, None)
            return None
        started_at, began_s = self.clock.now(), monotonic()
        reply = await line.send(made)
        took_ms = int((monotonic() - began_s) * 1000)
        attempt = Attempt(notice.attempts, reply, started_at, took_ms)
        settled = settle(notice.attempts, reply)
        await self._put_down(lease, notice, settled, attempt)
        MAILS.add(notice.kind, settled.state)
        if settled.state is NoticeState.SENT:
            MAIL_LAG.observe((self.clock.now() - notice.created_at).total_seconds())
        _tell(notice, settled, reply)
        return reply.outcome

    async def _put_down(
        self, lease: UUID, notice: Notice, settled: Settled, attempt: Attempt | None
    ) -> None:
        """In one transaction; nothing where another sender has it by now, which tells its own."""
        spread: float = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311
        wait_s = settled.wait_s * spread

        async def work(tx: Tx) -> None:
            at = self.clock.now()
            if not await sql.settle(tx, lease, notice.id, settled, wait_s, at):
                return
            if attempt is None:
                return
            await sql.add_attempt(tx, notice.id, attempt)
            reply = attempt.reply
            if reply.outcome is Outcome.NO_MAILBOX:
                await sql.suppress(tx, notice.address, notice.id, reply.code or 0, at)

        await self.db.run(work)

    async def _release(self, lease: UUID, notices: list[Notice]) -> None:
        ids = [notice.id for notice in notices]
        if ids:
            await self.db.run(lambda tx: sql.release(tx, lease, ids, PAUSE_S))


def _tell(notice: Notice, settled: Settled, reply: Reply) -> None:
    """One line for each attempt that did not arrive: whose, and why; never where it was to go."""
    if settled.state is NoticeState.SENT:
        return
    say = log.warning if settled.state is NoticeState.FAILED else log.info
    say(
        "notice_not_sent",
        notice_id=notice.id,
        client_id=notice.client_id,
        kind=notice.kind,
        attempt=notice.attempts,
        outcome=reply.outcome,
        stage=reply.stage,
        reply=reply.code,
    )
