"""Every staff route, for the application to mount."""

from litestar import Router

from rewards.staff import (
    http_audit,
    http_auth,
    http_clients,
    http_credentials,
    http_inventory,
    http_orders,
    http_pump,
    http_staff,
    http_wallets,
)
from rewards.staff.auth import SECURITY

ROUTER = Router(
    path="/",
    security=SECURITY,
    route_handlers=[
        http_audit.ROUTER,
        http_auth.ROUTER,
        http_clients.ROUTER,
        http_credentials.ROUTER,
        http_inventory.ROUTER,
        http_orders.ROUTER,
        http_pump.ROUTER,
        http_staff.ROUTER,
        http_wallets.ROUTER,
    ],
)
