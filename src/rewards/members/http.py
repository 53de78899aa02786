"""Every route of a client's own people, for the application to mount under `/api/v1`."""

from litestar import Router

from rewards.members import (
    http_credentials,
    http_settings,
    http_statements,
    http_team,
    http_usage,
)

ROUTER = Router(
    path="/",
    route_handlers=[
        http_team.ROUTER,
        http_credentials.ROUTER,
        http_usage.ROUTER,
        http_settings.ROUTER,
        http_statements.ROUTER,
    ],
)
