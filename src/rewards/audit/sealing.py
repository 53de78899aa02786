"""Seals the audit trail: every committed entry gets its place in the chain (spec.md §8, I20).

Nothing that writes an entry waits for it; a transaction that commits late is sealed late, behind
what was sealed before (docs/adr/0025).
"""

from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rewards.audit import sql_chain as sql
from rewards.audit.model_chain import KEY_PURPOSE, next_seal, signing_key
from rewards.core.clock import Clock
from rewards.infra import sealing
from rewards.infra.crypto import Vault
from rewards.infra.db import Database, Tx
from rewards.infra.sql_sealing import Look

# Seals never go back in time: a clock that is far ahead for a moment would hold all later ones
# there, and no export by time would find them. Further than this the database's is believed.
AHEAD_MAX = timedelta(minutes=1)


def key_of(vault: Vault) -> Ed25519PrivateKey:
    """What the trail of this deployment is signed with, the same for ever."""
    return signing_key(vault.mac_key(KEY_PURPOSE))


class AuditSealer(sealing.Sealer):
    """A round makes one seal at most; `Sealed.made` counts it."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        key: Ed25519PrivateKey,
        *,
        batch_max: int = sealing.BATCH_MAX,
        ahead_max: timedelta = AHEAD_MAX,
    ) -> None:
        super().__init__(db, clock, sql.ENTRIES, batch_max=batch_max)
        self._key = key
        self._ahead_max = ahead_max

    async def place(self, tx: Tx, look: Look) -> int:
        head = await sql.head(tx)
        at = min(self._clock.now(), await sql.latest(tx, self._ahead_max))
        seal = next_seal(head, look.told["digests"], at, self._key)
        await sql.place(tx, look, seal)
        return 1
