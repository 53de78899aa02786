"""What those who run it ask a process: whether it lives, whether it is ready, and its figures."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Response, get

from rewards.core.errors import NotFound, Unavailable
from rewards.entry.wiring import Parts
from rewards.infra.http import encode
from rewards.infra.metrics import exposition
from rewards.infra.openapi import answers
from rewards.infra.scraping import Door


class Health(msgspec.Struct):
    status: str
    time: datetime


@get("/healthz", include_in_schema=False)
async def alive() -> Response[bytes]:
    """The process answers. Says nothing of the database: restarting us would not bring it back."""
    return encode({"status": "ok"})


def ready_routes(parts: Parts) -> list[Any]:
    @get("/readyz", include_in_schema=False)
    async def ready() -> Response[bytes]:
        """Whether orders can be placed now, part by part: 503 where one is not well."""
        told = await parts.readiness.tell()
        if told.ready:
            return encode(told.body())
        return encode(told.body(), Unavailable.status, Unavailable().headers)

    @get(
        "/api/v1/status",
        operation_id="getStatus",
        summary="Get the service's status",
        tags=["Health"],
        responses=answers(Health, 503, told="Orders can be placed"),
    )
    async def status() -> Response[bytes]:
        """Public health: 200 when orders can be placed, 503 when not."""
        if not (await parts.readiness.tell()).ready:
            raise Unavailable
        return encode(Health("ok", parts.clock.now()))

    return [ready, status]


def metrics_route(parts: Parts) -> Any:
    """`/metrics` where the API listens: 404, as any path that is not there, unless it is opened."""
    door = None if parts.settings is None else Door(parts.settings)

    @get("/metrics", include_in_schema=False)
    async def metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
        """This process' figures, and those that stand in the database."""
        address = parts.proxies.address(request.scope)
        if door is None or not door.opens(address, request.headers.get("Authorization", "")):
            raise NotFound
        await parts.figures.refresh()
        text, content_type = await exposition(request.headers.get("Accept", ""))
        return Response(text, headers={"Content-Type": content_type})

    return metrics


def routes(parts: Parts) -> list[Any]:
    """For the application to mount."""
    return [alive, *ready_routes(parts), metrics_route(parts)]
