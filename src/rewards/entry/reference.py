"""The OpenAPI document at /openapi.json."""

from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.openapi import OpenAPIConfig

from rewards.clients.auth import SECURITY_COMPONENTS as CLIENTS
from rewards.staff.auth import SECURITY_COMPONENTS as STAFF

OPENAPI = OpenAPIConfig(
    title="Starship Rewards API",
    version="1.0.0",
    description="Sells digital vouchers: gift cards, top-ups and other codes, over HTTP.",
    components=[CLIENTS, STAFF],
    render_plugins=[],
)


@get("/openapi.json", include_in_schema=False)
async def openapi_document(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The document this very server answers by."""
    schema = request.app.openapi_schema.to_schema()
    return Response(msgspec.json.encode(schema), media_type="application/json")


ROUTES = [openapi_document]
