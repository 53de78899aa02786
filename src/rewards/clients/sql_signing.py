"""How old the secrets are that clients sign with."""

from dataclasses import dataclass
from datetime import datetime

from rewards.infra.db import Tx

OLDEST = """
SELECT k.id AS credential_id, k.name, k.client_id, c.name AS client,
       k.signing_secret_set_at AS set_at
FROM credentials AS k JOIN clients AS c ON c.id = k.client_id
WHERE k.revoked_at IS NULL AND k.signing_required AND k.signing_secret_set_at <= $1
ORDER BY k.signing_secret_set_at, k.id LIMIT $2
"""


@dataclass(frozen=True, slots=True)
class Signing:
    """A credential that signs, whose it is, and since when it has its secret."""

    credential_id: int
    # What it is for, in its owner's words.
    name: str | None
    client_id: int
    client: str
    set_at: datetime


async def oldest_signing(tx: Tx, since: datetime, limit: int) -> list[Signing]:
    return [Signing(**dict(row)) for row in await tx.fetch(OLDEST, since, limit)]
