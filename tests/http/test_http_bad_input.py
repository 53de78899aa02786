"""Whatever is sent, the answer is a clear refusal in the contract's form, and nothing changes."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import pytest

from tests.http.bad_input import ASKED, BODIES, FINE_BODY, ORDER, VALUES, Asked, at
from tests.http.calling import ORDERS, Answer, Api

FIELDS = [(asked, name) for asked in ASKED for name in asked.body]
RATE_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
TEN_MB = 10 * 1024 * 1024


def refused(answer: Answer, *statuses: int) -> None:
    """It is a 4xx of the contract's form."""
    status, _, _ = answer.refusal
    assert status in (statuses or range(400, 500)), answer.text


async def shown(api: Api, asked: Asked) -> Mapping[str, str]:
    return await api.as_staff() if asked.staff else api.key


@pytest.fixture(autouse=True)
def _logins_are_not_limited(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of attempts a minute are what this file is made of."""

    async def spend(*_: Any) -> dict[str, str]:
        return {}

    monkeypatch.setattr(type(api.parts.limiter), "spend", spend)


@pytest.mark.parametrize(
    ("asked", "name"), FIELDS, ids=[f"{a.method} {a.path} {n}" for a, n in FIELDS]
)
async def test_a_field_takes_what_it_may_and_refuses_the_rest(
    api: Api, asked: Asked, name: str
) -> None:
    who = await shown(api, asked)
    before = await api.everything()
    wrong = []
    for kind, value in VALUES.items():
        if kind in asked.may.get(name, ()):
            continue
        raw = asked.with_value(name, value)
        answer = await api.call(asked.method, at(asked.path, api), raw=raw, shown=who)
        if not 400 <= answer.status < 500:
            wrong.append((kind, answer.status, answer.text[:200]))
        else:
            refused(answer)
    assert not wrong
    assert await api.everything() == before
    for kind in sorted(asked.may.get(name, ())):
        raw = asked.with_value(name, VALUES[kind])
        answer = await api.call(asked.method, at(asked.path, api), raw=raw, shown=who)
        assert answer.status < 300, (kind, answer.text)


@pytest.mark.parametrize("asked", ASKED, ids=[f"{a.method} {a.path}" for a in ASKED])
async def test_a_body_nobody_can_read_is_refused_everywhere(api: Api, asked: Asked) -> None:
    who = await shown(api, asked)
    before = await api.everything()
    for kind, raw in BODIES.items():
        if kind == "empty" and asked.path.endswith(("/credentials", "/pump")):
            continue  # They take no body at all, too.
        answer = await api.call(asked.method, at(asked.path, api), raw=raw, shown=who)
        expected = (400, "BadRequest", "Invalid request body format")
        assert answer.refusal == expected, (kind, answer.text)
        assert answer.json["code"] == "INVALID_BODY"
    assert await api.everything() == before


async def test_an_unreadable_body_is_told_where_and_what_was_expected(api: Api) -> None:
    before = await api.everything()
    for raw, problem in (
        (
            b'{"product_id": 6, "mobile": "1"}',
            "Expected `object | null`, got `str` - at `$.mobile`",
        ),
        (b'{"product_id": 6, "nobody": 1}', "Object contains unknown field"),
        (b'{"product_id": }', "Expecting value: line 1 column 16"),
        (b'{"ref": "a", "ref": "b"}', "duplicate key"),
    ):
        answer = await api.call("POST", ORDERS, raw=raw)
        assert answer.refusal == (400, "BadRequest", "Invalid request body format")
        told = answer.json["details"]["problem"]
        assert told.startswith(problem) and "nobody" not in told, told
    assert await api.everything() == before


@pytest.mark.parametrize(
    ("raw", "top"),
    [
        (b'{"nobody": 1}', True),
        (b'{"mobile": {"nobody": 1}}', False),
        (b'{" - at `$nobody": 1}', False),
    ],
)
async def test_who_names_a_field_that_is_none_is_told_which_there_are(
    api: Api, raw: bytes, top: bool
) -> None:
    answer = await api.call("POST", ORDERS, raw=raw)
    assert answer.json["details"]["problem"] == "Object contains unknown field"
    told = answer.json["details"].get("allowed", [])
    assert ("product_id" in told and "quantity" in told) is top
    assert "nobody" not in answer.text


@pytest.mark.parametrize("asked", ASKED, ids=[f"{a.method} {a.path}" for a in ASKED])
async def test_a_body_of_10_mb_is_refused_and_the_next_request_is_heard(
    api: Api, asked: Asked
) -> None:
    who = await shown(api, asked)
    before = await api.everything()
    raw = b'{"ref": "' + b"x" * TEN_MB + b'"}'
    answer = await api.call(asked.method, at(asked.path, api), raw=raw, shown=who)
    refused(answer, 413)
    assert answer.json["code"] == "BODY_TOO_LARGE"
    assert (await api.call("GET", "/api/v1/wallets")).status == 200
    assert await api.everything() == before


@pytest.mark.parametrize("known", [True, False], ids=["too large", "from a stranger"])
async def test_who_sends_all_before_it_listens_reads_the_refusal(api: Api, known: bool) -> None:
    """As Python's own client does; a connection that is reset would be all it sees."""
    host = api.url.removeprefix("http://")

    def send_then_listen() -> tuple[int, str]:
        with closing(HTTPConnection(host, timeout=30)) as line:
            headers = {"Connection": "close"} | (api.key if known else {})
            line.request("POST", ORDERS, b" " * TEN_MB, headers)
            answer = line.getresponse()
            return answer.status, json.loads(answer.read())["code"]

    expected = (413, "BODY_TOO_LARGE") if known else (401, "UNAUTHORIZED")
    for _ in range(3):
        assert await asyncio.to_thread(send_then_listen) == expected


async def test_a_body_in_chunks_is_bounded_as_well(api: Api) -> None:
    async def chunks() -> Any:
        for _ in range(64):
            yield b" " * 16 * 1024

    sent = {**api.key, "Content-Type": "application/json"}
    async with api.session.post(api.url + ORDERS, data=chunks(), headers=sent) as answer:
        assert answer.status == 413
        assert (await answer.json())["code"] == "BODY_TOO_LARGE"


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/xml",
        "application/json; charset=utf-16",
        "multipart/form-data",
        "",
        "nonsense",
        "application/x-www-form-urlencoded",
        "a/b;" * 500,
    ],
)
async def test_the_body_counts_and_not_what_it_is_called(api: Api, content_type: str) -> None:
    headers = {"Content-Type": content_type}
    answer = await api.call("POST", ORDERS, raw=FINE_BODY, headers=headers)
    assert answer.status == 200, answer.text
    answer = await api.call("POST", ORDERS, raw=b"nonsense", headers=headers)
    assert answer.refusal == (400, "BadRequest", "Invalid request body format")


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "nonsense"])
async def test_a_packed_body_is_not_unpacked(api: Api, encoding: str) -> None:
    headers = {"Content-Encoding": encoding}
    answer = await api.call("POST", ORDERS, raw=BODIES["gzip"], headers=headers)
    refused(answer, 400)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("", "min"),
        ("1234567", "min"),
        ("x" * 256, "max"),
        ("with\ttab-in-it", "ascii"),
        ("umlaut-äöü-äöü", "ascii"),
    ],
)
async def test_a_wrong_idempotency_key_is_refused(api: Api, key: str, message: str) -> None:
    before = await api.everything()
    answer = await api.call("POST", ORDERS, raw=FINE_BODY, headers={"Idempotency-Key": key})
    assert answer.refusal == (400, "BadRequest", f"Invalid Idempotency-Key: {message}")
    assert await api.everything() == before


