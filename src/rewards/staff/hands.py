"""In whose hands the accounts of staff were lately: two accounts of one person are one person.

Whoever lets somebody in, or changes their password, role or second factor, or whether they are
active, might sign in as them, and agree to what they asked for themselves (ADR 0028).
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from rewards.core.actor import Actor, ActorKind
from rewards.infra.db import Tx
from rewards.pricing.one_person import SEEN_BY_OTHERS
from rewards.staff import sql_hands


async def note(tx: Tx, staff_ids: Sequence[int], actor: Actor, at: datetime) -> None:
    """Remember that `actor` had these accounts in hand, with the act itself.

    One's own does not count, nor what the command line does: whoever has that needs no second
    person.
    """
    if actor.kind is not ActorKind.STAFF or actor.id is None:
        return
    others = [staff_id for staff_id in staff_ids if staff_id != actor.id]
    if others:
        await sql_hands.put(tx, others, actor.id, at)


async def holders(tx: Tx, staff_ids: Collection[int], at: datetime) -> dict[int, set[int]]:
    """Who might have acted as each of these: themselves, who had the account in hand until others
    had a day to notice, and who had the account of one of those."""
    return await sql_hands.read(tx, staff_ids, at - SEEN_BY_OTHERS)
