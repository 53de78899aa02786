"""Answers to lists of webhooks and deliveries, the same for a client and for staff."""

from typing import Any

from litestar import Request, Response

from rewards.infra.http import cursor_answer, page_answer, page_ask, path_id, whole
from rewards.webhooks.acts import Webhooks, Whose
from rewards.webhooks.model_endpoints import WebhookNotFound
from rewards.webhooks.shapes import (
    LIST_DEFAULT,
    LIST_MAX,
    DeliveryOut,
    WebhookOut,
    delivery_filter,
)


async def webhooks_answer(
    request: Request[Any, Any, Any], webhooks: Webhooks, whose: Whose
) -> Response[bytes]:
    """A page of the client's webhooks, as a query of PAGE_QUERY asks for it."""
    query = request.query_params
    ask = page_ask(query.get("page"), query.get("limit"), default=LIST_DEFAULT, maximum=LIST_MAX)
    page = await webhooks.list_of_client(whose, ask)
    return page_answer(request, page, [WebhookOut.of(each) for each in page.items])


async def deliveries_answer(
    request: Request[Any, Any, Any], webhooks: Webhooks, whose: Whose, webhook_id: str
) -> Response[bytes]:
    """A page of a webhook's deliveries, as a query of DELIVERY_QUERY asks for it."""
    query = request.query_params
    narrow, number = delivery_filter(query), path_id(webhook_id, WebhookNotFound)
    limit = whole("Limit", query.get("limit"), default=LIST_DEFAULT, maximum=LIST_MAX)
    page = await webhooks.list_deliveries(
        whose, number, narrow, after=query.get("cursor"), limit=limit
    )
    shown = [DeliveryOut.of(each) for each in page.deliveries]
    return cursor_answer(request, shown, limit, page.following)
