"""Every staff route, for the application to mount."""

from litestar import Router

from rewards.staff import (
    http_approvals,
    http_audit,
    http_auth,
    http_bookings,
    http_clients,
    http_credentials,
    http_discounts,
    http_fulfilment,
    http_fx,
    http_inventory,
    http_jobs,
    http_logins,
    http_orders,
    http_products,
    http_pump,
    http_recalls,
    http_reconciliation,
    http_staff,
    http_vendor_orders,
    http_vendor_products,
    http_vendors,
    http_wallets,
)
from rewards.staff.auth import SECURITY

ROUTER = Router(
    path="/",
    security=SECURITY,
    route_handlers=[
        http_approvals.ROUTER,
        http_audit.ROUTER,
        http_auth.ROUTER,
        http_bookings.ROUTER,
        http_clients.ROUTER,
        http_credentials.ROUTER,
        http_discounts.ROUTER,
        http_fx.ROUTER,
        http_fulfilment.ROUTER,
        http_inventory.ROUTER,
        http_jobs.ROUTER,
        http_logins.ROUTER,
        http_orders.ROUTER,
        http_products.ROUTER,
        http_pump.ROUTER,
        http_recalls.ROUTER,
        http_reconciliation.ROUTER,
        http_staff.ROUTER,
        http_vendor_orders.ROUTER,
        http_vendor_products.ROUTER,
        http_vendors.ROUTER,
        http_wallets.ROUTER,
    ],
)
