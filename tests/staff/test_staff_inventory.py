"""Staff and stock: files in, a report out, the pump, the depth."""

import asyncio
import io
from typing import Any

import pytest

from rewards.core.errors import Unavailable
from rewards.staff import http_inventory, imports
from rewards.staff.model import Role
from tests.staff.house import House

API = "/admin/api/v1"
BATCHES = f"{API}/inventory/batches"
HEADER = "product_id,denomination,currency,expires_at,card_number,pin_code\n"


@pytest.fixture
async def product(house: House) -> int:
    return await house.add_product()


@pytest.fixture
async def operations(house: House) -> dict[str, str]:
    return await house.as_role(Role.OPERATIONS)


def row(product: int, number: int, **changed: str) -> str:
    cells = {
        "denomination": "25.00",
        "currency": "USD",
        "expires_at": "2027-12-31",
        "card": f"CANARY-{number:06d}",
        "pin": f"{number:04d}",
    } | changed
    return ",".join([str(product), *cells.values()]) + "\n"


async def send(
    house: House, headers: dict[str, str], content: bytes | str, query: str = "", **texts: str
) -> Any:
    data = content.encode() if isinstance(content, str) else content
    return await house.http.post(
        BATCHES + query,
        files={"file": ("stock.csv", io.BytesIO(data))},
        data=texts,
        headers=headers,
    )


async def test_a_small_file_is_answered_with_the_whole_report(
    house: House, operations: dict[str, str], product: int
) -> None:
    content = (
        HEADER
        + row(product, 1)
        + row(product, 1)
        + row(product, 2, currency="EUR")
        + row(product, 3)
    )
    answer = await send(house, operations, content, name="spring")
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["state"], told["name"], told["rows_read"]) == ("DONE", "spring", 4)
    assert (told["loaded"], told["duplicate"], told["invalid"]) == (2, 1, 1)
    assert [(line["row"], line["outcome"]) for line in told["rejected"]] == [
        (3, "DUPLICATE"),
        (4, "INVALID"),
    ]
    assert "CANARY" not in answer.text
    [entry] = await house.audit()
    assert (entry["action"], entry["subject_id"]) == ("batch.import_started", told["batch_id"])
    assert entry["facts"] == {"name": "spring", "file": "stock.csv", "size_bytes": len(content)}
    url = f"{BATCHES}/{told['batch_id']}"
    one = (await house.http.get(url, headers=operations)).json()
    assert one == {key: value for key, value in told.items() if key != "rejected"}
    assert [b["batch_id"] for b in (await house.http.get(BATCHES, headers=operations)).json()] == [
        told["batch_id"]
    ]
    rows = (await house.http.get(f"{url}/rows?limit=1&after=3", headers=operations)).json()
    assert [line["row"] for line in rows] == [4]


async def test_a_large_file_is_answered_before_it_is_read(
    house: House, operations: dict[str, str], product: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_inventory, "SMALL_ROWS_MAX", 10)
    content = HEADER + "".join(row(product, n) for n in range(3_000))
    answer = await send(house, operations, content)
    assert answer.status_code == 202, answer.text
    told = answer.json()
    assert told["state"] == "IMPORTING"
    url = f"{BATCHES}/{told['batch_id']}"
    async with asyncio.timeout(20):
        while told["state"] == "IMPORTING":
            await asyncio.sleep(0.02)
            told = (await house.http.get(url, headers=operations)).json()
    assert (told["state"], told["loaded"]) == ("DONE", 3_000)


async def test_wait_finishes_a_large_file_too(
    house: House, operations: dict[str, str], product: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_inventory, "SMALL_ROWS_MAX", 10)
    content = HEADER + "".join(row(product, n) for n in range(50))
    answer = await send(house, operations, content, "?wait=true")
    assert (answer.status_code, answer.json()["loaded"]) == (200, 50)


async def test_a_file_that_is_no_stock_fails_its_batch(
    house: House, operations: dict[str, str], product: int
) -> None:
    answer = await send(house, operations, "colour,shape\nred,round\n")
    assert answer.status_code == 200
    assert answer.json()["state"] == "FAILED"
    assert answer.json()["error"]


