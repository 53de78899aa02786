"""Stories of alerts: what is wrong is told once and so is its end; a process that beats."""

import base64
import itertools
from collections.abc import Sequence
from typing import Any

from pydantic import SecretStr

from rewards.entry.alerting import watch_of
from rewards.infra.beats import Heart, ProcessKind
from tests.failpoints.story import Step, Story
from tests.failpoints.town import Process
from tests.notices.postoffice import text_of

PERSON = "night@staff.example"
SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
HOOK = "alerts"
_numbers = itertools.count(50_000)

DRIFT = """
WITH run AS (
    INSERT INTO reconciliation_runs (day, vendor_id, state, phase, next_at, started_at, ended_at)
    VALUES ('2000-01-02', $1, 'DONE', 'UNITS', now(), now(), now()) RETURNING id
)
INSERT INTO drifts (run_id, day, vendor_id, kind, subject_kind, subject, ours, theirs, found_at)
SELECT id, '2000-01-02', $1, 'UNKNOWN_TO_US', 'order', '1', '{}', '{}', now() FROM run
"""


class AlertTold(Story):
    """Raised, told, cleared, told: by whoever has the turn, each at least once and noted once."""

    own = ("commit alerts.",)

    async def begin(self) -> None:
        self.vendor_id = next(_numbers)
        await self.town.value(DRIFT, self.vendor_id)

    def steps(self) -> Sequence[Step]:
        return [self.look, self.heal, self.look]

    async def heal(self) -> None:
        await self.town.value("DELETE FROM drifts WHERE vendor_id = $1", self.vendor_id)

    async def look(self) -> None:
        await self.look_by(self.town.mine)

    async def look_by(self, process: Process) -> None:
        town = self.town
        await town.value("UPDATE alert_watch SET next_at = now()")
        settings = town.settings.model_copy(
            update={
                "alert_mail_to": (PERSON,),
                "alert_webhook_url": SecretStr(town.receiver.url(HOOK)),
                "alert_webhook_secret": SecretStr(SECRET),
            }
        )
        parts = process.parts
        async with watch_of(parts.db, settings, town.clock, parts.restocks) as watch:
            await watch.step()

    async def rows(self) -> list[dict[str, Any]]:
        return await self.town.rows(
            "SELECT a.id, a.cleared_at, t.what, t.channel, t.state, t.attempts"
            " FROM alerts AS a LEFT JOIN alert_tellings AS t ON t.alert_id = a.id"
            " WHERE a.kind = 'DRIFT_FOUND' AND a.subject = $1 ORDER BY t.id",
            f"vendor {self.vendor_id}",
        )

    async def settled(self) -> bool:
        found = await self.rows()
        if found and all(row["cleared_at"] and row["state"] == "SENT" for row in found):
            return True
        await self.look_by(self.town.other)
        return False

    async def check(self) -> None:
        found = await self.rows()
        [alert_id] = {row["id"] for row in found}
        assert sorted((row["what"], row["channel"]) for row in found) == [
            ("CLEARED", "MAIL"),
            ("CLEARED", "WEBHOOK"),
            ("RAISED", "MAIL"),
            ("RAISED", "WEBHOOK"),
        ]
        heard = self.town.receiver.ids(HOOK)
        # One mail may tell of others that began or ended with it; a long subject begins folded.
        mails = [
            str(mail["Subject"]).strip()
            for mail in self.town.office.taken
            if mail["To"] == PERSON and f"vendor {self.vendor_id}" in text_of(mail)
        ]
        for what, word in (("raised", "Alert:"), ("cleared", "Cleared:")):
            name = f"alert_{alert_id}_{what}"
            told = [heard.count(name), sum(mail.startswith(word) for mail in mails)]
            assert all(count >= 1 for count in told), told
            if self.strike is None:
                assert told == [1, 1]


class HeartBeats(Story):
    """A process says that it is there, and goodbye."""

    own = ("commit infra.beats",)

    async def begin(self) -> None:
        self.said: list[Any] = []

    def steps(self) -> Sequence[Step]:
        return [self.live]

    async def live(self) -> None:
        heart = Heart(self.town.mine.parts.db, ProcessKind.WORKER)
        self.said.append(heart._me[0])
        await heart.beat()
        await heart.beat(stopped=True)

    async def check(self) -> None:
        [row] = await self.town.rows(
            "SELECT stopped_at FROM process_beats WHERE id = $1", self.said[-1]
        )
        assert row["stopped_at"] is not None


ALERT_STORIES = (AlertTold, HeartBeats)
