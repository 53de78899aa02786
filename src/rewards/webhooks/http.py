"""`/webhooks` of the clients' API: endpoints, their secrets, and what became of deliveries."""

from typing import Any, TypeAlias

from litestar import Request, Response, Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, SkipValidation

from rewards.clients.auth import SECURITY, actor_of, principal_of, requires
from rewards.infra.http import decode, encode, path_id
from rewards.infra.openapi import answers, asks, takes
from rewards.webhooks.acts import Webhooks, Whose
from rewards.webhooks.answering import deliveries_answer, webhooks_answer
from rewards.webhooks.envelope import message_id
from rewards.webhooks.model import DeliveryNotFound, EventType
from rewards.webhooks.model_endpoints import WebhookNotFound
from rewards.webhooks.shapes import (
    DELIVERY_QUERY,
    NEW_WEBHOOK,
    PAGE_QUERY,
    RECOVER,
    ROTATE,
    WEBHOOK_CHANGE,
    DeliveryInFullOut,
    DeliveryOut,
    NewSecretOut,
    NewWebhookIn,
    NewWebhookOut,
    RecoveredOut,
    RecoverIn,
    RotateIn,
    TestedOut,
    WebhookChangeIn,
    WebhookOut,
)

READ, WRITE = [requires("webhooks:read")], [requires("webhooks:write")]
# Provided by `entry/api.py` under this name.
GivenWebhooks: TypeAlias = NamedDependency[SkipValidation[Webhooks]]


def _whose(request: Request[Any, Any, Any]) -> Whose:
    return Whose(principal_of(request).client_id, actor_of(request))


@get(
    "/",
    operation_id="listWebhooks",
    summary="List webhooks",
    guards=READ,
    operation_class=asks(PAGE_QUERY),
    responses=answers(list[WebhookOut], 400, 401, 403, 503, told="A page of webhooks"),
)
async def list_webhooks(
    request: Request[Any, Any, Any], webhooks: GivenWebhooks
) -> Response[bytes]:
    """Your webhooks by id, disabled ones too; `page`, `limit` (50, at most 500)."""
    return await webhooks_answer(request, webhooks, _whose(request))


@post(
    "/",
    status_code=201,
    operation_id="createWebhook",
    summary="Create a webhook",
    guards=WRITE,
    operation_class=takes(NewWebhookIn, needs=("url",)),
    responses=answers(NewWebhookOut, 400, 401, 403, 404, 409, 503, status=201, told="Created"),
)
async def create_webhook(
    request: Request[Any, Any, Any], webhooks: GivenWebhooks
) -> Response[bytes]:
    """Have events sent to a URL of yours, from now on.

    The `secret` that signs them is shown here and never again; with `credential_id` it is that
    credential's signing secret. Verify every delivery as https://www.standardwebhooks.com says, or
    by `X-Signature`: the hex HMAC-SHA256 of `X-Timestamp`, a dot and the body, under the bytes that
    the secret is the base64 of behind `whsec_`. Answer 2xx within 15 seconds; what comes twice has
    the same `webhook-id`.
    """
    whose = _whose(request)
    new = decode(NEW_WEBHOOK, await request.body()).read(whose.client_id)
    return encode(NewWebhookOut.of_shown(await webhooks.create(whose, new)), 201)


@get(
    "/{webhook_id:str}",
    operation_id="getWebhook",
    summary="Get a webhook",
    guards=READ,
    responses=answers(WebhookOut, 401, 403, 404, 503, told="The webhook"),
)
async def get_webhook(
    request: Request[Any, Any, Any], webhooks: GivenWebhooks, webhook_id: FromPath[str]
) -> Response[bytes]:
    """One webhook; a disabled one says why and since when."""
    number = path_id(webhook_id, WebhookNotFound)
    return encode(WebhookOut.of(await webhooks.read(_whose(request), number)))


@patch(
    "/{webhook_id:str}",
    operation_id="changeWebhook",
    summary="Change a webhook",
    guards=WRITE,
    operation_class=takes(WebhookChangeIn),
    responses=answers(WebhookOut, 400, 401, 403, 404, 409, 503, told="The webhook as it is now"),
)
async def change_webhook(
    request: Request[Any, Any, Any], webhooks: GivenWebhooks, webhook_id: FromPath[str]
) -> Response[bytes]:
    """Change where it goes, what it is told of, or whether it is.

    While it is DISABLED nothing new is queued for it, and what waits goes on waiting. Enabled
    again, it is sent what waited; what it missed meanwhile comes with `recover`.
    """
    body = decode(WEBHOOK_CHANGE, await request.body())
    number = path_id(webhook_id, WebhookNotFound)
    return encode(WebhookOut.of(await webhooks.change(_whose(request), number, body.read())))


@delete(
    "/{webhook_id:str}",
    status_code=204,
    operation_id="deleteWebhook",
    summary="Delete a webhook",
    guards=WRITE,
    responses=answers(None, 401, 403, 404, 503, status=204, told="Deleted"),
)
async def delete_webhook(
    request: Request[Any, Any, Any], webhooks: GivenWebhooks, webhook_id: FromPath[str]
) -> None:
    """Send nothing there any more. Its deliveries are no longer shown."""
    await webhooks.delete(_whose(request), path_id(webhook_id, WebhookNotFound))


