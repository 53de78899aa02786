"""Tells staff of alerts: each telling is leased, tried, and put down; tried again when it fails.

A webhook hears of each by itself. Of what begins or ends together each person gets one mail: a part
that fails may raise an alert for each shelf or endpoint there is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from uuid import uuid4

import structlog

from rewards.alerts import letters, sql
from rewards.alerts.model import Channel, Target, Telling, TellingState, What, again_s
from rewards.core.clock import Clock
from rewards.infra.db import Database, Tx
from rewards.infra.metrics import Counter
from rewards.infra.outbound import NotAnswered, Poster
from rewards.infra.settings import Settings
from rewards.notices.catalogue import FALLBACK, words_of
from rewards.notices.composing import PLATFORM_ACCENT
from rewards.notices.model import Outcome
from rewards.notices.relay import Envelope, Relay
from rewards.notices.rendering import Heading, Look, render
from rewards.webhooks import signing

log = structlog.get_logger()

# Few, so that what a killed process held is soon told by another.
BATCH_MAX = 4
# In one mail.
TOGETHER_MAX = 100
ROUND_MAX = 100
HEADERS = {"Content-Type": "application/json", "User-Agent": "Starship-Rewards-Alerts/1"}
# Longer than a batch takes when everybody is as slow as may be.
LEASE_SLACK_S = 60.0
NO_RELAY = "there is no mail relay"
NO_URL = "there is no webhook any more"

TELLINGS = Counter(
    "alert_tellings_total", "Attempts to tell staff of an alert.", "channel", "state"
)


def targets(settings: Settings) -> list[Target]:
    """Whom the settings name."""
    found = [Target(Channel.MAIL, address) for address in settings.alert_mail_to]
    if settings.alert_webhook_url.get_secret_value():
        found.append(Target(Channel.WEBHOOK))
    return found


@dataclass(frozen=True, slots=True)
class Teller:
    """One a process. What fails is tried again by whoever comes first, for about a day."""

    db: Database
    clock: Clock
    settings: Settings
    poster: Poster
    relay: Relay | None

    async def tell_due(self) -> int:
        """Tell what is due; how many attempts that were."""
        count = 0
        for _ in range(ROUND_MAX):
            taken = await self._take()
            if not taken:
                break
            if taken[0].target.channel is Channel.MAIL:
                await self._put_down(taken, await self._mail(taken))
            else:
                for telling in taken:
                    await self._put_down([telling], await self._post(telling))
            count += len(taken)
        return count

    async def _take(self) -> list[Telling]:
        slowest_s = self.settings.mail_connect_s + self.settings.mail_timeout_s
        lease_s = BATCH_MAX * max(slowest_s, self.poster.total_s) + LEASE_SLACK_S
        lease = uuid4()

        async def work(tx: Tx) -> list[Telling]:
            return await sql.take(tx, lease, lease_s, BATCH_MAX, TOGETHER_MAX)

        return await self.db.run(work)

    async def _mail(self, told: Sequence[Telling]) -> str | None:
        """Why it did not arrive; None where it did."""
        if self.relay is None:
            return NO_RELAY
        chosen, telling = self.settings, told[0]
        at = _happened_at(telling)
        domain = chosen.mail_from.rpartition("@")[2]
        content = render(
            letters.letter([each.alert for each in told], telling.what),
            Look(chosen.mail_from_name, PLATFORM_ACCENT),
            words_of(FALLBACK),
            Heading(
                *(chosen.mail_from_name, chosen.mail_from, None, telling.target.address),
                f"<{letters.message_id(telling.alert, telling.what)}.{_mark(told)}@{domain}>",
                at,
            ),
        )
        async with self.relay.line() as line:
            reply = await line.send(Envelope(chosen.mail_from, telling.target.address, content))
        if reply.outcome is Outcome.ACCEPTED:
            return None
        return " ".join(str(part) for part in (reply.outcome, reply.stage, reply.code) if part)

    async def _post(self, telling: Telling) -> str | None:
        """Why it did not arrive; None where it did."""
        url = self.settings.alert_webhook_url.get_secret_value()
        if not url:
            return NO_URL
        raw = letters.body(telling.alert, telling.what)
        secret = self.settings.alert_webhook_secret.get_secret_value()
        signed = signing.headers(
            [signing.key_of(secret)],
            letters.message_id(telling.alert, telling.what),
            int(self.clock.now().timestamp()),
            raw,
        )
        try:
            answer = await self.poster.post(url, HEADERS | signed, raw)
        except NotAnswered as why:
            return str(why)
        return None if 200 <= answer.status < 300 else f"answered {answer.status}"

    async def _put_down(self, told: Sequence[Telling], problem: str | None) -> None:
        ended = [_ended(telling, problem) for telling in told]
        TELLINGS.add(told[0].target.channel, "sent" if problem is None else "failed")

        async def work(tx: Tx) -> None:
            await sql.settle(tx, ended, problem, self.clock.now())

        await self.db.run(work)


def _ended(telling: Telling, problem: str | None) -> tuple[Telling, TellingState, float]:
    """What becomes of it, and in how many seconds it is tried again."""
    if problem is None:
        return telling, TellingState.SENT, 0.0
    later_s = again_s(telling.attempts)
    say = log.error if later_s is None else log.warning
    say(
        "alert_not_told",
        alert_id=telling.alert.id,
        channel=telling.target.channel,
        attempt=telling.attempts,
        problem=problem,
    )
    state = TellingState.FAILED if later_s is None else TellingState.QUEUED
    return telling, state, later_s or 0.0


def _mark(told: Sequence[Telling]) -> str:
    """The same at every attempt that tells the same; what tells more is another mail to whoever
    drops what came before."""
    ids = ",".join(str(telling.id) for telling in told)
    return sha256(ids.encode()).hexdigest()[:16]


def _happened_at(telling: Telling) -> datetime:
    """What stands in the mail is the same at every attempt."""
    alert = telling.alert
    at = alert.cleared_at if telling.what is What.CLEARED else alert.raised_at
    assert at is not None, "what is told as cleared is cleared"
    return at


def check(settings: Settings) -> None:
    """Raises ValueError, when a process starts, for a webhook that could not be signed."""
    if settings.alert_webhook_url.get_secret_value():
        signing.key_of(settings.alert_webhook_secret.get_secret_value())
