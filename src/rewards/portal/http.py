"""Every page of the portal, for the application to mount."""

from litestar import Router

from rewards.core.clock import Clock
from rewards.infra.address import Proxies
from rewards.infra.crypto import Vault
from rewards.infra.db import Database
from rewards.infra.pages.routes import router
from rewards.infra.settings import Settings
from rewards.portal import (
    http_entry,
    http_home,
    http_keys,
    http_money,
    http_orders,
    http_requests,
    http_settings,
    http_team,
    http_webhooks,
)
from rewards.portal.room import Portal
from rewards.portal.service import KeptTokens

PAGES = [
    *(*http_entry.PAGES, *http_home.PAGES, *http_orders.PAGES, *http_money.PAGES),
    *(*http_keys.PAGES, *http_webhooks.PAGES, *http_requests.PAGES),
    *(*http_team.PAGES, *http_settings.PAGES),
]


def portal(
    *, db: Database, vault: Vault, clock: Clock, proxies: Proxies, settings: Settings | None
) -> Router:
    """The portal of a process."""
    kept = KeptTokens(db, vault, clock)
    room = Portal(kept, vault=vault, clock=clock, proxies=proxies, settings=settings)
    return router(room, PAGES)
