"""What handlers of a client's people are given by name, and how they act as somebody."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

from litestar import Request
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from rewards.clients import members
from rewards.clients.auth import actor_of, principal_of
from rewards.clients.directory import Directory
from rewards.clients.limits import Limiter
from rewards.clients.model import Scope
from rewards.clients.model_members import ClientLogin
from rewards.clients.passwords import PASSWORD_CHARS_MAX
from rewards.clients.sessions import Sessions
from rewards.core.actor import Actor
from rewards.core.clock import Clock
from rewards.core.errors import Forbidden, InvalidField
from rewards.infra.crypto import Vault
from rewards.infra.db import Database, Tx
from rewards.infra.passwords import Passwords
from rewards.infra.settings import Settings

Result = TypeVar("Result")

GivenClock: TypeAlias = NamedDependency[SkipValidation[Clock]]
GivenDatabase: TypeAlias = NamedDependency[SkipValidation[Database]]
GivenDirectory: TypeAlias = NamedDependency[SkipValidation[Directory]]
GivenLimiter: TypeAlias = NamedDependency[SkipValidation[Limiter]]
GivenPasswords: TypeAlias = NamedDependency[SkipValidation[Passwords]]
GivenSessions: TypeAlias = NamedDependency[SkipValidation[Sessions]]
GivenSettings: TypeAlias = NamedDependency[SkipValidation[Settings]]
GivenVault: TypeAlias = NamedDependency[SkipValidation[Vault]]


@dataclass(frozen=True, slots=True)
class Person:
    """Who acts on a route that `clients.auth.person` guards."""

    client_id: int
    login_id: int
    family: UUID
    scopes: frozenset[str]
    actor: Actor


def person_of(request: Request[Any, Any, Any]) -> Person:
    who = principal_of(request)
    if who.login_id is None or who.family is None:
        raise Forbidden
    return Person(who.client_id, who.login_id, who.family, who.scopes, actor_of(request))


@dataclass(frozen=True, slots=True)
class Proof:
    """How somebody proves again who they are: what `prove` is given, one a request."""

    db: Database
    sessions: Sessions
    clock: Clock

    async def show(self, who: Person, password: str) -> str:
        """Their password, right as of now; what `held` takes.

        Raises InvalidField without one, WrongPassword (403), TooManyRequests after ten a minute.
        """
        if not password:
            raise InvalidField("CurrentPassword", "required")
        if len(password) > PASSWORD_CHARS_MAX:
            raise InvalidField("CurrentPassword", "max")
        return await self.sessions.confirm(who.login_id, password)

    async def held(
        self,
        who: Person,
        shown: str,
        scope: Scope | None,
        work: Callable[[Tx, ClientLogin, datetime], Awaitable[Result]],
    ) -> Result:
        """Run `work` in one transaction for somebody who showed their password, and has it still.

        Raises WrongPassword, and Forbidden for somebody whose role lost `scope` meanwhile. A
        refusal changes nothing.
        """

        async def held(tx: Tx) -> Result:
            login = await members.hold(tx, who.client_id, who.login_id, shown, scope)
            return await work(tx, login, self.clock.now())

        return await self.db.run(held)

    async def act(
        self,
        who: Person,
        password: str,
        scope: Scope | None,
        work: Callable[[Tx, ClientLogin, datetime], Awaitable[Result]],
    ) -> Result:
        """Both, where nothing slow is to be done between them."""
        return await self.held(who, await self.show(who, password), scope, work)
