"""Webhooks of clients, as staff see them, change them and send their deliveries again."""

from typing import Any

from litestar import Request, Response, Router, delete, get, patch, post
from litestar.params import FromPath

from rewards.clients.model import ClientNotFound
from rewards.infra.http import (
    decode,
    encode,
    one_of,
    page_answer,
    page_ask,
    path_id,
)
from rewards.infra.openapi import answers, asks, choice, takes
from rewards.infra.query import yes_or_no
from rewards.staff.auth import caller, requires
from rewards.staff.given import GivenDatabase, GivenWebhooks
from rewards.staff.model import Permission
from rewards.webhooks import endpoints
from rewards.webhooks.acts import Whose
from rewards.webhooks.answering import deliveries_answer, webhooks_answer
from rewards.webhooks.envelope import message_id
from rewards.webhooks.model import DeliveryNotFound, Endpoint, EndpointStatus, EventType
from rewards.webhooks.model_endpoints import WebhookNotFound
from rewards.webhooks.shapes import (
    DELIVERY_QUERY,
    LIST_DEFAULT,
    LIST_MAX,
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
    columns,
)

READ = [requires(Permission.WEBHOOKS_READ)]
SEND = [requires(Permission.WEBHOOKS_SEND)]
WRITE = [requires(Permission.WEBHOOKS_WRITE)]
# Their answers show a secret.
ISSUE = [requires(Permission.CREDENTIALS_ISSUE, proof=True)]


def _whose(request: Request[Any, Any, Any], client_id: str) -> Whose:
    return Whose(path_id(client_id, ClientNotFound), caller(request).actor)


class ClientsWebhookOut(WebhookOut):
    """A webhook, and whose it is."""

    client_id: int

    @classmethod
    def of(cls, endpoint: Endpoint) -> "ClientsWebhookOut":
        return cls(*(*columns(endpoint), endpoint.client_id))


@get(
    "/admin/api/v1/webhooks",
    operation_id="findWebhooks",
    guards=READ,
    operation_class=asks(
        PAGE_QUERY
        | {
            "status": choice(EndpointStatus, "In this state, in any case"),
            "failing": {
                "type": "boolean",
                "description": "true: those to which nothing gets through",
            },
        }
    ),
    responses=answers(list[ClientsWebhookOut], 400, 401, 403),
)
async def find_webhooks(request: Request[Any, Any, Any], db: GivenDatabase) -> Response[bytes]:
    """Webhooks of all clients by id, such as those that were disabled, or fail.

    `status`, `failing`; `page`, `limit` (50, max 500).
    """
    query = request.query_params
    ask = page_ask(query.get("page"), query.get("limit"), default=LIST_DEFAULT, maximum=LIST_MAX)
    status = one_of("Status", EndpointStatus, query.get("status"))
    failing = yes_or_no("Failing", query.get("failing"))
    async with db.connection() as connection:
        page = await endpoints.list_all(connection, ask, status=status, failing=failing)
    return page_answer(request, page, [ClientsWebhookOut.of(each) for each in page.items])


@get(
    "/",
    operation_id="listClientWebhooks",
    guards=READ,
    operation_class=asks(PAGE_QUERY),
    responses=answers(list[WebhookOut], 400, 401, 403, 404),
)
async def list_webhooks(
    request: Request[Any, Any, Any], webhooks: GivenWebhooks, client_id: FromPath[str]
) -> Response[bytes]:
    """A client's webhooks by id, disabled ones too; `page`, `limit` (50, max 500)."""
    return await webhooks_answer(request, webhooks, _whose(request, client_id))


@post(
    "/",
    status_code=201,
    operation_id="createClientWebhook",
    guards=ISSUE,
    operation_class=takes(NewWebhookIn, needs=("url",)),
    responses=answers(NewWebhookOut, 400, 401, 403, 404, 409, status=201, told="Created"),
)
async def create_webhook(
    request: Request[Any, Any, Any], webhooks: GivenWebhooks, client_id: FromPath[str]
) -> Response[bytes]:
    """Have a client's events sent to a URL. The secret is shown here and never again."""
    whose = _whose(request, client_id)
    new = decode(NEW_WEBHOOK, await request.body()).read(whose.client_id)
    return encode(NewWebhookOut.of_shown(await webhooks.create(whose, new)), 201)


@get(
    "/{webhook_id:str}",
    operation_id="getClientWebhook",
    guards=READ,
    responses=answers(WebhookOut, 401, 403, 404),
)
async def get_webhook(
    request: Request[Any, Any, Any],
    webhooks: GivenWebhooks,
    client_id: FromPath[str],
    webhook_id: FromPath[str],
) -> Response[bytes]:
    """One webhook; a disabled one says why and since when."""
    whose, number = _whose(request, client_id), path_id(webhook_id, WebhookNotFound)
    return encode(WebhookOut.of(await webhooks.read(whose, number)))


@patch(
    "/{webhook_id:str}",
    operation_id="changeClientWebhook",
    guards=WRITE,
    operation_class=takes(WebhookChangeIn),
    responses=answers(WebhookOut, 400, 401, 403, 404, 409),
)
async def change_webhook(
    request: Request[Any, Any, Any],
    webhooks: GivenWebhooks,
    client_id: FromPath[str],
    webhook_id: FromPath[str],
) -> Response[bytes]:
    """Change where it goes, what it is told of, or whether it is; the client may change it back."""
    body = decode(WEBHOOK_CHANGE, await request.body())
    whose, number = _whose(request, client_id), path_id(webhook_id, WebhookNotFound)
    return encode(WebhookOut.of(await webhooks.change(whose, number, body.read())))


