"""Endpoints in trouble are told to their client's contacts, once each time."""

from datetime import timedelta
from typing import Any

import pytest

from rewards.notices.model import NoticeKind
from tests.notices.mailroom import CONTACT, Mailroom
from tests.notices.postoffice import PostOffice, text_of

URL = "https://hooks.client.example/in?token=hush"
ADD = """
INSERT INTO webhook_endpoints (client_id, name, url, secret, status, disabled_reason, disabled_at,
    failing_since, created_at, updated_at)
VALUES ($1, 'Orders', $2, 'x', $3, $4, $5, $6, $7, $7) RETURNING id
"""


async def endpoint(
    room: Mailroom, *, reason: str | None = None, hours: float | None = None, **facts: Any
) -> int:
    """One that was switched off an hour ago for this reason, or fails for so many hours."""
    client_id = await room.shop.client()
    await room.configure(client_id, contacts=(CONTACT,), **facts)
    now = room.shop.now
    async with room.shop.parts.db.transaction() as tx:
        number = await tx.fetchval(
            ADD,
            *(client_id, URL, "DISABLED" if reason else "ENABLED", reason),
            now - timedelta(hours=1) if reason else None,
            None if hours is None else now - timedelta(hours=hours),
            now,
        )
    return int(number)


async def look(room: Mailroom) -> None:
    await room.tasks.read_endpoints()
    await room.tasks.send()


@pytest.mark.parametrize(
    ("reason", "hours", "subject", "words"),
    [
        (None, 2, "is failing", "We keep trying"),
        ("FAILING", 120, "was switched off", "Nothing got through"),
        ("GONE", None, "was switched off", "410"),
        ("CREDENTIAL_REVOKED", None, "was switched off", "was revoked"),
    ],
)
async def test_trouble_is_told_once(
    room: Mailroom,
    office: PostOffice,
    reason: str | None,
    hours: float | None,
    subject: str,
    words: str,
) -> None:
    await endpoint(room, reason=reason, hours=hours)
    await look(room)
    await look(room)
    [mail] = office.taken
    assert mail["To"] == CONTACT
    assert subject in mail["Subject"] and "hooks.client.example" in mail["Subject"]
    assert words in text_of(mail)
    # What stands behind the host may be a secret.
    assert "hush" not in mail.as_string()
    async with room.shop.parts.db.connection() as connection:
        rows = await connection.fetch("SELECT n::text AS row FROM notices AS n")
    assert all("hush" not in row["row"] for row in rows)
    assert await room.shop.broken() == {}


@pytest.mark.parametrize(
    ("reason", "hours"), [("CLIENT", None), ("STAFF", 50), (None, 0.5), (None, None), (None, 200)]
)
async def test_what_is_no_news_is_not_told(
    room: Mailroom, office: PostOffice, reason: str | None, hours: float | None
) -> None:
    await endpoint(room, reason=reason, hours=hours)
    await look(room)
    assert office.taken == []


async def test_one_that_failed_and_is_then_switched_off_is_told_of_twice(
    room: Mailroom, office: PostOffice
) -> None:
    number = await endpoint(room, hours=100)
    await look(room)
    async with room.shop.parts.db.transaction() as tx:
        await tx.execute(
            "UPDATE webhook_endpoints SET status = 'DISABLED', disabled_reason = 'FAILING',"
            " disabled_at = now() WHERE id = $1",
            number,
        )
    await look(room)
    kinds = [notice.kind for notice in await room.notices()]
    assert kinds == [NoticeKind.ENDPOINT_FAILING, NoticeKind.ENDPOINT_DISABLED]
    assert len(office.taken) == 2


async def test_one_that_was_deleted_or_muted_is_not_told(
    room: Mailroom, office: PostOffice
) -> None:
    gone = await endpoint(room, reason="GONE")
    await endpoint(room, reason="GONE", muted=(NoticeKind.ENDPOINT_DISABLED,))
    async with room.shop.parts.db.transaction() as tx:
        await tx.execute("UPDATE webhook_endpoints SET deleted_at = now() WHERE id = $1", gone)
    await look(room)
    assert await room.notices() == []
