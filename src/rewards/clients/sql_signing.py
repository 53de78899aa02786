"""How old the secrets are that clients sign with."""

from dataclasses import dataclass
from datetime import datetime

from rewards.infra.db import Tx

OLDEST = """
SELECT count(*) AS credentials, min(created_at) AS created_at FROM credentials
WHERE revoked_at IS NULL AND signing_required
"""


@dataclass(frozen=True, slots=True)
class Signing:
    """Credentials that sign, and when the oldest of them was issued."""

    credentials: int
    created_at: datetime


async def oldest_signing(tx: Tx) -> Signing | None:
    """None where no client signs."""
    row = (await tx.fetch(OLDEST))[0]
    return Signing(**dict(row)) if row["credentials"] else None
