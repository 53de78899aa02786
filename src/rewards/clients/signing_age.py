"""How old the secrets are that clients sign their requests with."""

from rewards.clients.sql_signing import Signing, oldest_signing
from rewards.infra.db import Tx


async def oldest(tx: Tx) -> Signing | None:
    """How many credentials sign, and when the oldest was issued; None where none does."""
    return await oldest_signing(tx)
