"""What every room serves beside its pages: files, the choice of light and dark, no such page."""

from collections.abc import Sequence
from typing import Any, TypeAlias

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, SkipValidation

from rewards.infra.pages.caller import ApiRefused
from rewards.infra.pages.forms import FORM_BYTES_MAX
from rewards.infra.pages.room import Room
from rewards.infra.pages.visit import go

GivenRoom: TypeAlias = NamedDependency[SkipValidation[Room]]
Req: TypeAlias = Request[Any, Any, Any]
Page: TypeAlias = Response[bytes]


@get("/static/{name:str}")
async def show_asset(room: GivenRoom, name: FromPath[str]) -> Page:
    """A sheet, a script or a picture."""
    return room.asset(name)


@post("/theme", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def choose_theme(request: Req, room: GivenRoom) -> Page:
    """Light, dark, or as the system has it; kept by the browser."""
    _, form = await room.receive(request, stranger=True)
    return go(room.own_path(form.get("back")), [room.themed(form.get("theme"))])


@get("/{rest:path}")
async def show_nothing(request: Req, room: GivenRoom) -> Page:
    """Where no page is."""
    visit = await room.visit(request)
    told = {"code": "NOT_FOUND", "message": "There is no such page"}
    return room.problem(visit.request, 404, ApiRefused(404, told, {}))


def _plain(answer: Any) -> Any:
    """A function, for the framework copies what it is given, and no room can be copied."""

    def answered(request: Req, problem: Exception) -> Page:
        page: Page = answer(request, problem)
        return page

    return answered


def router(room: Room, handlers: Sequence[Any]) -> Router:
    """A room's pages under its prefix; none of them is part of an API's document."""

    async def itself() -> Room:
        return room

    return Router(
        room.look.prefix,
        route_handlers=[*handlers, show_asset, choose_theme, show_nothing],
        dependencies={"room": Provide(itself)},
        exception_handlers={kind: _plain(each) for kind, each in room.refusals().items()},
        include_in_schema=False,
    )
