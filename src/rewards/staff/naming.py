"""The names of those of whom rows speak only by id: one statement for all of a page."""

from collections.abc import Collection

from rewards.clients import service as clients
from rewards.infra.db import Tx
from rewards.staff import service


async def client_names(tx: Tx, client_ids: Collection[int]) -> dict[int, str]:
    """Of each client its name; whoever is not there has none."""
    found = await clients.read(tx, sorted(set(client_ids))) if client_ids else []
    return {client.id: client.name for client in found if client}


async def usernames(tx: Tx, staff_ids: Collection[int]) -> dict[int, str]:
    """Of each member of staff the username."""
    found = await service.read_staff(tx, sorted(set(staff_ids))) if staff_ids else []
    return {person.id: person.username for person in found if person}
