"""How far the data keys in use are worn: how much each has sealed, and how old it is."""

from dataclasses import dataclass

from rewards.infra.crypto import SEALS_MAX
from rewards.infra.db import Tx

# The key of MACs seals nothing and is never changed.
READ = """
SELECT id, purpose, seals, extract(epoch FROM now() - created_at)::float8 / 86400 AS age_days
FROM data_keys WHERE retired_at IS NULL AND purpose <> 'macs' ORDER BY id
"""


@dataclass(frozen=True, slots=True)
class KeyUse:
    """A data key that seals now."""

    id: int
    purpose: str
    seals: int
    age_days: float

    @property
    def used_percent(self) -> float:
        """Of all that it may ever seal."""
        return 100 * self.seals / SEALS_MAX


async def read(tx: Tx) -> list[KeyUse]:
    """As processes last reported it."""
    return [KeyUse(**dict(row)) for row in await tx.fetch(READ)]
