"""Registers the sandbox client's webhook at every start, wherever the sink listens this time."""

import base64
from datetime import datetime
from typing import Any

from rewards.core.actor import SYSTEM
from rewards.core.page import PageAsk
from rewards.infra.crypto import Vault
from rewards.infra.db import Tx
from rewards.infra.targets import Targets
from rewards.webhooks import endpoints, secrets
from rewards.webhooks.model import Endpoint, EndpointStatus
from rewards.webhooks.model_endpoints import (
    ENDPOINTS_MAX,
    EndpointChange,
    NewEndpoint,
    TooManyWebhooks,
)
from rewards.webhooks.signing import SECRET_PREFIX

NAME = "Sandbox sink"


async def register(
    tx: Tx, vault: Vault, targets: Targets, client_id: int, url: str, at: datetime
) -> dict[str, Any]:
    """The id and secret of the endpoint that brings all events to this URL.

    The one of an earlier start is sent there and enabled again, and keeps its secret. Nothing,
    where the client has as many webhooks of its own as anybody may have.
    """
    endpoint = await _known(tx, client_id)
    if endpoint is None:
        try:
            new = NewEndpoint(client_id, url, NAME)
            endpoint = (await endpoints.create(tx, vault, targets, new, SYSTEM, at)).endpoint
        except TooManyWebhooks:
            return {}
    else:
        wanted = EndpointChange(url=url, status=EndpointStatus.ENABLED)
        await endpoints.change(tx, vault, targets, client_id, endpoint.id, wanted, SYSTEM, at)
    [keys] = await secrets.signing_keys(tx, vault, [endpoint.id], at)
    return {"webhook_id": endpoint.id, "secret": SECRET_PREFIX + base64.b64encode(keys[0]).decode()}


async def _known(tx: Tx, client_id: int) -> Endpoint | None:
    held = await endpoints.list_of_client(tx, client_id, PageAsk(1, ENDPOINTS_MAX))
    return next((each for each in held.items if each.name == NAME), None)
