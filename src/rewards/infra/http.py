"""The HTTP edge every slice shares: error bodies, request ids, strict JSON, paging headers."""

import asyncio
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar, cast
from urllib.parse import urlencode

import asyncpg
import msgspec
import structlog
from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from rewards.core import ids
from rewards.core.errors import InvalidBody, InvalidField, NotFound, Refusal, Unavailable
from rewards.core.page import PAGE_MAX, Page, PageAsk
from rewards.infra.http_figures import REFUSALS, note, route_of
from rewards.infra.log import REQUEST_ID

log = structlog.get_logger()
Body = TypeVar("Body", bound=msgspec.Struct)
Choice = TypeVar("Choice", bound=StrEnum)
Noted: TypeAlias = Callable[[Scope, int, float], None]

BODY_BYTES_MAX = 256 * 1024
REQUEST_ID_PATTERN = re.compile(r"[A-Za-z0-9._\-]{1,64}")
JSON = "application/json"
# Of every answer in JSON: it is for one caller, who is told by a header that caches do not know.
NO_STORE = {"Cache-Control": "no-store"}
# What a decoder puts in quotes is of our own schema after these words; else it is what was sent.
NAMES_OURS = ("Expected ", "Object missing required field ")
UNKNOWN_FIELD = "Object contains unknown field"
NESTED = " - at `$"
QUOTED = re.compile(r"[`'\"]")
# Decimals leave as JSON numbers with exactly the digits they carry: 127.50 stays 127.50.
ENCODER = msgspec.json.Encoder(decimal_format="number")


class ErrorBody(msgspec.Struct, omit_defaults=True):
    """What every refusal looks like (spec.md D4)."""

    error: str
    message: str
    code: str
    request_id: str
    details: dict[str, Any] | None = None


