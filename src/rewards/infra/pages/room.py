"""A set of pages behind one sign-in: the console of the staff, the portal of clients' people."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import quote

from jinja2 import Environment
from litestar import Request, Response
from litestar.datastructures import Cookie
from litestar.exceptions import HTTPException

from rewards.core.clock import Clock
from rewards.core.errors import NotFound, Refusal, Unauthorized, Unavailable
from rewards.infra.address import Proxies
from rewards.infra.crypto import Vault
from rewards.infra.http import EXCEPTION_HANDLERS, fail, refuse, refuse_busy, request_id
from rewards.infra.pages import showing
from rewards.infra.pages.assets import SHARED, Assets
from rewards.infra.pages.caller import ApiRefused, caller_for
from rewards.infra.pages.forms import ForeignForm, Form, check_site, read_form
from rewards.infra.pages.headers import FOREVER, ROOM
from rewards.infra.pages.sessions import Session, Sessions, Told
from rewards.infra.pages.visit import HTML, Visit, explain, go
from rewards.infra.settings import Settings
from rewards.infra.templates import templates
from rewards.infra.upload import Upload, receive

THEMES = ("light", "dark")
THEME = "theme"
THEME_LIFE_S = 365 * 86_400
PATH_CHARS_MAX = 1_000
# A path of ours in plain characters; a browser reads two slashes as the beginning of another host.
OWN_PATH = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*", re.ASCII)
Respond = Callable[[Visit, ApiRefused], Response[bytes]]


class SignInFirst(Unauthorized):
    """A page for people who are signed in was asked for by nobody."""

    code = "SIGN_IN_FIRST"


@dataclass(frozen=True, slots=True)
class Place:
    """One entry of the navigation."""

    text: str
    path: str
    icon: str
    # What waits there for somebody, shown beside it.
    waiting: int | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What a room is called, and where its navigation leads for whom."""

    name: str
    title: str
    package: str
    prefix: str
    places: Callable[[Session], Sequence[tuple[str, Sequence[Place]]]]
    # The page of one's own account, in the menu under one's name.
    me: str = ""
    # What somebody does who forgot the password.
    forgot: str = ""
    # What answers a refusal of this code instead of a page that tells it.
    answers: Mapping[str, Respond] = field(default_factory=dict)


