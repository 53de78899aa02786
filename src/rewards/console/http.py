"""Every page of the console, for the application to mount."""

from litestar import Router

from rewards.console import http_entry
from rewards.console.places import PREFIX, places
from rewards.core.clock import Clock
from rewards.infra.address import Proxies
from rewards.infra.crypto import Vault
from rewards.infra.pages.room import Look, Room
from rewards.infra.pages.routes import router
from rewards.infra.settings import Settings

LOOK = Look("console", "Starship Console", "rewards.console", PREFIX, places)
PAGES = [*http_entry.PAGES]


def console(*, vault: Vault, clock: Clock, proxies: Proxies, settings: Settings | None) -> Router:
    """The console of a process."""
    room = Room(LOOK, vault=vault, clock=clock, proxies=proxies, settings=settings)
    return router(room, PAGES)