@delete(
    "/{webhook_id:str}",
    status_code=204,
    operation_id="deleteClientWebhook",
    guards=WRITE,
    responses=answers(None, 401, 403, 404, status=204, told="Deleted"),
)
async def delete_webhook(
    request: Request[Any, Any, Any],
    webhooks: GivenWebhooks,
    client_id: FromPath[str],
    webhook_id: FromPath[str],
) -> None:
    """Send nothing there any more, and give up what waits."""
    whose, number = _whose(request, client_id), path_id(webhook_id, WebhookNotFound)
    await webhooks.delete(whose, number)


@post(
    "/{webhook_id:str}/test",
    status_code=202,
    operation_id="testClientWebhook",
    guards=SEND,
    responses=answers(TestedOut, 401, 403, 404, 409, status=202, told="On its way"),
)
async def send_test(
    request: Request[Any, Any, Any],
    webhooks: GivenWebhooks,
    client_id: FromPath[str],
    webhook_id: FromPath[str],
) -> Response[bytes]:
    """Send it a `webhook.test`, the way every event goes."""
    whose, number = _whose(request, client_id), path_id(webhook_id, WebhookNotFound)
    event_id = await webhooks.send_test(whose, number)
    return encode(TestedOut(number, message_id(event_id), EventType.WEBHOOK_TEST), 202)


@post(
    "/{webhook_id:str}/rotate-secret",
    status_code=200,
    operation_id="rotateClientWebhookSecret",
    guards=ISSUE,
    operation_class=takes(RotateIn, required=False),
    responses=answers(NewSecretOut, 400, 401, 403, 404, 409),
)
async def rotate_secret(
    request: Request[Any, Any, Any],
    webhooks: GivenWebhooks,
    client_id: FromPath[str],
    webhook_id: FromPath[str],
) -> Response[bytes]:
    """Replace the secret, shown here and never again; for 24 hours the one before signs too.

    `revoke_previous` ends the one before at once.
    """
    body = decode(ROTATE, await request.body() or b"{}")
    whose, number = _whose(request, client_id), path_id(webhook_id, WebhookNotFound)
    shown = await webhooks.rotate_secret(whose, number, revoke_previous=body.revoke_previous)
    return encode(NewSecretOut.of(shown))


@get(
    "/{webhook_id:str}/deliveries",
    operation_id="listClientWebhookDeliveries",
    guards=READ,
    operation_class=asks(DELIVERY_QUERY),
    responses=answers(list[DeliveryOut], 400, 401, 403, 404),
)
async def list_deliveries(
    request: Request[Any, Any, Any],
    webhooks: GivenWebhooks,
    client_id: FromPath[str],
    webhook_id: FromPath[str],
) -> Response[bytes]:
    """What was sent there, or is to be, newest first.

    `status`, `event`, `from`, `to`; `limit` (50, at most 500); `cursor` from `X-Next-Cursor`.
    """
    whose = _whose(request, client_id)
    return await deliveries_answer(request, webhooks, whose, webhook_id)


@post(
    "/{webhook_id:str}/recover",
    status_code=202,
    operation_id="recoverClientWebhook",
    guards=SEND,
    operation_class=takes(RecoverIn, needs=("since",)),
    responses=answers(RecoveredOut, 400, 401, 403, 404, 409, status=202, told="On their way"),
)
async def recover_webhook(
    request: Request[Any, Any, Any],
    webhooks: GivenWebhooks,
    client_id: FromPath[str],
    webhook_id: FromPath[str],
) -> Response[bytes]:
    """Send everything since a time that it has not received; asking twice sends nothing twice."""
    since = decode(RECOVER, await request.body()).read()
    whose, number = _whose(request, client_id), path_id(webhook_id, WebhookNotFound)
    done = await webhooks.recover(whose, number, since)
    return encode(RecoveredOut.of(number, done), 202)


@get(
    "/deliveries/{delivery_id:str}",
    operation_id="getClientWebhookDelivery",
    guards=READ,
    responses=answers(DeliveryInFullOut, 401, 403, 404),
)
async def get_delivery(
    request: Request[Any, Any, Any],
    webhooks: GivenWebhooks,
    client_id: FromPath[str],
    delivery_id: FromPath[str],
) -> Response[bytes]:
    """One delivery: what is sent, and what each attempt met."""
    whose, number = _whose(request, client_id), path_id(delivery_id, DeliveryNotFound)
    return encode(DeliveryInFullOut.of_told(await webhooks.read_delivery(whose, number)))


@post(
    "/deliveries/{delivery_id:str}/redeliver",
    status_code=202,
    operation_id="redeliverClientWebhookDelivery",
    guards=SEND,
    responses=answers(DeliveryOut, 401, 403, 404, 409, status=202, told="On its way"),
)
async def redeliver(
    request: Request[Any, Any, Any],
    webhooks: GivenWebhooks,
    client_id: FromPath[str],
    delivery_id: FromPath[str],
) -> Response[bytes]:
    """Send it again, whatever became of it: the same event, under the same `webhook-id`."""
    whose, number = _whose(request, client_id), path_id(delivery_id, DeliveryNotFound)
    return encode(DeliveryOut.of(await webhooks.redeliver(whose, number)), 202)


OF_A_CLIENT = Router(
    path="/admin/api/v1/clients/{client_id:str}/webhooks",
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
)
ROUTER = Router(path="/", tags=["Webhooks (staff)"], route_handlers=[find_webhooks, OF_A_CLIENT])
