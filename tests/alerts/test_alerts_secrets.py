"""Secrets that clients sign with for too long: whose each is, and what ends its alert."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from rewards.alerts import readings
from rewards.alerts.model import AlertKind
from rewards.clients import service as clients
from rewards.clients.model import NewCredential
from rewards.core.actor import SYSTEM
from rewards.members import acts
from tests.alerts.lookout import Lookout, open_lookout
from tests.notices.postoffice import text_of

# Longer than the 730 days of the setting.
OLD = timedelta(days=731)


async def issued(lookout: Lookout, client_id: int, age: timedelta = OLD, **wanted: bool) -> int:
    """A key whose requests must be signed, made so long ago."""
    parts = lookout.shop.parts
    ask = NewCredential(client_id, **{"signing_required": True, **wanted})
    async with parts.db.transaction() as tx:
        [made] = await clients.issue_credentials(
            tx, parts.vault, parts.settings, [ask], lookout.shop.now - age
        )
    return made.id


async def rotate(lookout: Lookout, client_id: int, credential_id: int, at: datetime) -> None:
    """What the routes of staff and of the client's own people do."""
    parts = lookout.shop.parts
    async with parts.db.transaction() as tx:
        await acts.rotate_signing_secret(tx, parts.vault, client_id, credential_id, SYSTEM, at)


async def told(lookout: Lookout) -> Mapping[str, Mapping[str, object]]:
    """The facts of what is open, by its subject."""
    await lookout.look()
    found = await lookout.alerts(AlertKind.KEY_NEAR_END, still=True)
    return {alert.subject: alert.facts for alert in found}


def named(credential_id: int, client_id: int) -> str:
    return f"credential {credential_id} of client {client_id}"


async def test_each_is_told_of_by_itself_until_it_is_rotated(lookout: Lookout) -> None:
    first, second = await lookout.shop.client(), await lookout.shop.client()
    one = await issued(lookout, first)
    assert list(await told(lookout)) == [named(one, first)]
    # The other's crossing is news while the first one's is open.
    other = await issued(lookout, second)
    facts = await told(lookout)
    assert set(facts) == {named(one, first), named(other, second)}
    assert facts[named(other, second)]["client_id"] == second
    mail = lookout.mails()[-1]
    assert mail["Subject"] == f"Alert: A key nears its end ({named(other, second)})"
    assert f"credential {other}" in text_of(mail)
    await rotate(lookout, first, one, lookout.shop.now)
    assert list(await told(lookout)) == [named(other, second)]
    assert lookout.mails()[-1]["Subject"].startswith("Cleared: ")
    # One that was rotated long ago is as old as that.
    await rotate(lookout, second, other, lookout.shop.now - OLD + timedelta(days=2))
    assert await told(lookout) == {}


async def test_what_signs_nothing_has_none(lookout: Lookout) -> None:
    client_id = await lookout.shop.client()
    await issued(lookout, client_id, signing_required=False)
    await issued(lookout, client_id, OLD - timedelta(days=2))
    assert await told(lookout) == {}
    ended = await issued(lookout, client_id)
    assert list(await told(lookout)) == [named(ended, client_id)]
    async with lookout.shop.parts.db.transaction() as tx:
        await clients.revoke_credential(tx, ended, lookout.shop.now)
    assert await told(lookout) == {}


async def test_the_oldest_are_told_of_where_there_are_too_many(
    lookout: Lookout, monkeypatch: pytest.MonkeyPatch
) -> None:
    client_id = await lookout.shop.client()
    ages = [OLD + timedelta(days=days) for days in (0, 3, 2)]
    keys = [await issued(lookout, client_id, age) for age in ages]
    monkeypatch.setattr(readings, "READINGS_MAX", 2)
    assert set(await told(lookout)) == {named(each, client_id) for each in keys[1:]}
    # Of those that are not looked at nobody knows whether they are well.
    await issued(lookout, client_id, OLD + timedelta(days=9))
    assert set(await told(lookout)) >= {named(each, client_id) for each in keys[1:]}


async def test_nobody_is_told_where_no_age_is_set(dsn: str, tmp_path: Path) -> None:
    async with open_lookout(dsn, tmp_path, alert_secret_age_days=0) as lookout:
        await issued(lookout, await lookout.shop.client())
        assert await told(lookout) == {}