async def test_too_large_a_file_and_no_file_change_nothing(
    house: House, operations: dict[str, str]
) -> None:
    before = await house.everything()
    large = await send(house, operations, b"x" * 2_000_001)
    assert (large.status_code, large.json()["code"]) == (413, "BODY_TOO_LARGE")
    none = await house.http.post(BATCHES, data={"name": "x"}, headers=operations)
    assert (none.status_code, none.json()["code"]) == (400, "INVALID_BODY")
    odd = await send(house, operations, HEADER, "?wait=perhaps")
    assert (odd.status_code, odd.json()["message"]) == (400, "Invalid Wait: boolean")
    bad = await send(house, operations, HEADER, name="a\x07b")
    assert (bad.status_code, bad.json()["message"]) == (400, "Invalid Name: printable")
    assert await house.everything() == before


async def test_no_more_imports_run_than_there_is_room_for(
    house: House, operations: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "RUNNING_MAX", 0)
    before = await house.everything()
    answer = await send(house, operations, HEADER)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    assert answer.json()["code"] == Unavailable.code
    assert await house.everything() == before


async def test_a_pump_puts_what_waited_on_sale(
    house: House, operations: dict[str, str], product: int
) -> None:
    await send(house, operations, HEADER + "".join(row(product, n) for n in range(5)))

    async def depth() -> Any:
        answer = await house.http.get(f"{API}/inventory/depth", headers=operations)
        assert answer.status_code == 200
        return answer

    [line] = (await depth()).json()
    assert (line["loaded"], line["waiting"]) == (0, 5)
    assert '"denomination":25.00' in (await depth()).text
    answer = await house.http.post(f"{API}/inventory/pump", headers=operations)
    assert answer.status_code == 200, answer.text
    assert answer.json()["loaded"] == 5
    [shelf] = answer.json()["shelves"]
    assert (shelf["product_id"], shelf["depth"], shelf["waiting"]) == (product, 5, 0)
    [line] = (await depth()).json()
    assert (line["loaded"], line["waiting"]) == (5, 0)
    entry = (await house.audit())[-1]
    assert (entry["action"], entry["facts"]["loaded"]) == ("inventory.pumped", 5)


SHELVES = """
INSERT INTO shelf (unit_id, product_id, denomination_minor, currency, expires_at, loaded)
SELECT p * 1000 + n, p, 2500, 'USD', 'infinity', n = 1
FROM generate_series(1, 120) AS p, generate_series(1, 2) AS n
"""


async def test_the_depth_is_told_in_pages(house: House, operations: dict[str, str]) -> None:
    async with house.db.transaction() as tx:
        await tx.execute(SHELVES)
    url, seen, sizes = f"{API}/inventory/depth", [], []
    while url:
        answer = await house.http.get(url, headers=operations)
        assert answer.status_code == 200
        seen += [line["product_id"] for line in answer.json()]
        sizes.append(len(answer.json()))
        more = answer.headers["X-Has-More"] == "true"
        url = answer.links["next"]["url"] if more else ""
        assert more == ("X-Next-Cursor" in answer.headers)
    assert sizes == [50, 50, 20]
    assert seen == list(range(1, 121))
    whole = await house.http.get(f"{API}/inventory/depth?limit=100", headers=operations)
    assert [line["product_id"] for line in whole.json()] == seen[:100]
    [line] = (
        await house.http.get(f"{API}/inventory/depth?product_id=120", headers=operations)
    ).json()
    assert (line["loaded"], line["waiting"], line["counted_to"]) == (1, 1, 10_000)


async def test_a_pump_of_other_products_leaves_this_one(
    house: House, operations: dict[str, str], product: int
) -> None:
    await send(house, operations, HEADER + row(product, 1))
    other = await house.add_product()
    body = {"product_ids": [other]}
    answer = await house.http.post(f"{API}/inventory/pump", json=body, headers=operations)
    assert (answer.json()["loaded"], answer.json()["shelves"]) == (0, [])
    before = await house.everything()
    for wrong in ([0], [2**60], ["x"]):
        refused = await house.http.post(
            f"{API}/inventory/pump", json={"product_ids": wrong}, headers=operations
        )
        assert refused.status_code == 400
    body = {"product_ids": [product, other + 7, other + 1, other + 7]}
    refused = await house.http.post(f"{API}/inventory/pump", json=body, headers=operations)
    assert (refused.status_code, refused.json()["code"]) == (404, "PRODUCT_NOT_FOUND")
    assert refused.json()["details"] == {"product_ids": [other + 1, other + 7]}
    assert await house.everything() == before


async def test_unknown_batches_are_404(house: House, operations: dict[str, str]) -> None:
    for batch_id in ("999999", "x"):
        for path in ("", "/rows"):
            answer = await house.http.get(f"{BATCHES}/{batch_id}{path}", headers=operations)
            assert (answer.status_code, answer.json()["code"]) == (404, "BATCH_NOT_FOUND")