def encode(
    body: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response[bytes]:
    """A JSON answer that nobody on the way keeps; Decimals become numbers."""
    return Response(
        ENCODER.encode(body),
        status_code=status,
        media_type=JSON,
        headers={**NO_STORE, **(headers or {})},
    )


def request_id(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    return str(connection.scope.get("rewards_request_id", ""))


def answer_with(connection: ASGIConnection[Any, Any, Any, Any], headers: Mapping[str, str]) -> None:
    """Put these headers on whatever answer this request will get, an error included.

    One that the answer brings itself stands, and a promise that comes later replaces an earlier.
    """
    promised = {name.lower().encode(): value.encode() for name, value in headers.items()}
    cast("dict[str, Any]", connection.scope).setdefault("rewards_headers", {}).update(promised)


def _failed_as(connection: ASGIConnection[Any, Any, Any, Any], code: str) -> None:
    """Leave word of why it was refused for whoever is told of the request."""
    cast("dict[str, Any]", connection.scope)["rewards_code"] = code


class RequestIds:
    """ASGI layer, outermost: puts X-Request-Id, echoed or made, on every answer.

    It also adds what `answer_with` promised meanwhile, and answers 503 where the server gives a
    request up because it stops, and counts what was answered and how long it took.
    """

    def __init__(self, app: ASGIApp, noted: Noted | None = None) -> None:
        """`noted` is told of each request when it is over: its scope, status and duration."""
        self._app = app
        self._noted = noted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        started_s = time.perf_counter()
        given = next((v for k, v in scope["headers"] if k == b"x-request-id"), b"")
        text = given.decode("latin-1")
        name = text if REQUEST_ID_PATTERN.fullmatch(text) else ids.request_id()
        scope["rewards_request_id"] = name  # type: ignore[typeddict-unknown-key]
        REQUEST_ID.set(name)
        header = (b"x-request-id", name.encode())

        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = [*message["headers"], header]
                promised = cast("dict[str, Any]", scope).get("rewards_headers")
                message["headers"] = _with(promised, own) if promised else own
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except asyncio.CancelledError:
            if not status:
                await _send_given_up(send_with_id, name)
            raise
        finally:
            took_s = time.perf_counter() - started_s
            note(scope, status, took_s)
            if self._noted is not None and status:
                self._noted(scope, status, took_s)


def _with(
    promised: Mapping[bytes, bytes], own: list[tuple[bytes, bytes]]
) -> list[tuple[bytes, bytes]]:
    names = {name for name, _ in own}
    return own + [pair for pair in promised.items() if pair[0] not in names]


async def _send_given_up(send: Send, name: str) -> None:
    """Whether anything was done nobody knows yet: the caller's key will tell."""
    gone = Unavailable()
    body = ENCODER.encode(ErrorBody(gone.error, gone.message, gone.code, name))
    told = {"content-type": JSON, "content-length": str(len(body)), **(gone.headers or {})}
    headers = [(key.lower().encode(), value.encode()) for key, value in told.items()]
    await send({"type": "http.response.start", "status": gone.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def refuse(request: Request[Any, Any, Any], refusal: Refusal) -> Response[bytes]:
    _failed_as(request, refusal.code)
    REFUSALS.add(route_of(request.scope), refusal.code)
    body = ErrorBody(
        refusal.error,
        refusal.message,
        refusal.code,
        request_id(request),
        dict(refusal.details) if refusal.details else None,
    )
    return encode(body, refusal.status, refusal.headers)


# What the framework says where the sender went away before its body ended; nobody reads an answer.
HUNG_UP = "client disconnected prematurely"
FRAMEWORK_ERRORS: Mapping[int, tuple[str, str, str]] = {
    400: ("BadRequest", "Invalid request body format", "INVALID_BODY"),
    404: ("NotFound", "Not found", "NOT_FOUND"),
    405: ("MethodNotAllowed", "Method not allowed", "METHOD_NOT_ALLOWED"),
    413: ("PayloadTooLarge", "Request body is too large", "BODY_TOO_LARGE"),
}


def refuse_framework(request: Request[Any, Any, Any], problem: HTTPException) -> Response[bytes]:
    """What the framework itself refuses (routing, sizes), in the contract's form."""
    error, message, code = FRAMEWORK_ERRORS.get(problem.status_code, FRAMEWORK_ERRORS[400])
    status = problem.status_code if problem.status_code in FRAMEWORK_ERRORS else 400
    if problem.status_code >= 500 and problem.detail != HUNG_UP:
        return fail(request, problem)
    _failed_as(request, code)
    body = ErrorBody(error, message, code, request_id(request))
    return encode(body, status, {k: str(v) for k, v in (problem.headers or {}).items()})


def fail(request: Request[Any, Any, Any], problem: Exception) -> Response[bytes]:
    """A bug or an outage: 500 with nothing of the cause in it; the cause goes to the log."""
    # Only the type and place are logged: a message may quote the value that broke it.
    log.error(
        "request_failed",
        request_id=request_id(request),
        path=request.url.path,
        problem=type(problem).__name__,
        exc_info=problem,
    )
    _failed_as(request, "INTERNAL")
    creating = request.method == "POST" and request.url.path == "/api/v1/orders"
    message = "Failed to create order" if creating else "Internal server error"
    return encode(ErrorBody("InternalServerError", message, "INTERNAL", request_id(request)), 500)


def refuse_busy(request: Request[Any, Any, Any], _problem: Exception) -> Response[bytes]:
    """Others held what this needed, or it took too long: 503, and nothing was changed."""
    return refuse(request, Unavailable())


EXCEPTION_HANDLERS: dict[Any, Any] = {
    Refusal: refuse,
    asyncpg.LockNotAvailableError: refuse_busy,
    asyncpg.QueryCanceledError: refuse_busy,
    asyncpg.DeadlockDetectedError: refuse_busy,
    asyncpg.SerializationError: refuse_busy,
    HTTPException: refuse_framework,
    Exception: fail,
}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate key")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


# Numbers are not interpreted here, only syntax and duplicate keys are looked at.
_STRICT = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=str, parse_int=str, parse_constant=_refuse_constant
)


def decode(decoder: msgspec.json.Decoder[Body], raw: bytes) -> Body:
    """The body as its struct. Refuses bad UTF-8 or JSON, twin keys, wrong types, unknown fields.

    `details` name the place and what was expected there, or which fields there are, so that nobody
    has to guess.
    """
    try:
        _STRICT.decode(raw.decode("utf-8"))
        return decoder.decode(raw)
    except (ValueError, RecursionError, msgspec.MsgspecError) as bad:
        raise InvalidBody(details=_wrong(decoder, bad)) from bad


def _wrong(decoder: msgspec.json.Decoder[Body], bad: Exception) -> dict[str, object]:
    problem = _problem(bad)
    # One further down says ` - at` which of our places it is in; here it is the body's own.
    if problem == UNKNOWN_FIELD and NESTED not in str(bad):
        known = msgspec.structs.fields(cast("type[msgspec.Struct]", decoder.type))
        return {"problem": problem, "allowed": [field.encode_name for field in known]}
    return {"problem": problem}


def _problem(bad: Exception) -> str:
    """What is wrong, without a word of what was sent: it may be a secret in the wrong place."""
    said = str(bad)
    if isinstance(bad, msgspec.ValidationError) and not said.startswith(NAMES_OURS):
        return QUOTED.split(said, maxsplit=1)[0].rstrip()
    return said


def page_ask(number: str | None, size: str | None, *, default: int, maximum: int) -> PageAsk:
    """`page` and `limit` as sent. Refuses what is not a positive whole number within bounds."""
    return PageAsk(
        whole("Page", number, default=1, maximum=PAGE_MAX),
        whole("Limit", size, default=default, maximum=maximum),
    )


def whole(field: str, text: str | None, *, default: int, maximum: int) -> int:
    """A positive whole number; an empty parameter counts as absent."""
    if not text:
        return default
    if not re.fullmatch(r"[0-9]{1,18}", text, re.ASCII):
        raise InvalidField(field, "number")
    value = int(text)
    if value < 1:
        raise InvalidField(field, "min")
    if value > maximum:
        raise InvalidField(field, "max")
    return value


def one_of(field: str, kind: type[Choice], text: str | None) -> Choice | None:
    """`member_of`; an empty parameter counts as absent."""
    return member_of(field, kind, text) if text else None


def member_of(field: str, kind: type[Choice], text: str) -> Choice:
    """A member of an enumeration of capitals, named in any case (D12)."""
    try:
        return kind(text.upper())
    except ValueError:
        raise InvalidField(field, "oneof", details={"allowed": list(kind)}) from None


ID_MAX = 2**53 - 1


def path_id(text: str, missing: type[Refusal] = NotFound) -> int:
    """An id from the path; whatever is no id answers as an unknown one does."""
    if not re.fullmatch(r"[0-9]{1,16}", text, re.ASCII) or not 1 <= int(text) <= ID_MAX:
        raise missing
    return int(text)


def page_answer(
    request: Request[Any, Any, Any], page: Page[Any], body: Sequence[object]
) -> Response[bytes]:
    """A bare array with the paging headers of spec.md §2."""
    number, size = page.ask.number, page.ask.size
    has_more = number < page.pages
    headers = {
        "X-Page": str(number),
        "X-Per-Page": str(size),
        "X-Total-Count": str(page.total),
        "X-Total-Pages": str(page.pages),
        "X-Page-Size": str(len(body)),
        "X-Has-More": str(has_more).lower(),
    }
    links = []
    if has_more:
        links.append((number + 1, "next"))
    if number > 1:
        links.append((number - 1, "prev"))
    if page.pages:
        links += [(1, "first"), (page.pages, "last")]
    if links:
        headers["Link"] = ", ".join(
            f'<{_same_query(request, page=target)}>; rel="{rel}"' for target, rel in links
        )
    return encode(body, headers=headers)


def cursor_answer(
    request: Request[Any, Any, Any], body: Sequence[object], size: int, following: str | None
) -> Response[bytes]:
    """A bare array of a deep page: no totals, but where the next one starts."""
    headers = {
        "X-Per-Page": str(size),
        "X-Page-Size": str(len(body)),
        "X-Has-More": str(following is not None).lower(),
    }
    if following:
        headers["X-Next-Cursor"] = following
        headers["Link"] = f'<{_same_query(request, cursor=following)}>; rel="next"'
    return encode(body, headers=headers)


def _same_query(request: Request[Any, Any, Any], **changed: object) -> str:
    pairs = [(k, v) for k, v in request.query_params.multi_items() if k not in changed]
    pairs += [(k, str(v)) for k, v in changed.items()]
    return f"{request.scope['path']}?{urlencode(pairs)}"
