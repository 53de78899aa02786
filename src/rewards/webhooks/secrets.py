"""What an endpoint's deliveries are signed with: a secret of its own, or a credential's."""

from collections.abc import Sequence
from datetime import datetime

from rewards.clients import service as clients
from rewards.clients.model import new_signing_secret
from rewards.infra.crypto import Vault
from rewards.infra.db import Tx
from rewards.webhooks import sql_endpoints
from rewards.webhooks.model_endpoints import SealedEndpoint

# Where the secrets are sealed: table and field, with the endpoint's id.
SECRET_PLACE = "webhook_endpoints.secret"  # noqa: S105
PREVIOUS_PLACE = "webhook_endpoints.previous_secret"


def new_secret(vault: Vault, endpoint_id: int) -> tuple[str, bytes]:
    """A fresh `whsec_…` to show once, and the same sealed."""
    shown, key = new_signing_secret()
    return shown, vault.seal(SECRET_PLACE, endpoint_id, key)


def seal_previous(vault: Vault, endpoint_id: int, key: bytes) -> bytes:
    return vault.seal(PREVIOUS_PLACE, endpoint_id, key)


async def signing_keys(
    tx: Tx, vault: Vault, endpoint_ids: Sequence[int], at: datetime
) -> list[tuple[bytes, ...]]:
    """The keys that sign what is sent to each endpoint at `at`: the present one first.

    Empty where there is none: the endpoint is deleted, or the credential that signs is revoked.
    Keys must not be kept longer than the change feed allows, and never logged.
    """
    found = await sql_endpoints.read_sealed(tx, endpoint_ids)
    opened = await open_keys(tx, vault, list(found.values()), at)
    keys = dict(zip(found, opened, strict=True))
    return [keys.get(endpoint_id, ()) for endpoint_id in endpoint_ids]


async def open_keys(
    tx: Tx, vault: Vault, held: Sequence[SealedEndpoint], at: datetime
) -> list[tuple[bytes, ...]]:
    """The same for endpoints that were read or locked already."""
    sealed = [part for one in held for part in (one.secret, one.previous_secret) if part]
    await vault.learn(sealed, tx)
    lent = await _lent_keys(tx, vault, held)
    keys: list[tuple[bytes, ...]] = []
    for one in held:
        endpoint = one.endpoint
        if one.secret is not None:
            present = vault.open(SECRET_PLACE, endpoint.id, one.secret)
        elif (key := lent.get(endpoint.credential_id or 0)) is not None:
            present = key
        else:
            keys.append(())
            continue
        still = endpoint.previous_until is not None and at < endpoint.previous_until
        if still and one.previous_secret is not None:
            keys.append((present, vault.open(PREVIOUS_PLACE, endpoint.id, one.previous_secret)))
        else:
            keys.append((present,))
    return keys


async def _lent_keys(
    tx: Tx, vault: Vault, held: Sequence[SealedEndpoint]
) -> dict[int, bytes | None]:
    ids = sorted({one.endpoint.credential_id for one in held if one.endpoint.credential_id})
    if not ids:
        return {}
    return dict(zip(ids, await clients.signing_keys(tx, vault, ids), strict=True))