async def test_a_key_replays_its_answer_and_refuses_another_body(api: Api) -> None:
    headers = {"Idempotency-Key": "bad-input-key-1"}
    first = await api.call("POST", ORDERS, raw=FINE_BODY, headers=headers)
    before = await api.everything()
    again = await api.call("POST", ORDERS, raw=FINE_BODY, headers=headers)
    assert (again.status, again.text) == (200, first.text)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    other = FINE_BODY.replace(b"25.00", b"50.00")
    refused(await api.call("POST", ORDERS, raw=other, headers=headers), 422)
    after = await api.everything()
    # Opening the vouchers again is told to the audit trail, as every opening is.
    moved = {table for table in before if before[table] != after[table]}
    assert moved <= {"audit_entries"}, moved


async def test_two_idempotency_keys_or_references_of_one_request_are_refused(api: Api) -> None:
    host, _, port = api.url.removeprefix("http://").partition(":")
    head = "".join(f"{name}: {value}\r\n" for name, value in api.key.items())
    text = (
        f"POST {ORDERS} HTTP/1.1\r\nHost: x\r\n{head}Content-Length: {len(FINE_BODY)}\r\n"
        "Idempotency-Key: first-of-two\r\nIdempotency-Key: second-of-two\r\n"
        "Connection: close\r\n\r\n"
    )
    before = await api.everything()
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(text.encode() + FINE_BODY)
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 400"), answer
    assert await api.everything() == before


