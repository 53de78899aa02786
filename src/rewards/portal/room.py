"""The portal's room: its cookie names a session of ours, which has the API's tokens."""

from dataclasses import replace
from typing import Any

import msgspec
from litestar import Request

from rewards.core.clock import Clock
from rewards.infra.address import Proxies
from rewards.infra.crypto import Vault
from rewards.infra.pages.caller import ApiRefused, Caller
from rewards.infra.pages.room import Look, Room
from rewards.infra.pages.visit import Visit
from rewards.infra.settings import Settings
from rewards.portal.places import PREFIX, places
from rewards.portal.service import KeptTokens, Tokens

FORGOT = (
    "An owner of your company sets another one for you, on the page Team. The only owner asks"
    " whoever runs this service: their staff set one among your company's logins."
)
LOOK = Look(
    *("portal", "Starship Portal", "rewards.portal", PREFIX, places),
    me=f"{PREFIX}/settings",
    forgot=FORGOT,
)
OVER = {"code": "UNAUTHORIZED", "message": "Your session is over"}


class Portal(Room):
    """As every room; who is signed in asks the API with a token that is renewed here."""

    def __init__(
        self,
        kept: KeptTokens,
        *,
        vault: Vault,
        clock: Clock,
        proxies: Proxies,
        settings: Settings | None,
    ) -> None:
        super().__init__(LOOK, vault=vault, clock=clock, proxies=proxies, settings=settings)
        self.kept = kept

    async def visit(self, request: Request[Any, Any, Any]) -> Visit:
        """Whoever is signed in. Raises SignInFirst, or ApiRefused (401) when that is over."""
        visit = await super().visit(request)
        asking = replace(visit.caller, token="")
        access = await self.kept.access(visit.session.token, lambda old: renew(asking, old))
        if access is None:
            raise ApiRefused(401, OVER, {})
        visit = replace(visit, caller=replace(visit.caller, token=access))
        request.scope["rewards_visit"] = visit  # type: ignore[typeddict-unknown-key]
        return visit


async def renew(caller: Caller, refresh_token: str) -> Tokens | None:
    """Exchange a refresh token; None for one that is worth nothing any more."""
    try:
        answer = await caller.ask("POST", "/auth/refresh", body={"refresh_token": refresh_token})
    except ApiRefused as refused:
        if refused.status == 401:
            return None
        raise
    return msgspec.json.decode(answer.raw, type=Tokens)
