"""Sends deliveries: leased in batches, posted over many lanes at once, written down in batches."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic
from uuid import UUID, uuid4

import structlog

from rewards.core.clock import Clock
from rewards.infra.crypto import SealBroken, Vault
from rewards.infra.db import TROUBLE, Database, Tx
from rewards.infra.outbound import NotAnswered, Poster
from rewards.webhooks import envelope, figures, health, signing, sql_sending
from rewards.webhooks.lanes import Job, Lane
from rewards.webhooks.model_sending import Outcome, decide, judge
from rewards.webhooks.recording import Recorder
from rewards.webhooks.secrets import signing_keys
from rewards.webhooks.sql_sending import Due, Told

log = structlog.get_logger()

# An idle sender looks this often; a delivery that was queued waits no longer. The look is one small
# read, and takes a fifth of the time at most, however many endpoints wait.
POLL_S = 0.2
LOOK_SHARE = 4
# A busy one gathers what became free for so long.
GATHER_S = 0.005
AWAY_S = 1.0
# Of a lease, what is left for writing down when an attempt has had all its time.
RECORD_S = 5.0
# Endpoints in one transaction; the next one goes on after them.
LANES_MAX = 256
# Deliveries that one transaction leases.
LEASE_MAX = 4_096
# Attempts at the same time, over all endpoints; and ended ones that are not written down.
RUNNING_MAX = 1_000
UNRECORDED_MAX = 8_192
# Stopping, in the ten seconds that a worker has: attempts under way have the grace to end, leasing
# and the books a second each.
STOP_GRACE_S = 6.0
STOP_BOOKS_S = 1.0
DRAIN_ROUND_MAX = 10_000

HEADERS = {"Content-Type": "application/json", "User-Agent": "Starship-Rewards-Webhooks/1"}
STOPPED = "the attempt was cut off when the sender stopped"


class Sender:
    """One in every worker process; any number share the deliveries, and each may be killed.

    What a killed one held is sent again once its leases end, `lease_s` after they were taken.
    """

    def __init__(
        self, db: Database, vault: Vault, clock: Clock, poster: Poster, *, lease_s: float = 30.0
    ) -> None:
        assert lease_s > poster.total_s + RECORD_S
        self._db = db
        self._vault = vault
        self._clock = clock
        self._poster = poster
        self._lease_s = lease_s
        self._lanes: dict[int, Lane] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._recorder = Recorder(db, clock, self._freed)
        self._wake = asyncio.Event()
        self._token = uuid4()
        self._stopping = False

    async def forget(self, endpoint_ids: Sequence[int]) -> None:
        """These changed: what has not begun for them is leased anew, as they are now."""
        for endpoint_id in endpoint_ids:
            if lane := self._lanes.get(endpoint_id):
                lane.drop()
        self._recorder.wake()

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop` is set, then end within nine seconds; waits out a lost database."""
        self._stopping = False
        stopping = asyncio.create_task(stop.wait())
        taking = asyncio.create_task(self._take_on())
        recording = asyncio.create_task(self._recorder.run())
        try:
            await asyncio.wait({stopping, taking, recording}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            await self._end(taking)
            recording.cancel()
            await asyncio.wait({stopping, recording})
        for task in (taking, recording):
            if not task.cancelled():
                task.result()

    async def drain(self) -> int:
        """Send here and now what is due, and what becomes due of it; how many attempts it took.

        For tests and commands. What a circuit or `Retry-After` holds back stays where it is.
        """
        count = 0
        for _ in range(DRAIN_ROUND_MAX):
            await self._take()
            while self._running:
                await asyncio.wait(set(self._running))
            if self._recorder.empty:
                return count
            count += await self._recorder.record_all()
        raise AssertionError("more deliveries than anybody ever had")

    async def _end(self, taking: "asyncio.Task[None]") -> None:
        """Begin nothing, let what runs end, give back the rest, and write the books."""
        self._stopping = True
        self._wake.set()
        # Cut off in its commit, it would leave leases that nobody knows of.
        await asyncio.wait({taking}, timeout=STOP_BOOKS_S)
        taking.cancel()
        await asyncio.wait({taking})
        for lane in self._lanes.values():
            lane.drop()
        if self._running:
            _, late = await asyncio.wait(set(self._running), timeout=STOP_GRACE_S)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=STOP_BOOKS_S)
        with suppress(TimeoutError, *TROUBLE):
            async with asyncio.timeout(STOP_BOOKS_S):
                await self._recorder.record_all()
        if not self._recorder.empty:
            # Their leases end; they are sent again.
            log.warning("webhooks_cut_off", attempts=len(self._recorder.told))

    # Taking: one transaction leases for many endpoints.

    async def _take_on(self) -> None:
        away = False
        while not self._stopping:
            self._wake.clear()
            began_s = monotonic()
            try:
                await self._take()
                away = False
            except TROUBLE as problem:
                if not away:
                    log.warning("webhooks_interrupted", problem=type(problem).__name__)
                away = True
                await asyncio.sleep(AWAY_S)
                continue
            pause_s = max(POLL_S, LOOK_SHARE * (monotonic() - began_s))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), pause_s)
            await asyncio.sleep(GATHER_S)

    async def _take(self) -> None:
        """Lease what is due and what there is room for, over all endpoints, and begin it."""
        after_id: int | None = 0
        while after_id is not None and not self._stopping:
            if len(self._recorder.told) >= UNRECORDED_MAX:
                break
            now_s = monotonic()
            full = [lane.endpoint_id for lane in self._lanes.values() if not lane.room(now_s)]
            async with self._db.connection() as connection:
                due, after_id = await sql_sending.walk(connection, after_id, full, LANES_MAX)
            if due:
                await self._lease_each(due)

    async def _lease_each(self, endpoint_ids: Sequence[int]) -> None:
        """Together; one by one where a secret does not open, so that only its endpoint waits."""
        try:
            await self._lease(endpoint_ids)
        except SealBroken:
            for endpoint_id in endpoint_ids:
                try:
                    await self._lease([endpoint_id])
                except SealBroken:
                    log.exception("webhook_secret_broken", endpoint_id=endpoint_id)
                    lane = Lane(endpoint_id, self._recorder.back)
                    self._lanes.setdefault(endpoint_id, lane).leave_alone(monotonic())

    async def _lease(self, endpoint_ids: Sequence[int]) -> None:
        back = self._recorder.back
        lanes = {each: self._lanes.get(each) or Lane(each, back) for each in endpoint_ids}
        began_s = monotonic()
        # Should nobody know whether this is committed, what it leased is not ours: no later
        # delivery overtakes it until those leases have ended.
        token, self._token = self._token, uuid4()

        async def work(tx: Tx) -> tuple[dict[int, int], list[Due]]:
            at = self._clock.now()
            urls = await sql_sending.lock_endpoints(tx, endpoint_ids)
            keys = await signing_keys(tx, self._vault, list(urls), at)
            for (endpoint_id, url), pair in zip(urls.items(), keys, strict=True):
                lanes[endpoint_id].url, lanes[endpoint_id].keys = url, pair
            await health.disable_unsigned(tx, [each for each in urls if not lanes[each].keys], at)
            rooms = self._rooms([lanes[each] for each in urls if lanes[each].keys], began_s)
            held = [lanes[each].held for each in rooms]
            return rooms, await sql_sending.lease(tx, rooms, held, token, self._lease_s)

        rooms, leased = await self._db.run(work)
        self._token = token
        self._begin(lanes, rooms, leased, token, began_s)

    def _rooms(self, lanes: Sequence[Lane], now_s: float) -> dict[int, int]:
        """How many are wanted for each; a fair share where all are many."""
        share = max(1, LEASE_MAX // max(1, len(lanes)))
        wanted = {lane.endpoint_id: min(lane.room(now_s), share) for lane in lanes}
        return {endpoint_id: room for endpoint_id, room in wanted.items() if room}

    def _begin(
        self,
        lanes: dict[int, Lane],
        rooms: dict[int, int],
        leased: Sequence[Due],
        token: UUID,
        began_s: float,
    ) -> None:
        until_s = began_s + self._lease_s - self._poster.total_s - RECORD_S
        bodies: dict[int, bytes] = {}
        jobs: dict[int, list[Job]] = {endpoint_id: [] for endpoint_id in rooms}
        for due in leased:
            if due.event_id not in bodies:
                bodies[due.event_id] = _body(due)
            jobs[due.endpoint_id].append(
                Job(
                    *(due.id, token, due.attempts),
                    *(envelope.message_id(due.event_id), bodies[due.event_id], until_s),
                    due.created_at,
                )
            )
        for endpoint_id, taken in jobs.items():
            lane = lanes[endpoint_id]
            lane.add(taken, rooms[endpoint_id])
            if taken:
                self._lanes[endpoint_id] = lane
                self._staff(lane)

    # Sending: a few runners for each lane, each one job after the other.

    def _staff(self, lane: Lane) -> None:
        for _ in range(lane.runners_wanted(RUNNING_MAX - len(self._running))):
            lane.running += 1
            task = asyncio.create_task(self._send(lane))
            self._running.add(task)
            task.add_done_callback(self._left)

    def _left(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        if not task.cancelled() and (bug := task.exception()):
            # Its delivery is sent again once the lease has ended.
            log.error("webhook_attempt_broke", exc_info=bug)

    async def _send(self, lane: Lane) -> None:
        try:
            while not self._stopping and (job := lane.next(monotonic())):
                told = await self._attempt(lane, job)
                lane.learn(told.outcome, monotonic())
                self._recorder.tell(lane, told)
                self._staff(lane)
                if lane.low:
                    self._wake.set()
        finally:
            lane.running -= 1
            self._recorder.wake()

    async def _attempt(self, lane: Lane, job: Job) -> Told:
        started_at, began_s = self._clock.now(), monotonic()
        signed = signing.headers(lane.keys, job.message_id, int(started_at.timestamp()), job.body)
        try:
            answer = await self._poster.post(lane.url, HEADERS | signed, job.body)
            outcome = judge(answer.status, answer.body, answer.retry_after, self._clock.now())
        except NotAnswered as why:
            outcome = Outcome(None, str(why))
        except asyncio.CancelledError:
            if not self._stopping:
                raise
            outcome = Outcome(None, STOPPED, ours=True)
        verdict = decide(job.attempts + 1, outcome, random.uniform(-1, 1))  # noqa: S311
        took_ms = int((monotonic() - began_s) * 1000)
        figures.note_attempt(outcome, verdict, took_ms / 1000, self._clock.now() - job.event_at)
        return Told(
            delivery_id=job.delivery_id,
            endpoint_id=lane.endpoint_id,
            lease=job.lease,
            started_at=started_at,
            took_ms=took_ms,
            outcome=outcome,
            verdict=verdict,
        )

    def _freed(self, lane: Lane) -> None:
        """What it held is written down."""
        if not lane.held and lane.well(monotonic()):
            self._lanes.pop(lane.endpoint_id, None)
        elif lane.low:
            self._wake.set()


def _body(due: Due) -> bytes:
    told = envelope.envelope(
        *(due.event_id, due.event_type, due.created_at, due.sequence, due.data)
    )
    return envelope.body(told)