ENUMS: list[tuple[str, dict[str, Any]]] = [
    ("on_partial", {"on_partial": value})
    for value in ("keep", "KEEP", "Keep", "all_or_nothing", "ALL_OR_NOTHING")
]


@pytest.mark.parametrize(("_", "changed"), ENUMS)
async def test_enums_of_an_order_are_read_in_any_case(
    api: Api, _: str, changed: dict[str, Any]
) -> None:
    answer = await api.order(product_id=6, denomination=25, quantity=1, **changed)
    assert answer.status == 200, answer.text


@pytest.mark.parametrize(
    ("path", "same_as"),
    [
        (f"{ORDERS}?status=delivered", f"{ORDERS}?status=DELIVERED"),
        (f"{ORDERS}?sub_status=Completed", f"{ORDERS}?sub_status=COMPLETED"),
        (
            "/api/v1/products?delivery_time=REALTIME",
            "/api/v1/products?delivery_time=instant",
        ),
        (
            "/api/v1/products?delivery_time=realtime",
            "/api/v1/products?delivery_time=INSTANT",
        ),
        ("/api/v1/transactions?type=order", "/api/v1/transactions?type=ORDER"),
        ("/api/v1/transactions?direction=debit", "/api/v1/transactions?direction=DEBIT"),
        ("/api/v1/wallets?type=prepaid&status=active", "/api/v1/wallets?type=PREPAID"),
    ],
)
async def test_enums_in_a_query_are_read_in_any_case(api: Api, path: str, same_as: str) -> None:
    one, other = await api.call("GET", path), await api.call("GET", same_as)
    assert one.status == 200
    assert one.json == other.json != []


async def test_a_field_of_an_order_says_which_rule_it_breaks(api: Api) -> None:
    for name, value, message in (
        ("quantity", 2**60, "Invalid quantity, allowed max quantity: 1000"),
        ("denomination", 25.001, "Invalid Denomination: precision"),
        ("denomination", "NaN", "Invalid Denomination: format"),
        ("ref", "", "Invalid Ref: min"),
        ("ref", "x" * 129, "Invalid Ref: max"),
        ("ref", "a\x00b", "Invalid Ref: printable"),
        ("email", "a" * 250 + "@b.de", "Invalid Email: email"),
        ("metadata", {str(number): "" for number in range(21)}, "Invalid Metadata: max"),
        ("deliver_by", "2020-01-01T00:00:00Z", "Invalid DeliverBy: future"),
        ("deliver_by", "tomorrow", "Invalid DeliverBy: timestamp"),
        ("on_partial", "maybe", "Invalid OnPartial: oneof"),
        ("wallet_id", 0, "Invalid WalletId: gt"),
    ):
        answer = await api.order(
            **{"product_id": 6, "denomination": 25, "quantity": 1, name: value}
        )
        assert answer.refusal == (400, "BadRequest", message)


async def test_every_answer_to_an_order_carries_the_limits(api: Api) -> None:
    for raw, status in ((FINE_BODY, 200), (b"{", 400), (FINE_BODY.replace(b"6", b"77"), 404)):
        answer = await api.call("POST", ORDERS, raw=raw)
        assert answer.status == status
        for name in RATE_HEADERS:
            assert answer.headers[name].isdigit()
    assert set(ORDER.body) >= {"product_id", "denomination", "quantity"}
