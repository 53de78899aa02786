"""Every operation of the application with the guard that stands on its route object."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from litestar import Litestar
from litestar.handlers import ASGIRouteHandler, HTTPRouteHandler

from rewards.clients.auth import Requires as ClientGuard
from rewards.entry.reference import document
from rewards.staff.auth import Requires as StaffGuard

Json = dict[str, Any]
Guard = ClientGuard | StaffGuard
PARAMETER = re.compile(r"\{([a-z_]+)(?::[a-z]+)?\}")
# What stands open, and what is there instead of a guard.
OPEN: Mapping[tuple[str, str], str] = {
    ("GET", "/healthz"): "says that the process runs",
    ("GET", "/readyz"): "says whether orders can be placed",
    ("GET", "/api/v1/status"): "the same, for people",
    ("POST", "/auth/login"): "takes a password; limited",
    ("POST", "/auth/refresh"): "takes a refresh token",
    ("POST", "/admin/auth/login"): "takes a password; limited",
    ("POST", "/vendors/{vendor_id}/callback"): "takes what the vendor signed; limited",
    ("GET", "/vouchers/claim/{token}"): "takes the link's token; limited",
    ("POST", "/vouchers/claim/{token}"): "takes the link's token and our own form; limited",
    ("GET", "/vouchers/assets/{name}"): "the claim page's own two files",
    ("GET", "/openapi.json"): "the contract",
    ("GET", "/admin/openapi.json"): "the contract",
    ("GET", "/docs"): "the contract",
    ("GET", "/admin/docs"): "the contract",
    ("GET", "/docs/reference.css"): "how it looks",
    ("GET", "/metrics"): "404 to all but the networks and the token of the settings",
}

# Pages ask the API with the token of whoever is signed in: a stranger sees none but these.
ROOMS = ("/console", "/portal")
OPEN_PAGES: Mapping[tuple[str, str], str] = {
    ("GET", "/sign-in"): "the way in",
    ("POST", "/sign-in"): "takes a password and our own form; the API limits it",
    ("GET", "/static/{name}"): "sheets, scripts and pictures",
    ("POST", "/theme"): "light or dark, kept by the browser",
}


@dataclass(frozen=True)
class Route:
    """A route object as the application has it; `path` with {names} only."""

    method: str
    path: str
    operation_id: str | None
    guards: tuple[object, ...]

    @property
    def room(self) -> str | None:
        """Of which room of pages it is."""
        first = "/" + self.path.split("/")[1]
        return first if first in ROOMS else None

    @property
    def key(self) -> tuple[str, str]:
        return self.method, self.path


@dataclass(frozen=True)
class Operation:
    """An operation of one of the documents, and its guard; None where it is open to all."""

    operation_id: str
    method: str
    path: str
    guard: Guard | None
    told: Json

    @property
    def staff(self) -> bool:
        return self.path.startswith("/admin")

    @property
    def in_person(self) -> bool:
        """Whether it is for a client's people alone, and for none of its keys."""
        return isinstance(self.guard, ClientGuard) and self.guard.person

    @property
    def parameters(self) -> list[str]:
        return PARAMETER.findall(self.path)

    @property
    def queries(self) -> list[str]:
        return [each["name"] for each in self.told.get("parameters", ()) if each["in"] == "query"]

    @property
    def body(self) -> Json | None:
        """Schema and example of its JSON body."""
        content: Json = self.told.get("requestBody", {}).get("content", {})
        found: Json | None = content.get("application/json")
        return found

    @property
    def fields(self) -> Json:
        """Schemas of its JSON body's fields, by name."""
        found: Json = self.body["schema"]["properties"] if self.body else {}
        return found

    def at(self, ids: Mapping[str, object]) -> str:
        return PARAMETER.sub(lambda found: str(ids[found[1]]), self.path)

    def __repr__(self) -> str:
        return f"{self.operation_id} ({self.method} {self.path})"


def routes(app: Litestar) -> Iterator[Route]:
    """Every route object but the framework's OPTIONS: HTTP, and what is mounted as ASGI."""
    for route in app.routes:
        handlers = getattr(route, "route_handlers", None) or [route.route_handler]
        path = PARAMETER.sub(r"{\1}", route.path)
        for handler in handlers:
            guards = tuple(handler.resolve_guards())
            if isinstance(handler, HTTPRouteHandler):
                # Where microseconds count the guard is called as a hook (clients/auth.py).
                hook = handler.resolve_before_request()
                guards += () if hook is None else (hook,)
                for method in handler.http_methods - {"OPTIONS"}:
                    name = handler.operation_id
                    assert name is None or isinstance(name, str)
                    yield Route(str(method), path, name, guards)
            else:
                assert isinstance(handler, ASGIRouteHandler), handler
                yield Route("*", path, None, guards)


def operations(app: Litestar) -> list[Operation]:
    """Those of both documents, in their order."""
    guards = {route.operation_id: route.guards for route in routes(app)}
    found = []
    for staff in (False, True):
        for path, item in document(app, staff=staff)["paths"].items():
            for method, told in item.items():
                name = told["operationId"]
                mine = guards[name]
                assert len(mine) <= 1, name
                guard = mine[0] if mine else None
                assert guard is None or isinstance(guard, ClientGuard | StaffGuard), name
                found.append(Operation(name, method.upper(), path, guard, told))
    return found