@post(
    "/{webhook_id:str}/test",
    status_code=202,
    operation_id="testWebhook",
    summary="Test a webhook",
    guards=WRITE,
    responses=answers(TestedOut, 401, 403, 404, 409, 503, status=202, told="On its way"),
)
async def send_test(
    request: Request[Any, Any, Any], webhooks: GivenWebhooks, webhook_id: FromPath[str]
) -> Response[bytes]:
    """Send it a `webhook.test`, signed and tried again like every event.

    No other webhook is sent it, whatever this one is told of; the feed of events shows it too.
    """
    number = path_id(webhook_id, WebhookNotFound)
    event_id = await webhooks.send_test(_whose(request), number)
    return encode(TestedOut(number, message_id(event_id), EventType.WEBHOOK_TEST), 202)


@post(
    "/{webhook_id:str}/rotate-secret",
    status_code=200,
    operation_id="rotateWebhookSecret",
    summary="Rotate a webhook's secret",
    guards=WRITE,
    operation_class=takes(RotateIn, required=False),
    responses=answers(NewSecretOut, 400, 401, 403, 404, 409, 503, told="The new secret"),
)
async def rotate_secret(
    request: Request[Any, Any, Any], webhooks: GivenWebhooks, webhook_id: FromPath[str]
) -> Response[bytes]:
    """Replace the secret by a new one of its own, shown here and never again.

    For 24 hours `webhook-signature` has two entries, one for each secret, and a second rotation is
    refused; `X-Signature` is made with the new one at once. `revoke_previous` is for a secret that
    leaked: it ends the old one now, also within those 24 hours.
    """
    body = decode(ROTATE, await request.body() or b"{}")
    number = path_id(webhook_id, WebhookNotFound)
    shown = await webhooks.rotate_secret(
        _whose(request), number, revoke_previous=body.revoke_previous
    )
    return encode(NewSecretOut.of(shown))


@get(
    "/{webhook_id:str}/deliveries",
    operation_id="listWebhookDeliveries",
    summary="List a webhook's deliveries",
    guards=READ,
    operation_class=asks(DELIVERY_QUERY),
    responses=answers(list[DeliveryOut], 400, 401, 403, 404, 503, told="A page of deliveries"),
)
async def list_deliveries(
    request: Request[Any, Any, Any], webhooks: GivenWebhooks, webhook_id: FromPath[str]
) -> Response[bytes]:
    """What was sent there, or is to be, newest first.

    `status`, `event`, `from`, `to`; `limit` (50, at most 500); `cursor` from `X-Next-Cursor`.
    """
    return await deliveries_answer(request, webhooks, _whose(request), webhook_id)


@post(
    "/{webhook_id:str}/recover",
    status_code=202,
    operation_id="recoverWebhook",
    summary="Recover a webhook",
    guards=WRITE,
    operation_class=takes(RecoverIn, needs=("since",)),
    responses=answers(RecoveredOut, 400, 401, 403, 404, 409, 503, status=202, told="On their way"),
)
async def recover_webhook(
    request: Request[Any, Any, Any], webhooks: GivenWebhooks, webhook_id: FromPath[str]
) -> Response[bytes]:
    """Send everything since a time that it has not received, as after an outage of yours.

    What was given up, what waits for its next attempt, and what it subscribes to but was never
    queued, such as while it was disabled: at most 2,000 of each. Asking twice sends nothing twice.
    """
    since = decode(RECOVER, await request.body()).read()
    number = path_id(webhook_id, WebhookNotFound)
    done = await webhooks.recover(_whose(request), number, since)
    return encode(RecoveredOut.of(number, done), 202)


@get(
    "/deliveries/{delivery_id:str}",
    operation_id="getWebhookDelivery",
    summary="Get a delivery",
    guards=READ,
    responses=answers(DeliveryInFullOut, 401, 403, 404, 503, told="The delivery"),
)
async def get_delivery(
    request: Request[Any, Any, Any], webhooks: GivenWebhooks, delivery_id: FromPath[str]
) -> Response[bytes]:
    """One delivery: what is sent, and what each attempt met."""
    number = path_id(delivery_id, DeliveryNotFound)
    return encode(DeliveryInFullOut.of_told(await webhooks.read_delivery(_whose(request), number)))


@post(
    "/deliveries/{delivery_id:str}/redeliver",
    status_code=202,
    operation_id="redeliverWebhookDelivery",
    summary="Send a delivery again",
    guards=WRITE,
    responses=answers(DeliveryOut, 401, 403, 404, 409, 503, status=202, told="On its way"),
)
async def redeliver(
    request: Request[Any, Any, Any], webhooks: GivenWebhooks, delivery_id: FromPath[str]
) -> Response[bytes]:
    """Send it again, whatever became of it: the same event, under the same `webhook-id`.

    Answers the delivery that does it: a new one, or the one that still waits, which is sent now.
    """
    number = path_id(delivery_id, DeliveryNotFound)
    return encode(DeliveryOut.of(await webhooks.redeliver(_whose(request), number)), 202)


ROUTER = Router(
    path="/webhooks",
    route_handlers=[
        list_webhooks,
        create_webhook,
        send_test,
        rotate_secret,
        list_deliveries,
        recover_webhook,
        get_delivery,
        redeliver,
        get_webhook,
        change_webhook,
        delete_webhook,
    ],
    security=SECURITY,
    tags=["Webhooks"],
)
