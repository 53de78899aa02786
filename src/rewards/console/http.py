"""Every page of the console, for the application to mount."""

from litestar import Router

from rewards.console import (
    http_alerts,
    http_approvals,
    http_audit,
    http_client_discounts,
    http_client_keys,
    http_client_mail,
    http_client_wallets,
    http_clients,
    http_entry,
    http_health,
    http_inventory,
    http_ledger,
    http_mails,
    http_me,
    http_money,
    http_orders,
    http_products,
    http_reports,
    http_staff,
    http_stock_orders,
    http_today,
    http_vendor_orders,
    http_vendor_products,
    http_vendor_settings,
    http_vendors,
    http_waiting,
)
from rewards.console.places import ME, PREFIX, places
from rewards.core.clock import Clock
from rewards.infra.address import Proxies
from rewards.infra.crypto import Vault
from rewards.infra.pages.room import Look, Room
from rewards.infra.pages.routes import router
from rewards.infra.settings import Settings

FORGOT = (
    "An admin sets another one for you, under Settings, Staff, and takes off a second factor that"
    " is lost. Who is the only admin lets in another where this runs: rewards staff add."
)
LOOK = Look(
    *("console", "Starship Console", "rewards.console", PREFIX, places, ME),
    forgot=FORGOT,
    answers=http_me.ANSWERS,
)
PAGES = [
    *http_entry.PAGES,
    *http_today.PAGES,
    *http_orders.PAGES,
    *http_waiting.PAGES,
    *http_alerts.PAGES,
    *http_approvals.PAGES,
    *http_inventory.PAGES,
    *http_stock_orders.PAGES,
    *http_products.PAGES,
    *http_vendors.PAGES,
    *http_vendor_settings.PAGES,
    *http_vendor_products.PAGES,
    *http_vendor_orders.PAGES,
    *http_clients.PAGES,
    *http_client_wallets.PAGES,
    *http_client_discounts.PAGES,
    *http_client_keys.PAGES,
    *http_client_mail.PAGES,
    *http_mails.PAGES,
    *http_money.PAGES,
    *http_ledger.PAGES,
    *http_reports.PAGES,
    *http_health.PAGES,
    *http_audit.PAGES,
    *http_staff.PAGES,
    *http_me.PAGES,
]


def console(*, vault: Vault, clock: Clock, proxies: Proxies, settings: Settings | None) -> Router:
    """The console of a process."""
    room = Room(LOOK, vault=vault, clock=clock, proxies=proxies, settings=settings)
    return router(room, PAGES)
