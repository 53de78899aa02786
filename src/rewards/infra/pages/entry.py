"""The way into a room: the page that asks for a name and a password."""

from litestar import get

from rewards.infra.pages.caller import ApiRefused
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.infra.pages.visit import Visit, explain

WRONG = "This name and password do not fit."


@get("/sign-in")
async def show_sign_in(request: Req, room: GivenRoom) -> Page:
    """The way in; whoever is in already goes on."""
    visit = await room.knock(request)
    following = room.own_path(request.query_params.get("next", ""))
    if visit.session.token:
        return visit.back(following)
    return _form(visit, following)


def ask_again(visit: Visit, following: str, name: str, refused: ApiRefused) -> Page:
    """The same page after a refusal: it says why, and keeps the name."""
    said = WRONG if refused.code == "UNAUTHORIZED" else explain(refused)
    return _form(visit, following, name, said, refused.status)


def _form(
    visit: Visit, following: str, name: str = "", problem: str = "", status: int = 200
) -> Page:
    values = {"following": following, "username": name, "problem": problem}
    return visit.page("pages/sign-in.html", status=status, **values)
