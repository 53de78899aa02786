"""What a form of the console does: one request to the API, and the words that tell of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from rewards.console.listing import Sends
from rewards.console.places import api
from rewards.core.errors import NotFound
from rewards.infra.pages.room import Room
from rewards.infra.pages.routes import Page, Req

NOTHING = Sends()


@dataclass(frozen=True, slots=True)
class Act:
    """`path` below the admin API, with the places of the page's own path in it.

    `waits`: what is said where a second person must agree first.
    """

    method: str
    path: str
    done: str
    sends: Sends | None = NOTHING
    waits: str = ""


async def perform(
    request: Req, room: Room, acts: Mapping[str, Act], name: str, back: str, *places: str
) -> Page:
    """Do the act of this name upon what the places name, then `back` to the page that says so.

    A form may name another page of ours to go back to. Raises NotFound for an act that is none.
    """
    visit, form = await room.receive(request)
    act = acts.get(name)
    if act is None:
        raise NotFound
    wanted = form.get("back")
    body = act.sends.body(form) if act.sends is not None else None
    return await visit.act(
        act.method,
        api(act.path, *places),
        body,
        back=room.own_path(wanted) if wanted else back,
        done=act.done,
        waits=act.waits,
    )
