"""The log: one JSON object a line (or a readable one on a terminal), with nothing secret in it."""

import enum
import logging
import re
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final, TextIO
from uuid import UUID

import asyncpg
import msgspec
import structlog
from structlog.types import Processor

from rewards.core.errors import Refusal

REDACTED: Final = "[redacted]"
DEPTH_MAX = 6
ITEM_MAX = 100
TEXT_LENGTH_MAX = 2_000
CHAIN_MAX = 5
FRAME_MAX = 40

# Set for the length of one request; every line logged meanwhile carries it.
REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")

# A key is secret when one of its words is here, or its words joined contain a compound below.
SECRET_WORDS = frozenset(
    (
        *("authorization", "cookie", "credential", "credentials", "dsn", "jwt", "sealed"),
        *("code", "codes", "pin", "pins", "passwd", "password", "passwords", "wrapped"),
        *("secret", "secrets", "signature", "token", "tokens"),
    )
)
SECRET_COMPOUNDS = (
    *("apikey", "cardnumber", "claimurl", "databaseurl", "masterkey", "pincode", "privatekey"),
    *("accesskey", "datakey", "encryptionkey", "redisurl", "signingkey"),
)
# They end in "code" but name no voucher's.
HARMLESS_KEYS = frozenset(
    ("country_code", "currency_code", "error_code", "exit_code", "refusal_code", "status_code")
)
WORD_BREAK = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])")
# What gives itself away by its form, wherever it stands in a text.
SECRET_TEXT = re.compile(
    r"whsec_[A-Za-z0-9+/=_\-]+"
    r"|\brt_[A-Za-z0-9_\-]{20,}"
    r"|(?i:bearer|basic)\s+[A-Za-z0-9._~+/=\-]{8,}"
    r"|eyJ[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]*"
    r"|/claim/[A-Za-z0-9_\-]+"
    r"|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"
)
# Exceptions whose words are ours or the operating system's; any other's may quote what broke it.
SPOKEN = (AssertionError, ImportError, OSError, NotImplementedError)


def is_secret(key: str) -> bool:
    """Whether a field of this name could hold what must never be written down."""
    words = [word.lower() for word in WORD_BREAK.split(key) if word]
    if "_".join(words) in HARMLESS_KEYS:
        return False
    joined = "".join(words)
    return not SECRET_WORDS.isdisjoint(words) or any(part in joined for part in SECRET_COMPOUNDS)


def clean(value: object, depth: int = 0) -> object:
    """The value as it may be written: secrets blacked out, unknown objects as their type's name."""
    if value is None or isinstance(value, bool | int | float | Decimal | UUID | date | timedelta):
        return value
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, str):
        text = SECRET_TEXT.sub(REDACTED, value)
        return text if len(text) <= TEXT_LENGTH_MAX else text[:TEXT_LENGTH_MAX] + "…"
    if isinstance(value, BaseException):
        return type(value).__qualname__
    if depth < DEPTH_MAX:
        if isinstance(value, Mapping):
            return {
                str(key): REDACTED if is_secret(str(key)) else clean(item, depth + 1)
                for key, item in list(value.items())[:ITEM_MAX]
            }
        if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str):
            # A header or a query parameter as a pair.
            return [value[0], REDACTED if is_secret(value[0]) else clean(value[1], depth + 1)]
        if isinstance(value, list | tuple | set | frozenset):
            return [clean(item, depth + 1) for item in list(value)[:ITEM_MAX]]
    return f"<{type(value).__name__}>"


