"""Every statement on clients' notice settings."""

from collections.abc import Sequence
from datetime import datetime

from rewards.infra.db import Record, Tx
from rewards.notices.model import Logo, NoticeKind, NoticeSettings

READ = """
SELECT client_id, brand_name, accent, logo_url, logo, logo_type, sender_name, sender_address,
    reply_to, footer, language, contacts, muted, changed_at
FROM notice_settings WHERE client_id = ANY($1::bigint[])
"""


async def read(tx: Tx, client_ids: Sequence[int]) -> dict[int, NoticeSettings]:
    """By client; nothing for one that never set any."""
    rows = await tx.fetch(READ, list(client_ids))
    return {row["client_id"]: _settings(row) for row in rows}


def _settings(row: Record) -> NoticeSettings:
    facts = dict(row)
    kind = facts.pop("logo_type")
    facts["logo"] = Logo(kind, row["logo"]) if kind else None
    facts["contacts"] = tuple(row["contacts"])
    facts["muted"] = tuple(map(NoticeKind, row["muted"]))
    return NoticeSettings(**facts)


PUT = """
INSERT INTO notice_settings (
    client_id, brand_name, accent, logo_url, logo, logo_type, sender_name, sender_address,
    reply_to, footer, language, contacts, muted, changed_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
ON CONFLICT (client_id) DO UPDATE SET
    brand_name = excluded.brand_name, accent = excluded.accent, logo_url = excluded.logo_url,
    logo = excluded.logo, logo_type = excluded.logo_type, sender_name = excluded.sender_name,
    sender_address = excluded.sender_address, reply_to = excluded.reply_to,
    footer = excluded.footer, language = excluded.language, contacts = excluded.contacts,
    muted = excluded.muted, changed_at = excluded.changed_at
"""


async def put(tx: Tx, chosen: NoticeSettings, at: datetime) -> None:
    logo = chosen.logo
    await tx.execute(
        PUT,
        *(chosen.client_id, chosen.brand_name, chosen.accent, chosen.logo_url),
        *(logo and logo.data, logo and logo.type, chosen.sender_name, chosen.sender_address),
        *(chosen.reply_to, chosen.footer, chosen.language, list(chosen.contacts)),
        *(list(chosen.muted), at),
    )


# A row that is not there yet gets the usual look.
PUT_RECIPIENTS = """
INSERT INTO notice_settings (client_id, accent, language, contacts, muted, changed_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (client_id) DO UPDATE SET
    contacts = excluded.contacts, muted = excluded.muted, changed_at = excluded.changed_at
"""


async def put_recipients(
    tx: Tx, client_id: int, contacts: Sequence[str], muted: Sequence[NoticeKind], at: datetime
) -> None:
    usual = NoticeSettings(client_id)
    await tx.execute(
        PUT_RECIPIENTS,
        *(client_id, usual.accent, usual.language, list(contacts), list(muted), at),
    )
