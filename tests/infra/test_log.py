"""The log: readable by machines, and nothing secret in it whatever is thrown at it."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from decimal import Decimal
from enum import Enum
from pathlib import Path

import asyncpg
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from rewards.core.errors import Conflict
from rewards.infra import log
from rewards.infra.db import Database

CANARY = "CANARY-7f3a91"


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    stream = io.StringIO()
    log.configure(pretty=False, stream=stream)
    yield stream
    root.handlers = handlers
    root.setLevel(level)
    logging.getLogger("uvicorn.access").disabled = False
    structlog.reset_defaults()


def lines(out: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


SECRET_KEYS = [
    *("code", "codes", "voucher_code", "card_number", "cardNumber", "CARD-NUMBER", "pin"),
    *("pin_code", "pinCode", "secret", "client_secret", "password", "password_hash", "token"),
    *("access_token", "refreshToken", "claim_token", "authorization", "Authorization", "api_key"),
    *("X-API-Key", "X-API-Secret", "apikey", "signature", "webhook-signature", "claim_url"),
    *("sealed", "signing_secret_sealed", "master_key", "database_url", "Set-Cookie", "dsn"),
]


@pytest.mark.parametrize("key", SECRET_KEYS)
def test_a_secret_field_is_blacked_out(out: io.StringIO, key: str) -> None:
    structlog.get_logger().info("seen", **{key: CANARY}, deep={"a": [{key: CANARY}, (key, CANARY)]})
    assert CANARY not in out.getvalue()
    [line] = lines(out)
    assert line[key] == log.REDACTED


@pytest.mark.parametrize(
    "key",
    [
        *("order_id", "status_code", "currency_code", "refusal_code", "request_id", "path"),
        *("batch", "shipping", "pinned", "decoded", "encoded", "spinner", "key_id", "tokenless"),
    ],
)
def test_a_harmless_field_stays(out: io.StringIO, key: str) -> None:
    structlog.get_logger().info("seen", **{key: 7})
    assert lines(out)[0][key] == 7


@pytest.mark.parametrize(
    "text",
    [
        f"Bearer {CANARY}",
        f"GET /vouchers/claim/{CANARY} HTTP/1.1",
        f"whsec_{CANARY}",
        f"rt_{CANARY}{CANARY}",
        f"postgresql://rewards:{CANARY}@db/rewards",
        f"eyJhbGciOi.eyJz{CANARY}.sig",
    ],
)
def test_what_looks_like_a_secret_is_blacked_out_in_any_text(out: io.StringIO, text: str) -> None:
    structlog.get_logger().info(text, note=text)
    logging.getLogger("other").warning("said %s", text)
    assert CANARY not in out.getvalue()


def test_unknown_objects_and_bytes_are_named_not_shown(out: io.StringIO) -> None:
    class Unit:
        def __repr__(self) -> str:
            return CANARY

    class Colour(Enum):
        RED = "red"

    structlog.get_logger().info(
        "seen", a=Unit(), b=CANARY.encode(), c=Colour.RED, d=Decimal("1.50")
    )
    [line] = lines(out)
    assert (line["a"], line["b"], line["c"], line["d"]) == ("<Unit>", "<bytes>", "red", "1.50")


def test_a_line_says_when_how_grave_and_for_which_request(out: io.StringIO) -> None:
    token = log.REQUEST_ID.set("req_1")
    structlog.get_logger().warning("seen", order_id=5)
    log.REQUEST_ID.reset(token)
    structlog.get_logger().debug("too fine to be written")
    [line] = lines(out)
    at = line.pop("at")
    assert str(at).endswith("Z")
    assert line == {"event": "seen", "order_id": 5, "request_id": "req_1", "level": "warning"}


def test_an_exception_is_told_without_its_words_or_variables(out: io.StringIO) -> None:
    def guess(pin: str) -> None:
        raise ValueError(f"bad {pin}")

    try:
        try:
            guess(CANARY)
        except ValueError as bad:
            raise KeyError(CANARY) from bad
    except KeyError:
        structlog.get_logger().exception("failed")
    assert CANARY not in out.getvalue()
    text = str(lines(out)[0]["exception"])
    assert text.startswith("KeyError\n")
    assert "caused by ValueError" in text
    assert "test_log.py:" in text
    assert "guess" in text
    assert str(Path(__file__).parent) not in text


def test_refusals_and_assertions_keep_what_is_ours() -> None:
    assert log.describe(Conflict("order 5")) == "rewards.core.errors.Conflict [CONFLICT]"
    assert log.describe(AssertionError("one answer each")) == "AssertionError one answer each"
    assert log.describe(FileNotFoundError(2, "No such file", "/secret")) == (
        "FileNotFoundError No such file"
    )


async def test_a_database_error_keeps_its_constraint_and_loses_the_row(
    out: io.StringIO, db: Database
) -> None:
    async with db.transaction() as tx:
        await tx.execute("CREATE TABLE things (code text CONSTRAINT things_code_key UNIQUE, n int)")
    said = []
    for statement, *values in (
        ("INSERT INTO things (code) VALUES ($1), ($1)", CANARY),
        ("SELECT $1::int", CANARY),
        ("SELECT CAST($1::text AS int)", CANARY),
    ):
        try:
            async with db.transaction() as tx:
                await tx.execute(statement, *values)
        except asyncpg.PostgresError as problem:
            structlog.get_logger().error("failed", exc_info=problem)
            said.append(log.describe(problem))
    assert len(said) == 3
    assert "23505 things things_code_key" in said[0]
    assert CANARY not in out.getvalue()


async def test_what_asyncio_says_of_a_lost_exception_is_cut(out: io.StringIO) -> None:
    async def fail() -> None:
        raise ValueError(CANARY)

    task = asyncio.ensure_future(fail())
    await asyncio.wait([task])
    asyncio.get_running_loop().call_exception_handler(
        {
            "message": "Task exception was never retrieved",
            "exception": task.exception(),
            "future": task,
        }
    )
    assert CANARY not in out.getvalue()
    [line] = lines(out)
    assert line["event"] == "Task exception was never retrieved"
    assert line["logger"] == "asyncio"
    assert str(line["exception"]).startswith("ValueError\n")


def test_other_libraries_are_heard_from_warning_on_and_access_lines_never(out: io.StringIO) -> None:
    logging.getLogger("some.library").info("chatter")
    logging.getLogger("some.library").warning("odd %s", "thing")
    logging.getLogger("uvicorn.access").warning("GET /vouchers/claim/x")
    assert [line["event"] for line in lines(out)] == ["odd thing"]


def test_a_broken_stream_loses_the_line_and_nothing_else() -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    log.configure(pretty=False, stream=Full())
    try:
        structlog.get_logger().error("lost")
        logging.getLogger("other").error("lost too")
    finally:
        structlog.reset_defaults()
        logging.getLogger().handlers = []


def test_a_terminal_gets_readable_lines_as_clean_as_the_others() -> None:
    stream = io.StringIO()
    log.configure(pretty=True, stream=stream)
    try:
        structlog.get_logger().error("seen", token=CANARY, exc_info=ValueError(CANARY))
    finally:
        structlog.reset_defaults()
        logging.getLogger().handlers = []
    assert "seen" in stream.getvalue()
    assert CANARY not in stream.getvalue()


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda part: st.lists(part) | st.dictionaries(st.text(), part) | st.tuples(part, part),
    max_leaves=20,
)


@given(value=anything)
def test_any_value_can_be_written(value: object) -> None:
    json.loads(log._JSON.encode({"value": log.clean(value)}))
