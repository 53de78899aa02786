"""One request of somebody who has a page open: what they see, and what they ask the API."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import uuid4

from litestar import Request, Response
from litestar.datastructures import Cookie
from litestar.types import ASGIApp, Receive, Scope, Send

from rewards.infra.pages.caller import Answer, ApiRefused, Caller, Query
from rewards.infra.pages.headers import ROOM
from rewards.infra.pages.sessions import Session, Told

if TYPE_CHECKING:
    from rewards.infra.pages.room import Room

HTML = "text/html"
# The API's answer where a second person must agree first.
WAITS = 202
Call = tuple[str, Query | None]
# What to do about a refusal, by its code; others say it in their message.
ADVICE = {
    "FORBIDDEN": "Your role may not do this. Ask an admin, or somebody whose role may.",
    "RATE_LIMITED": "Wait a moment, then try again.",
    "UNAVAILABLE": "Nothing was changed. Try again in a moment.",
    "TIMED_OUT": "It may still be done. Look at the page again before you repeat it.",
    "INTERNAL": "Nothing may have been changed. Look at the page again before you repeat it.",
    "TOO_MANY_REPORTS": "Wait for one of yours to end, or cancel it.",
}


@dataclass(frozen=True, slots=True)
class Visit:
    """Made by the room for each request; `session` may be a stranger's on the way in."""

    room: "Room"
    request: Request[Any, Any, Any]
    session: Session
    caller: Caller
    # The browser does not have the cookie of this session yet.
    is_new: bool = False

    async def get(self, path: str, **query: str | int | None) -> Answer:
        """Read from the API. Raises ApiRefused, which the room shows as a page."""
        return await self.caller.ask("GET", path, query=query)

    async def read(self, *paths: str) -> list[Any]:
        """The bodies of several reads, one after another: a page holds one connection at a time."""
        return [(await self.get(path)).body for path in paths]

    async def send(self, method: str, path: str, body: object = None, **query: str) -> Answer:
        """Change something through the API."""
        return await self.caller.ask(method, path, body=body, query=query)

    async def send_file(
        self, path: str, name: str, content: BinaryIO, texts: Mapping[str, str]
    ) -> Answer:
        """Hand a received file on, with the fields beside it."""
        return await self.caller.ask("POST", path, file=(name, content), texts=texts)

    async def act(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        back: str,
        done: str,
        waits: str = "",
    ) -> Response[bytes]:
        """Do one thing and go `back` to a page that says `done`, or why it was refused.

        `waits`: what it says where a second person must agree first (202, or an answer that names
        the approval). What ends the session, or asks for a proof first, is the room's to answer.
        """
        try:
            answer = await self.send(method, path, body)
        except ApiRefused as refused:
            if self.room.answers(refused):
                raise
            return self.back(back, explain(refused), tone="bad")
        told = answer.body
        asked = answer.status == WAITS or (isinstance(told, dict) and told.get("approval"))
        if waits and asked:
            return self.back(back, waits, tone="wait")
        return self.back(back, done)

    def file(self, path: str, *, back: str, accept: str = "", **query: str | int | None) -> ASGIApp:
        """A file of the API, handed on as it is written; or `back` to a page that says why not."""
        passing = self.caller.passing(path, query, accept=accept)

        async def answered(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                await passing(scope, receive, send)
            except ApiRefused as refused:
                if self.room.answers(refused):
                    raise
                told = self.back(back, explain(refused), tone="bad")
                answer = told.to_asgi_response(app=None, request=self.request)
                await answer(scope, receive, send)

        return answered

    def page(self, template: str, *, status: int = 200, **values: object) -> Response[bytes]:
        """A page of the room, kept by nobody."""
        toast = self.room.sessions.told(self.session, self.request)
        text = self.room.render(template, self, toast=toast, **values)
        cookies = [self.room.sessions.cookie(self.session)] if self.is_new else []
        cookies += [self.room.sessions.heard()] if toast is not None else []
        return Response(
            text.encode(), status_code=status, media_type=HTML, headers=ROOM, cookies=cookies
        )

    def back(self, path: str, text: str = "", *, tone: str = "good") -> Response[bytes]:
        """Go on to this page of ours, which says what came of what was asked."""
        told = [self.room.sessions.tell(self.session, Told(text, tone))] if text else []
        return go(path, told)

    def once(self) -> str:
        """A reference for what a form books or orders: sent twice it counts once."""
        return str(uuid4())

    @property
    def csrf(self) -> str:
        return self.room.sessions.csrf(self.session)

    @property
    def here(self) -> str:
        """The path and query of this page."""
        query = self.request.scope["query_string"].decode("latin-1")
        path = self.request.scope["path"]
        return f"{path}?{query}" if query else path


def go(path: str, cookies: Sequence[Cookie] = ()) -> Response[bytes]:
    """To another page of ours, by GET."""
    headers = {**ROOM, "Location": path}
    return Response(b"", status_code=303, media_type=HTML, headers=headers, cookies=list(cookies))


def explain(refused: ApiRefused) -> str:
    """What the API said, and what to do about it."""
    allowed = refused.details.get("allowed")
    parts = [refused.message.rstrip(".") + "."]
    if isinstance(allowed, list):
        parts.append("Allowed: " + ", ".join(map(str, allowed)) + ".")
    if refused.code == "FORBIDDEN" and refused.details.get("permission"):
        parts.append(f"It needs the permission {refused.details['permission']}.")
    if refused.code in ADVICE:
        parts.append(ADVICE[refused.code])
    return " ".join(parts)
