"""Idempotency keys: what a key is, when two bodies are one, and how long an answer is kept."""

from datetime import UTC, datetime, timedelta

import pytest

from rewards.core.errors import InvalidBody, InvalidField
from rewards.infra import idempotency
from rewards.infra.idempotency import KeyAsk, KeyRecord, StoredAnswer
from tests.counting import statements

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
PRINT = idempotency.fingerprint(b"{}")
ASK = KeyAsk(1, "POST /orders", "key-0001")


def record(key: str = "key-0001", client_id: int = 1, route: str = "POST /orders") -> KeyRecord:
    return KeyRecord(client_id, route, key, PRINT, {"order_id": 5})


@pytest.mark.parametrize("key", ["a" * 8, "~" * 255, "ord_1 2:{}", "01234567-89ab"])
def test_a_key_is_8_to_255_printable_characters(key):
    assert idempotency.validate(key) == key


@pytest.mark.parametrize(
    ("key", "rule"),
    [
        ("", "min"),
        ("a" * 7, "min"),
        ("a" * 256, "max"),
        ("a" * 8 + "\x7f", "ascii"),
        ("a" * 8 + "\n", "ascii"),
        ("a" * 8 + "\x00", "ascii"),
        ("äöüäöüäö", "ascii"),
        (" " * 8, "ascii"),
    ],
)
def test_any_other_key_is_refused(key, rule):
    with pytest.raises(InvalidField) as refused:
        idempotency.validate(key)
    assert refused.value.message == f"Invalid Idempotency-Key: {rule}"


@pytest.mark.parametrize(
    "body",
    [
        b'{"product_id":6,"denomination":25,"ref":"\xc3\xa4"}',
        b'{ "denomination" : 25.00,\n "product_id": 6.0, "ref": "\\u00e4" }',
        b'{"ref":"\xc3\xa4","denomination":2.5e1,"product_id":6}',
    ],
)
def test_spelling_does_not_make_another_body(body):
    first = b'{"product_id":6,"denomination":25,"ref":"\xc3\xa4"}'
    assert idempotency.fingerprint(body) == idempotency.fingerprint(first)
    assert len(idempotency.fingerprint(body)) == 32


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"a":"25"}',
        b'{"a":25.01}',
        b'{"a":25,"b":null}',
        b'{"a":[1,2]}',
        b'{"a":[2,1]}',
        b'{"a":0.12345678901234567890123456789012345}',
        b'{"a":0.12345678901234567890123456789012346}',
        b'{"a":1e400}',
        b'{"a":true}',
    ],
)
def test_another_body_has_another_fingerprint(body):
    assert idempotency.fingerprint(body) != idempotency.fingerprint(b'{"a":25}')


def test_no_two_of_many_bodies_share_a_fingerprint():
    bodies = [b'{"a":%d}' % n for n in range(200)]
    bodies += [b'{"a":0.1234567890123456789012345678901234%d}' % n for n in range(1, 9)]
    assert len({idempotency.fingerprint(body) for body in bodies}) == len(bodies)


@pytest.mark.parametrize(
    "body", [b"{", b"nope", b'{"a":NaN}', b'{"a":1e99999999999999999999}', b"\xff", b"[" * 10_000]
)
def test_what_is_not_json_has_no_fingerprint(body):
    with pytest.raises(InvalidBody):
        idempotency.fingerprint(body)


async def test_an_answer_is_read_back_under_its_own_client_and_route(db):
    async with db.transaction() as tx:
        await idempotency.store(tx, [record(), record("key-0002")], AT)
        asks = [
            KeyAsk(2, "POST /orders", "key-0001"),
            ASK,
            KeyAsk(1, "POST /other", "key-0001"),
            KeyAsk(1, "POST /orders", "key-0009"),
            ASK,
        ]
        stored = StoredAnswer(PRINT, {"order_id": 5})
        assert await idempotency.read(tx, asks, AT) == [None, stored, None, None, stored]
        assert await idempotency.read(tx, [], AT) == []


async def test_an_answer_is_kept_for_thirty_days_to_the_microsecond(db):
    last = AT + timedelta(days=30) - timedelta(microseconds=1)
    async with db.transaction() as tx:
        await idempotency.store(tx, [record()], AT)
        for now, kept in (
            (AT + timedelta(days=29, hours=23), True),
            (last, True),
            (AT + timedelta(days=30), False),
            (AT + timedelta(days=31), False),
        ):
            [found] = await idempotency.read(tx, [ASK], now)
            assert (found is not None) is kept


async def test_an_expired_key_is_free_again(db):
    later = AT + timedelta(days=30)
    second = KeyRecord(1, "POST /orders", "key-0001", b"x" * 32, {"order_id": 6})
    async with db.transaction() as tx:
        await idempotency.store(tx, [record()], AT)
    async with db.transaction() as tx:
        await idempotency.store(tx, [second], later)
        assert await idempotency.read(tx, [ASK], later) == [
            StoredAnswer(b"x" * 32, {"order_id": 6})
        ]


async def test_a_live_key_is_never_written_over(db):
    async with db.transaction() as tx:
        await idempotency.store(tx, [record()], AT)
    with pytest.raises(AssertionError):
        async with db.transaction() as tx:
            await idempotency.store(
                tx, [record("key-0002"), record()], AT + timedelta(days=30, microseconds=-1)
            )
    async with db.transaction() as tx:
        assert await idempotency.read(tx, [KeyAsk(1, "POST /orders", "key-0002")], AT) == [None]
    with pytest.raises(AssertionError):
        async with db.transaction() as tx:
            await idempotency.store(tx, [record("key-0003"), record("key-0003")], AT)


async def test_old_keys_are_forgotten(db):
    async with db.transaction() as tx:
        await idempotency.store(tx, [record()], AT)
        await idempotency.store(tx, [record("key-0002")], AT + timedelta(days=1))
        assert await idempotency.forget(tx, AT + timedelta(hours=1)) == 1
        assert [
            found is not None
            for found in await idempotency.read(
                tx, [ASK, KeyAsk(1, "POST /orders", "key-0002")], AT + timedelta(days=1)
            )
        ] == [False, True]


async def test_store_and_read_are_one_statement_each(db):
    async with db.transaction() as tx:
        with statements(tx) as sent:
            await idempotency.store(tx, [record(), record("key-0002")], AT)
            await idempotency.read(tx, [ASK, ASK], AT)
    assert len(sent) == 2


def test_the_refusals_are_those_of_the_contract():
    reused, running = idempotency.IdempotencyKeyReused(), idempotency.IdempotencyKeyInProgress()
    assert (reused.status, reused.code) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert (running.status, running.code) == (409, "IDEMPOTENCY_KEY_IN_PROGRESS")
    assert running.headers == {"Retry-After": "1"}