def describe(problem: BaseException) -> str:
    """An exception in one line: its type, and its words only where they cannot quote a value."""
    name = f"{type(problem).__module__}.{type(problem).__qualname__}".removeprefix("builtins.")
    if isinstance(problem, asyncpg.PostgresError):
        # No DETAIL, HINT or CONTEXT, and no words of class 22: they quote rows and parameters.
        about = " ".join(
            str(part)
            for part in (problem.sqlstate, problem.table_name, problem.constraint_name)
            if part
        )
        said = "" if isinstance(problem, asyncpg.DataError) else str(problem.args[0])
        return f"{name} [{about}] {_spoken(said)}".rstrip()
    if isinstance(problem, Refusal):
        return f"{name} [{problem.code}]"
    if isinstance(problem, OSError):
        return f"{name} {_spoken(problem.strerror or '')}".rstrip()
    if isinstance(problem, SPOKEN):
        return f"{name} {_spoken(str(problem))}".rstrip()
    return name


def _spoken(words: str) -> str:
    return str(clean(words.partition("\n")[0]))


def trace(problem: BaseException) -> str:
    """The exception and its causes with their frames; no source lines, no local variables."""
    lines: list[str] = []
    link: BaseException | None = problem
    for _ in range(CHAIN_MAX):
        if link is None:
            break
        lines.append(("caused by " if lines else "") + describe(link))
        frames = list(traceback.walk_tb(link.__traceback__))[-FRAME_MAX:]
        lines += [
            f"  {_place(frame.f_code.co_filename)}:{line} {frame.f_code.co_qualname}"
            for frame, line in frames
        ]
        if isinstance(link, BaseExceptionGroup):
            lines += [f"  holds {describe(part)}" for part in link.exceptions[:CHAIN_MAX]]
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return "\n".join(lines)


def _place(path: str) -> str:
    """The file without the folders of the machine."""
    for root in ("/site-packages/", "/src/", "/lib/python3"):
        _, found, rest = path.rpartition(root)
        if found:
            return rest
    return path.rpartition("/")[2]


Event = MutableMapping[str, Any]


def _redact(_logger: object, _method: str, event: Event) -> Event:
    """First of all processors: nothing after it ever sees a secret."""
    problem = event.pop("exc_info", None)
    if problem is True:
        problem = sys.exc_info()[1]
    elif isinstance(problem, tuple):
        problem = problem[1]
    request_id = REQUEST_ID.get()
    if request_id:
        event.setdefault("request_id", request_id)
    for key, value in structlog.contextvars.get_contextvars().items():
        event.setdefault(key, value)
    for key, value in event.items():
        # `_record` is the foreign logger's own; it is dropped before anything is written.
        if key != "_record":
            event[key] = REDACTED if is_secret(key) else clean(value)
    if isinstance(problem, BaseException):
        event["exception"] = trace(problem)
    return event


def _first_line(_logger: object, _method: str, event: Event) -> Event:
    """Of other libraries' words only the first line: asyncio prints exceptions in the rest."""
    event["event"] = str(event["event"]).partition("\n")[0]
    return event


def _to_json(_logger: object, _method: str, event: Event) -> str:
    return _JSON.encode({"at": event.pop("timestamp"), **event}).decode()


_JSON = msgspec.json.Encoder(enc_hook=lambda value: f"<{type(value).__name__}>")


class _Lines:
    """Writes lines; a full disk or a closed pipe loses the line, never the request."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            return

    def flush(self) -> None:
        return

    def msg(self, line: str) -> None:
        self.write(line + "\n")

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


def configure(
    *, level: str = "INFO", pretty: bool | None = None, stream: TextIO | None = None
) -> None:
    """Set up logging for this process; called once, first thing, by an entry point.

    JSON lines to stderr; `pretty` (the default on a terminal) is for people. Other libraries' log
    records take the same way, from WARNING on. uvicorn's access log stays off: its lines hold
    claim links.
    """
    target = stream or sys.stderr
    out = _Lines(target)
    if pretty is None:
        pretty = target.isatty()
    shared: list[Processor] = [
        _redact,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render: Processor = structlog.dev.ConsoleRenderer(colors=True) if pretty else _to_json
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: out,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                _redact,
                _first_line,
                structlog.stdlib.add_logger_name,
                *shared[1:],
            ],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("uvicorn.access").disabled = True
