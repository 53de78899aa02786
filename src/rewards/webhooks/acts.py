"""What clients and staff do to webhooks: each act is one transaction."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from rewards.clients import service as clients
from rewards.core.actor import Actor, ActorKind
from rewards.core.clock import Clock
from rewards.core.errors import Refusal
from rewards.core.page import Page, PageAsk
from rewards.infra.crypto import Vault
from rewards.infra.db import Database, Tx
from rewards.infra.targets import Targets
from rewards.webhooks import deliveries, endpoints
from rewards.webhooks.deliveries import DeliveryPage, Told
from rewards.webhooks.endpoints import Shown
from rewards.webhooks.model import Delivery, DeliveryFilter, Endpoint, Recovered
from rewards.webhooks.model_endpoints import EndpointChange, NewEndpoint, WebhookNotFound

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Whose:
    """For which client somebody acts: the client, or a member of staff."""

    client_id: int
    who: Actor


class Webhooks:
    """One a process. Raises what the functions of `endpoints` and `deliveries` refuse.

    Staff who name a client that is not there get ClientNotFound.
    """

    def __init__(self, db: Database, vault: Vault, clock: Clock, targets: Targets) -> None:
        self._db = db
        self._vault = vault
        self._clock = clock
        self._targets = targets

    async def create(self, whose: Whose, new: NewEndpoint) -> Shown:
        async def work(tx: Tx, at: datetime) -> Shown:
            return await endpoints.create(tx, self._vault, self._targets, new, whose.who, at)

        return await self._act(whose, work)

    async def change(self, whose: Whose, endpoint_id: int, wanted: EndpointChange) -> Endpoint:
        async def work(tx: Tx, at: datetime) -> Endpoint:
            return await endpoints.change(
                tx,
                self._vault,
                self._targets,
                whose.client_id,
                endpoint_id,
                wanted,
                whose.who,
                at,
            )

        return await self._act(whose, work)

    async def delete(self, whose: Whose, endpoint_id: int) -> None:
        async def work(tx: Tx, at: datetime) -> None:
            await endpoints.delete(tx, whose.client_id, endpoint_id, whose.who, at)

        await self._act(whose, work)

    async def rotate_secret(
        self, whose: Whose, endpoint_id: int, *, revoke_previous: bool
    ) -> Shown:
        async def work(tx: Tx, at: datetime) -> Shown:
            return await endpoints.rotate_secret(
                *(tx, self._vault, whose.client_id, endpoint_id, whose.who, at),
                revoke_previous=revoke_previous,
            )

        return await self._act(whose, work)

    async def send_test(self, whose: Whose, endpoint_id: int) -> int:
        """The id of the event."""

        async def work(tx: Tx, at: datetime) -> int:
            return await endpoints.send_test(tx, whose.client_id, endpoint_id, whose.who, at)

        return await self._act(whose, work)

    async def redeliver(self, whose: Whose, delivery_id: int) -> Delivery:
        async def work(tx: Tx, at: datetime) -> Delivery:
            [again] = await deliveries.redeliver(tx, whose.client_id, [delivery_id], whose.who, at)
            if isinstance(again, Refusal):
                raise again
            return again

        return await self._act(whose, work)

    async def recover(self, whose: Whose, endpoint_id: int, since: datetime) -> Recovered:
        async def work(tx: Tx, at: datetime) -> Recovered:
            return await deliveries.recover(tx, whose.client_id, endpoint_id, since, whose.who, at)

        return await self._act(whose, work)

    async def read(self, whose: Whose, endpoint_id: int) -> Endpoint:
        async with self._db.connection() as connection:
            await _check_client(connection, whose)
            [endpoint] = await endpoints.read(connection, whose.client_id, [endpoint_id])
        if endpoint is None:
            raise WebhookNotFound
        return endpoint

    async def list_of_client(self, whose: Whose, ask: PageAsk) -> Page[Endpoint]:
        async with self._db.connection() as connection:
            await _check_client(connection, whose)
            return await endpoints.list_of_client(connection, whose.client_id, ask)

    async def list_deliveries(
        self,
        whose: Whose,
        endpoint_id: int,
        narrow: DeliveryFilter,
        *,
        after: str | None,
        limit: int,
    ) -> DeliveryPage:
        async with self._db.connection() as connection:
            await _check_client(connection, whose)
            return await deliveries.list_of_endpoint(
                connection, whose.client_id, endpoint_id, narrow, after=after, limit=limit
            )

    async def read_delivery(self, whose: Whose, delivery_id: int) -> Told:
        async with self._db.connection() as connection:
            await _check_client(connection, whose)
            [told] = await deliveries.read(connection, whose.client_id, [delivery_id])
        if isinstance(told, Refusal):
            raise told
        return told

    async def _act(self, whose: Whose, work: Callable[[Tx, datetime], Awaitable[Result]]) -> Result:
        async def checked(tx: Tx) -> Result:
            await _check_client(tx, whose)
            return await work(tx, self._clock.now())

        return await self._db.run(checked)


async def _check_client(tx: Tx, whose: Whose) -> None:
    """A client that was let in is there; staff may have named any."""
    if whose.who.kind is ActorKind.STAFF:
        await clients.check_there(tx, whose.client_id)