class Room:
    """Made once a process. Nothing of the business is here, and none of it in a page's handler:
    pages ask the API, inside the process, and show what it said."""

    def __init__(
        self, look: Look, *, vault: Vault, clock: Clock, proxies: Proxies, settings: Settings | None
    ) -> None:
        # Without parts the application can still be described.
        self._public_url = settings.public_url if settings is not None else ""
        # Of a form with a file: as much as the API takes.
        self.file_bytes_max = settings.import_bytes_max if settings is not None else 0
        self._proxies = proxies
        self._clock = clock
        self.look = look
        self.sessions = Sessions(
            look.name, vault, clock, secure=self._public_url.startswith("https:")
        )
        self._assets = Assets([SHARED, look.package])
        self._templates = self._environment()

    async def visit(self, request: Request[Any, Any, Any]) -> Visit:
        """Whoever is signed in. Raises SignInFirst for everybody else."""
        session = await self.sessions.read(request)
        if session is None or not session.token:
            raise SignInFirst
        return self._visit(request, session)

    async def knock(self, request: Request[Any, Any, Any]) -> Visit:
        """Whoever wants to sign in: a stranger with a session that only forms are bound to."""
        session = await self.sessions.read(request)
        if session is not None:
            return self._visit(request, session)
        return self._visit(request, self.sessions.stranger(), is_new=True)

    def _visit(
        self, request: Request[Any, Any, Any], session: Session, *, is_new: bool = False
    ) -> Visit:
        address = self._proxies.address(request.scope)
        visit = Visit(self, request, session, caller_for(request, address, session.token), is_new)
        request.scope["rewards_visit"] = visit  # type: ignore[typeddict-unknown-key]
        return visit

    async def receive(
        self, request: Request[Any, Any, Any], *, stranger: bool = False
    ) -> tuple[Visit, Form]:
        """The form of a page of ours, and who sent it. Raises ForeignForm for any other."""
        check_site(request, self._public_url)
        visit = await (self.knock(request) if stranger else self.visit(request))
        form = read_form(await request.body())
        self._check(visit, form.get("csrf"))
        return visit, form

    async def receive_file(
        self, request: Request[Any, Any, Any], *, bytes_max: int, texts: Sequence[str]
    ) -> tuple[Visit, Upload]:
        """A file and the fields beside it. The route lifts the limit of bodies; whoever gets the
        upload closes its file. Raises ForeignForm, and what `infra.upload.receive` refuses."""
        check_site(request, self._public_url)
        visit = await self.visit(request)
        upload = await receive(request, bytes_max=bytes_max, texts=("csrf", *texts))
        try:
            self._check(visit, upload.texts.get("csrf", ""))
        except ForeignForm:
            upload.file.close()
            raise
        return visit, upload

    def _check(self, visit: Visit, csrf: str) -> None:
        if visit.is_new or not self.sessions.is_ours(visit.session, csrf):
            raise ForeignForm

    def own_path(self, text: str) -> str:
        """Where to go on to, as a form or a query names it; the first page if it is not ours."""
        prefix = self.look.prefix
        inside = text == prefix or text.startswith((f"{prefix}/", f"{prefix}?"))
        if inside and len(text) <= PATH_CHARS_MAX and OWN_PATH.fullmatch(text):
            return text
        return prefix

    def answers(self, refused: ApiRefused) -> bool:
        """Whether the room itself answers this refusal, whatever the page was about."""
        return refused.status == 401 or refused.code in self.look.answers

    def render(self, template: str, visit: Visit, **values: object) -> str:
        """A template of the room's package, or of those that every room has."""
        signed_in = bool(visit.session.token)
        theme = visit.request.cookies.get(THEME, "")
        return self._templates.get_template(template).render(
            visit=visit,
            look=self.look,
            who=visit.session.facts if signed_in else None,
            places=self.look.places(visit.session) if signed_in else (),
            csrf=visit.csrf,
            here=visit.here,
            path=visit.request.scope["path"],
            theme=theme if theme in THEMES else "",
            request_id=request_id(visit.request),
            **{"toast": None, **values},
        )

    def _environment(self) -> Environment:
        made = templates(self.look.package, SHARED)
        made.globals |= {
            "asset": lambda name: f"{self.look.prefix}/static/{self._assets.name(name)}",
            "with_query": showing.with_query,
            "now": self._now,
        }
        for each in (
            *(showing.badge, showing.money, showing.money_minor, showing.count, showing.when),
            *(showing.day, showing.masked, showing.shown, showing.tone, showing.words),
            *(showing.slug, showing.lasting),
        ):
            made.filters[each.__name__] = each
        made.filters["age"] = showing.aged(self._now)
        return made

    def today(self) -> date:
        """The day it is in UTC."""
        return self._now().astimezone(UTC).date()

    def _now(self) -> datetime:
        return self._clock.now()

    def refusals(self) -> dict[Any, Any]:
        """How refusals look in this room."""
        return {
            **EXCEPTION_HANDLERS,
            SignInFirst: self._send_to_sign_in,
            ApiRefused: self._refused,
            Refusal: self._refusal,
            HTTPException: self._refusal,
            # What a page asks of the database itself, it may find busy as the API does.
            **{
                kind: self._busy for kind, told in EXCEPTION_HANDLERS.items() if told is refuse_busy
            },
            Exception: self._broken,
        }

    def _send_to_sign_in(
        self, request: Request[Any, Any, Any], _problem: SignInFirst, *cookies: Cookie
    ) -> Response[bytes]:
        """Where a link from elsewhere led, the browser has not shown its session: it will when the
        page itself asks, so that nobody signs in twice."""
        if request.headers.get("Sec-Fetch-Site") == "cross-site" and request.method == "GET":
            text = self._templates.get_template("pages/again.html").render(
                here=self.own_path(_here(request)), look=self.look, theme=""
            )
            return Response(text.encode(), media_type=HTML, headers=ROOM)
        wanted = self.own_path(_here(request)) if request.method == "GET" else self.look.prefix
        path = f"{self.look.prefix}/sign-in?next={quote(wanted, safe='/')}"
        if request.headers.get("HX-Request"):
            headers = {**ROOM, "HX-Redirect": path}
            return Response(b"", status_code=401, media_type=HTML, headers=headers)
        return go(path, cookies)

    def _refused(self, request: Request[Any, Any, Any], refused: ApiRefused) -> Response[bytes]:
        visit: Visit | None = request.scope.get("rewards_visit")  # type: ignore[assignment]
        if visit is not None and refused.code in self.look.answers:
            return self.look.answers[refused.code](visit, refused)
        if refused.status == 401:
            return self._send_to_sign_in(request, SignInFirst(), self.sessions.gone())
        return self.problem(request, refused.status, refused)

    def _refusal(self, request: Request[Any, Any, Any], refusal: Exception) -> Response[bytes]:
        """Our own refusals and the framework's, read back from the answer they would be."""
        if isinstance(refusal, Refusal):
            told = {"code": refusal.code, "message": refusal.message, "details": refusal.details}
            status = refuse(request, refusal).status_code or 400
        else:
            status = getattr(refusal, "status_code", 500)
            if status >= 500:
                return self._broken(request, refusal)
            told = {"code": "INVALID_BODY", "message": "Invalid request"}
            if status == 413:
                told = {"code": "BODY_TOO_LARGE", "message": "This is too large"}
        return self.problem(request, status, ApiRefused(status, told, {}))

    def _busy(self, request: Request[Any, Any, Any], _problem: Exception) -> Response[bytes]:
        return self._refusal(request, Unavailable())

    def _broken(self, request: Request[Any, Any, Any], problem: Exception) -> Response[bytes]:
        fail(request, problem)
        return self.problem(request, 500, ApiRefused(500, {}, {}))

    def problem(
        self, request: Request[Any, Any, Any], status: int, refused: ApiRefused
    ) -> Response[bytes]:
        """The page that tells what went wrong, and what to do."""
        visit: Visit | None = request.scope.get("rewards_visit")  # type: ignore[assignment]
        if visit is None:
            visit = self._visit(request, self.sessions.stranger())
        text = self.render("pages/problem.html", visit, refused=refused, said=explain(refused))
        headers = dict(ROOM)
        if refused.retry_after_s:
            headers["Retry-After"] = str(refused.retry_after_s)
        return Response(text.encode(), status_code=status, media_type=HTML, headers=headers)

    def themed(self, theme: str) -> Cookie:
        """Light, dark, or as the system has it."""
        life_s = THEME_LIFE_S if theme in THEMES else 0
        value = theme if theme in THEMES else ""
        secure = self._public_url.startswith("https:")
        return Cookie(
            THEME, value=value, path="/", max_age=life_s, samesite="strict", secure=secure
        )

    def asset(self, name: str) -> Response[bytes]:
        """A file under a name that its content made. Raises NotFound for any other."""
        found = self._assets.find(name)
        if found is None:
            raise NotFound
        return Response(found.content, media_type=found.media_type, headers=FOREVER)

    def enter(self, session: Session, path: str) -> Response[bytes]:
        """Signed in: a session that has nothing of the stranger's, and on to the page."""
        return go(self.own_path(path), [self.sessions.cookie(session), self.sessions.heard()])

    def leave(self, text: str) -> Response[bytes]:
        """Signed out: the browser has a stranger's session again."""
        stranger = self.sessions.stranger()
        told = self.sessions.tell(stranger, Told(text))
        return go(f"{self.look.prefix}/sign-in", [self.sessions.cookie(stranger), told])


def _here(request: Request[Any, Any, Any]) -> str:
    query = request.scope["query_string"].decode("latin-1")
    return f"{request.scope['path']}?{query}" if query else request.scope["path"]
