"""What vendors tell by themselves: heard when it is theirs, never believed, read back."""

import hashlib
import hmac
import json
from uuid import uuid4

import pytest
from httpx import Response

from rewards.vendors.http import CALLBACK_BYTES_MAX, WINDOWS
from rewards.vendors.purchases import BUY_JOB
from tests.staff.house import House
from tests.staff.test_staff_vendors import SECRET, added

ADD_PURCHASE = """
INSERT INTO vendor_orders (vendor_id, key, vendor_ref, purpose, subject_id, sku, face_minor,
    currency, quantity, state, next_at, window_ends_at, created_at, settled_at)
VALUES ($1, $2, $3, 'ORDER', 1, 'AMZ-25', 2500, 'USD', 1, $4, now(), now(), now(),
    CASE WHEN $4 = 'FULFILLED' THEN now() END) RETURNING id
"""


async def purchase(
    house: House, vendor_id: int, key: str, ref: str, state: str = "ACCEPTED"
) -> int:
    async with house.db.connection() as connection:
        return int(await connection.fetchval(ADD_PURCHASE, vendor_id, key, ref, state))


async def tell(
    house: House, vendor_id: int, key: str, ref: str, *, secret: str = SECRET, raw: bytes = b""
) -> Response:
    body = raw or json.dumps({"key": key, "ref": ref, "message_id": "m1"}).encode()
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return await house.http.post(
        f"/vendors/{vendor_id}/callback", content=body, headers={"X-Signature": signature}
    )


async def queued(house: House) -> list[str]:
    async with house.db.connection() as connection:
        rows = await connection.fetch(
            "SELECT entrypoint || ' ' || convert_from(payload, 'UTF8') AS said FROM pgqueuer"
        )
    return [row["said"] for row in rows]


@pytest.mark.parametrize("known_by", ["key", "ref"])
async def test_a_vendors_word_has_its_purchase_read_back_once(house: House, known_by: str) -> None:
    number = await added(house)
    key, ref = str(uuid4()), "ref-1"
    bought = await purchase(house, number, key, ref)
    named = (key, "") if known_by == "key" else ("", ref)
    for _ in range(3):
        answer = await tell(house, number, *named)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert await queued(house) == [f'{BUY_JOB} {{"purchase_id":{bought}}}']
    async with house.db.connection() as connection:
        kept = await connection.fetch("SELECT * FROM vendor_exchanges")
        state = await connection.fetchval("SELECT state FROM vendor_orders")
    assert [(row["call"], row["vendor_order_id"]) for row in kept] == [("callback", bought)] * 3
    assert state == "ACCEPTED"


async def test_what_is_settled_or_anothers_is_not_read(house: House) -> None:
    number = await added(house)
    other = await added(house, name="Other", secrets={"api_key": SECRET})
    await purchase(house, number, "settled", "ref-1", "FULFILLED")
    await purchase(house, other, "theirs", "ref-2")
    strange = ("settled", "ref-1"), ("theirs", "ref-2"), ("nobody", "none"), ("a\x00", "b\x00")
    for key, ref in strange:
        assert (await tell(house, number, key, ref)).status_code == 200
    assert await queued(house) == []


async def test_who_is_not_the_vendor_is_refused_and_nothing_is_kept(house: House) -> None:
    number = await added(house)
    await purchase(house, number, "mine", "ref")
    before = await house.everything()
    assert (await tell(house, number, "mine", "ref", secret="wrong")).status_code == 401
    assert (await tell(house, number, "", "", raw=b"nonsense")).status_code == 401
    assert (await tell(house, number, "", "", raw=b'{"key": 1}')).status_code == 401
    unsigned = await house.http.post(f"/vendors/{number}/callback", content=b"{}")
    assert (unsigned.status_code, unsigned.json()["code"]) == (401, "UNAUTHORIZED")
    for nobody in ("999999", "0", "x"):
        answer = await house.http.post(f"/vendors/{nobody}/callback", content=b"{}")
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
    huge = await tell(house, number, "", "", raw=b" " * (CALLBACK_BYTES_MAX + 1))
    assert huge.status_code == 413
    assert await house.everything() == before


async def test_a_flood_from_one_address_is_refused(house: House) -> None:
    number = await added(house)
    [window] = WINDOWS
    answers = [
        (await tell(house, number, "x", "y", secret="wrong")).status_code
        for _ in range(window.amount + 1)
    ]
    assert answers == [401] * window.amount + [429]
