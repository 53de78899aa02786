"""Stories of a client's own people, and of the log of what they asked."""

from collections.abc import Sequence
from typing import Any

from rewards.clients import service as clients
from rewards.clients.model import NewCredential
from rewards.clients.sessions import Session
from rewards.clients.tokens import ACCESS_LIFETIME, AccessTokens
from rewards.core.errors import Unauthorized
from rewards.infra.address import parse_address
from rewards.portal.service import KeptTokens, Tokens
from rewards.traffic.tasks import forget_requests
from tests.failpoints.points import Side
from tests.failpoints.stories_people import PASSWORD, Act, Acted, Facts, filled
from tests.failpoints.story import Step, Story
from tests.failpoints.town import Town, served

PROOF = {"current_password": PASSWORD}


async def signed_in(town: Town, facts: Facts) -> Facts:
    """An owner with a session, and a key to end."""
    parts, name = town.other.parts, f"owner-{facts['client']}"
    new = await clients.prepare_login(parts.passwords, facts["client"], name, PASSWORD)
    async with parts.db.transaction() as tx:
        login = await clients.add_login(tx, new, town.clock.now())
        [issued] = await clients.issue_credentials(
            tx, parts.vault, town.settings, [NewCredential(facts["client"])], town.clock.now()
        )
    await parts.sessions.login(name, PASSWORD, None)
    family = await town.value("SELECT family FROM refresh_tokens WHERE login_id = $1", login.id)
    return {"login": login.id, "family": family, "credential": issued.id}


def token(town: Town, facts: Facts) -> str:
    """An access token of now, of that session: a process that died took long to come back."""
    access = AccessTokens(town.other.parts.vault).issue(
        login_id=facts["login"],
        client_id=facts["client"],
        epoch=0,
        family=facts["family"],
        at=town.clock.now(),
    )
    return access.token


class PersonActed(Acted):
    """One act of somebody of a client, who proves it with their password."""

    async def do(self) -> None:
        answer = await self.town.mine.http.request(
            *(self.act.method, "/api/v1" + self.act.path.format_map(self.facts)),
            json=filled(self.act.body, self.facts),
            headers={"Authorization": f"Bearer {token(self.town, self.facts)}"},
        )
        # What was done already: the name is taken, the session over, the password another.
        served(answer, (401, 403, 404, 409) if self.again else ())


ACTS = (
    Act(
        "POST",
        "/members",
        {"username": "new-{client}", "password": PASSWORD, "role": "viewer", **PROOF},
        signed_in,
    ),
    Act("POST", "/credentials", {"name": "shop", **PROOF}, signed_in),
    Act("POST", "/credentials/{credential}/revoke", PROOF, signed_in),
    Act("PUT", "/notice-settings", {"contacts": ["a@b.example"], "muted": []}, signed_in),
    Act("POST", "/me/password", {"new_password": PASSWORD + " 2", **PROOF}, signed_in),
    Act("POST", "/me/logout", None, signed_in),
)


def story_of(act: Act) -> type[PersonActed]:
    return type(f"{act} by a person", (PersonActed,), {"act": act})


class Logged(Story):
    """A line of the request log is written once or, where that went wrong, not at all."""

    own = "commit traffic.recorder"

    async def begin(self) -> None:
        self.client_id = await self.shop.client()
        facts = {"client": self.client_id}
        facts |= await signed_in(self.town, facts)
        shown = token(self.town, facts)
        principal = await self.town.other.parts.directory.principal_by_token(shown)
        self.scope: dict[str, Any] = {
            "type": "http",
            "method": "GET",
            "headers": [],
            "rewards_address": parse_address("192.0.2.7"),
            "rewards_request_id": "r",
            "path_template": "/api/v1/wallets",
            "rewards_principal": principal,
        }

    def steps(self) -> Sequence[Step]:
        return [self.keep]

    async def keep(self) -> None:
        log = self.town.mine.parts.requests
        if not self.again:
            log.note(self.scope, 200, 0.01)  # type: ignore[arg-type]
        await log.flush()

    async def check(self) -> None:
        lines = await self.town.value(
            "SELECT count(*) FROM client_requests WHERE client_id = $1", self.client_id
        )
        lost = self.strike is not None and self.strike.side is Side.BEFORE
        assert lines <= 1
        assert lost or lines == 1


class OldLinesForgotten(Story):
    """A day that is over is emptied, and no other, however often it is begun."""

    async def begin(self) -> None:
        self.client_id = await self.shop.client()
        for days in (0, 30):
            await self.town.value(
                "INSERT INTO client_requests (slot, client_id, at, request_id, method, route,"
                " status, took_us) SELECT (d - date '0001-01-01' + 1) % 16, $1, d, 'r', 'GET', '/',"
                " 200, 1 FROM (SELECT $2::date - $3::int AS d) AS of RETURNING id",
                *(self.client_id, self.town.clock.now().date(), days),
            )

    def steps(self) -> Sequence[Step]:
        return [self.forget]

    async def forget(self) -> None:
        parts = self.town.mine.parts
        await forget_requests(parts.db, parts.clock, parts.settings)

    async def check(self) -> None:
        kept = await self.town.rows(
            "SELECT at::date AS day FROM client_requests WHERE client_id = $1", self.client_id
        )
        assert len(kept) == 1


class AtThePortal(Story):
    """Tokens kept, renewed and forgotten; whose renewal was lost signs in again."""

    async def begin(self) -> None:
        self.client_id = await self.shop.client()
        facts = {"client": self.client_id}
        await signed_in(self.town, facts)
        self.key = ""

    @property
    def kept(self) -> KeptTokens:
        parts = self.town.mine.parts
        return KeptTokens(parts.db, parts.vault, parts.clock)

    def steps(self) -> Sequence[Step]:
        return [self.keep, self.renew, self.leave]

    async def keep(self) -> None:
        sessions = self.town.other.parts.sessions
        opened = await sessions.login(f"owner-{self.client_id}", PASSWORD, None)
        self.key = (await self.kept.keep(tokens_of(opened))).key

    async def renew(self) -> None:
        async def ask(refresh_token: str) -> Tokens | None:
            try:
                return tokens_of(await self.town.other.parts.sessions.refresh(refresh_token, None))
            except Unauthorized:
                return None

        self.town.pass_time(ACCESS_LIFETIME)
        if await self.kept.access(self.key, ask) is None:
            # It was renewed by who died with the answer.
            assert self.again
            await self.keep()

    async def leave(self) -> None:
        await self.kept.end(self.key)

    async def check(self) -> None:
        left = await self.town.value(
            "SELECT count(*) FROM portal_sessions WHERE client_id = $1", self.client_id
        )
        # One whose key nobody was told.
        assert left <= (0 if self.strike is None else 1)


def tokens_of(opened: Session) -> Tokens:
    return Tokens(
        opened.access_token,
        opened.refresh_token,
        opened.access_expires_at,
        opened.refresh_expires_at,
        opened.client_id,
    )


MEMBER_STORIES = (*map(story_of, ACTS), Logged, OldLinesForgotten, AtThePortal)
