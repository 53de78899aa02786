"""How old the secrets are that clients sign their requests with."""

from datetime import datetime

from rewards.clients.sql_signing import Signing, oldest_signing
from rewards.infra.db import Tx


async def oldest(tx: Tx, since: datetime, limit: int) -> list[Signing]:
    """Credentials that sign with the same secret since then or before; oldest first, so many.

    One that is revoked, or need not sign, is none of them.
    """
    return await oldest_signing(tx, since, limit)
