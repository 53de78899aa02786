"""Vendor accounts through the staff API: set up, changed, paused, asked; secrets stay secret."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from rewards.staff.model import Role
from rewards.vendors.simulators.faults import Fault, Scripted
from rewards.vendors.simulators.sandbox import SandboxSimulator
from rewards.vendors.tasks import VendorTasks
from tests.security.sweep import forms
from tests.staff.house import House
from tests.vendors.office import simulator

BASE = "/admin/api/v1"
SECRET = "key-of-the-vendor-a1b2c3d4"
LONG = "x" * 9_000


@pytest.fixture
async def shop() -> AsyncIterator[tuple[SandboxSimulator, str]]:
    made = simulator()
    async with made.serve() as url:
        yield made, url


def account(url: str = "https://vendor.example/v1", **changed: Any) -> dict[str, Any]:
    body = {
        "name": "Sandbox",
        "adapter": "sandbox",
        "config": {"base_url": url},
        "secrets": {"api_key": SECRET},
    }
    return body | changed


async def added(house: House, url: str = "https://vendor.example/v1", **changed: Any) -> int:
    admin = house.token(await house.member(Role.ADMIN, username=f"adder{len(changed)}@x.yz"))
    answer = await house.http.post(f"{BASE}/vendors", json=account(url, **changed), headers=admin)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


async def test_an_account_is_added_and_its_secret_is_nowhere_to_be_read(house: House) -> None:
    admin = await house.as_role(Role.ADMIN)
    answer = await house.http.post(f"{BASE}/vendors", json=account(), headers=admin)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert made["status"] == "ACTIVE"
    assert made["secrets"] == {"api_key": "…c3d4"}
    assert made["config"] == {"base_url": "https://vendor.example/v1"}
    viewer = await house.as_role(Role.VIEWER)
    path = f"{BASE}/vendors/{made['id']}"
    seen = (await house.http.get(path, headers=viewer)).json()
    assert seen == made | {"secrets": {"api_key": "…"}}
    listed = (await house.http.get(f"{BASE}/vendors", headers=viewer)).json()
    assert listed == [seen]
    told = answer.text + str(await house.everything()) + str(await house.audit())
    assert not [form for form in forms(SECRET) if form in told.encode()]
    [row] = await house.audit()
    assert (row["action"], row["subject_kind"], row["subject_id"]) == (
        "vendor.created",
        "vendor",
        made["id"],
    )


async def test_a_short_secret_is_masked_whole(house: House) -> None:
    admin = await house.as_role(Role.ADMIN)
    body = account(secrets={"api_key": "tiny"})
    made = (await house.http.post(f"{BASE}/vendors", json=body, headers=admin)).json()
    assert made["secrets"] == {"api_key": "…"}


def config(**fields: Any) -> dict[str, Any]:
    return {"config": {"base_url": "https://vendor.example"} | fields}


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "Invalid Name: min"),
    ({"name": "x" * 101}, "Invalid Name: max"),
    ({"name": "a\x00"}, "Invalid Name: printable"),
    ({"adapter": "nobody"}, "Invalid Adapter: oneof"),
    ({"config": {}}, "Invalid Config.base_url: required"),
    (config(more="x"), "Invalid Config: unknown"),
    (config(base_url=""), "Invalid Config.base_url: min"),
    (config(base_url="https://a/" + LONG), "Invalid Config.base_url: max"),
    (config(base_url="https://a\nb"), "Invalid Config.base_url: printable"),
    *(
        (config(base_url=url), "Invalid Config.base_url: url")
        for url in (
            *("vendor.example", "ftp://vendor.example", "https://", "//vendor.example"),
            *("https://user:pass@vendor.example", "https://vendor.example?a=b"),
            *("https://vendor.example#x", "https://good.example\\@bad.example"),
            *("https://vendor.example:99999", "https://[::1", "https://:443", "file:///etc"),
        )
    ),
    *(
        (config(base_url=url), "Invalid Config.base_url: https")
        for url in (
            *("http://vendor.example", "http://10.0.0.1", "http://169.254.169.254/latest"),
            *("http://127.0.0.1.example", "http://0.0.0.0", "http://[::2]"),
        )
    ),
    ({"secrets": {}}, "Invalid Secrets.api_key: required"),
    ({"secrets": {"api_key": SECRET, "more": "x"}}, "Invalid Secrets: unknown"),
    ({"secrets": {"api_key": ""}}, "Invalid Secrets.api_key: min"),
    ({"secrets": {"api_key": LONG}}, "Invalid Secrets.api_key: max"),
    ({"secrets": {"api_key": "a\x00"}}, "Invalid Secrets.api_key: printable"),
    ({"secrets": {"api_key": "a\n"}}, "Invalid Secrets.api_key: printable"),
    (
        {"adapter": "vouchagram", "secrets": {"username": "u", "password": "p", "key": "short"}},
        "Invalid Config: build",
    ),
]


@pytest.mark.parametrize(("changed", "message"), WRONG, ids=[f"{w} {m}"[:60] for w, m in WRONG])
async def test_a_wrong_field_is_refused_by_name(
    house: House, changed: dict[str, Any], message: str
) -> None:
    admin = await house.as_role(Role.ADMIN)
    before = await house.everything()
    answer = await house.http.post(f"{BASE}/vendors", json=account() | changed, headers=admin)
    assert (answer.status_code, answer.json()["message"]) == (400, message)
    assert await house.everything() == before


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://[::1]:9/x", "http://localhost:9"])
async def test_this_machine_may_be_called_without_tls_where_settings_say_so(
    house: House, url: str
) -> None:
    assert await added(house, url)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", 5),
        ("config", []),
        ("config", {"base_url": 5}),
        ("secrets", "x"),
        ("status", "ACTIVE"),
    ],
)
async def test_a_body_of_a_wrong_shape_is_refused(house: House, field: str, value: Any) -> None:
    admin = await house.as_role(Role.ADMIN)
    before = await house.everything()
    answer = await house.http.post(
        f"{BASE}/vendors", json=account() | {field: value}, headers=admin
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_BODY")
    assert await house.everything() == before


async def test_two_accounts_do_not_share_a_name(house: House) -> None:
    admin = await house.as_role(Role.ADMIN)
    for name in ("one", "two"):
        await house.http.post(f"{BASE}/vendors", json=account(name=name), headers=admin)
    [one, two] = (await house.http.get(f"{BASE}/vendors", headers=admin)).json()
    before = await house.everything()
    again = await house.http.post(f"{BASE}/vendors", json=account(name="two"), headers=admin)
    renamed = await house.http.patch(
        f"{BASE}/vendors/{one['id']}", json={"name": "two"}, headers=admin
    )
    for answer in (again, renamed):
        assert (answer.status_code, answer.json()["code"]) == (409, "VENDOR_NAME_TAKEN")
    same = await house.http.patch(
        f"{BASE}/vendors/{two['id']}", json={"name": "two"}, headers=admin
    )
    assert (same.status_code, same.json()) == (200, two)
    assert {**await house.everything(), "vendors": 0} == {**before, "vendors": 0}


async def test_operations_pause_and_only_admins_say_where_secrets_go(house: House) -> None:
    number = await added(house)
    operations = await house.as_role(Role.OPERATIONS)
    path = f"{BASE}/vendors/{number}"
    paused = await house.http.patch(path, json={"status": "paused"}, headers=operations)
    assert (paused.status_code, paused.json()["status"]) == (200, "PAUSED")
    before = await house.everything()
    for body in ({"config": {"base_url": "https://mine.example"}}, {"secrets": {"api_key": "x"}}):
        answer = await house.http.patch(path, json=body, headers=operations)
        assert answer.status_code == 403
        assert answer.json()["details"] == {"permission": "vendors:secrets"}
    for body, message in (
        ({"status": "GONE"}, "Invalid Status: oneof"),
        ({"name": ""}, "Invalid Name: min"),
    ):
        answer = await house.http.patch(path, json=body, headers=operations)
        assert answer.json()["message"] == message
    assert await house.everything() == before
    created, changed = await house.audit()
    assert created["action"] == "vendor.created"
    assert changed["action"] == "vendor.changed"
    assert changed["facts"] == {"status": {"from": "ACTIVE", "to": "PAUSED"}}


async def test_secrets_are_not_sent_to_another_host_by_who_cannot_read_them(house: House) -> None:
    number = await added(house)
    admin = await house.as_role(Role.ADMIN)
    path = f"{BASE}/vendors/{number}"
    before = await house.everything()
    for url in ("https://mine.example/v1", "https://vendor.example:444/v1"):
        body: dict[str, Any] = {"config": {"base_url": url}}
        answer = await house.http.patch(path, json=body, headers=admin)
        assert (answer.status_code, answer.json()["message"]) == (400, "Invalid Secrets: required")
    assert await house.everything() == before
    body |= {"secrets": {"api_key": "another-key-9999"}}
    moved = await house.http.patch(path, json=body, headers=admin)
    assert (moved.status_code, moved.json()["secrets"]) == (200, {"api_key": "…9999"})
    same_host = {"config": {"base_url": "https://vendor.example:444/v2"}}
    assert (await house.http.patch(path, json=same_host, headers=admin)).status_code == 200
    assert "another-key" not in str(await house.audit())


async def test_a_check_asks_the_vendor_now(
    house: House, shop: tuple[SandboxSimulator, str]
) -> None:
    vendor, url = shop
    number = await added(house, url)
    operations = await house.as_role(Role.OPERATIONS)
    path = f"{BASE}/vendors/{number}"
    told = (await house.http.post(f"{path}/check", headers=operations)).json()
    assert (told["ok"], told["problem"]) == (True, None)
    assert {each["currency"]: each["amount"] for each in told["balances"]} == {
        "JPY": 10**12,
        "USD": 10**10,
    }
    seen = (await house.http.get(path, headers=operations)).json()
    assert [each["currency"] for each in seen["balances"]] == ["JPY", "USD"]
    assert [(each["what"], each["problem"]) for each in seen["readings"]] == [("BALANCES", None)]
    vendor.script.add([Scripted(Fault.TOKEN_KILLED)])
    told = (await house.http.post(f"{path}/check", headers=operations)).json()
    assert (told["ok"], told["problem"], told["balances"]) == (False, "balance: 401", [])


async def test_a_catalogue_is_asked_for_read_and_searched(
    house: House, shop: tuple[SandboxSimulator, str]
) -> None:
    number = await added(house, shop[1])
    headers = await house.as_role(Role.OPERATIONS)
    path = f"{BASE}/vendors/{number}"
    for _ in range(2):
        asked = await house.http.post(f"{path}/sync", headers=headers)
        assert (asked.status_code, asked.json()) == (202, {"vendor_id": number, "queued": True})
    async with house.db.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM pgqueuer") == 1
    assert [row["action"] for row in await house.audit()][1:] == ["vendor.sync_asked"] * 2
    await VendorTasks(house.db, house.accounts, house.clock).sync([number])
    offers = (await house.http.get(f"{path}/offers", headers=headers)).json()
    assert [(each["sku"], each["amounts"], each["min_amount"]) for each in offers] == [
        ("AMZ-25", [25.0], 25.0),
        ("ANY_YEN", [], 100),
    ]
    for search, skus in (("amaz", ["AMZ-25"]), ("%", ["ANY_YEN"]), ("y_y", ["ANY_YEN"]), ("q", [])):
        found = await house.http.get(f"{path}/offers", params={"search": search}, headers=headers)
        assert [each["sku"] for each in found.json()] == skus
    second = await house.http.get(f"{path}/offers?page=2&limit=1", headers=headers)
    assert [each["sku"] for each in second.json()] == ["ANY_YEN"]
    assert second.headers["X-Total-Count"] == "2"
    bad = await house.http.get(f"{path}/offers?search={'x' * 201}", headers=headers)
    assert bad.json()["message"] == "Invalid Search: max"


async def test_a_product_is_mapped_and_mapped_otherwise(house: House) -> None:
    number, product = await added(house), await house.add_product()
    headers = await house.as_role(Role.OPERATIONS)
    path = f"{BASE}/vendors/{number}/products"
    terms = {"sku": "AMZ-25", "discount_percent": 2.5, "fee": 0.25, "priority": 1, "active": False}
    first = await house.http.put(f"{path}/{product}", json={"sku": "AMZ"}, headers=headers)
    assert first.json() == {
        "vendor_id": number,
        "product_id": product,
        "sku": "AMZ",
        "discount_percent": 0,
        "fee": 0,
        "priority": 100,
        "active": True,
    }
    for _ in range(2):
        second = await house.http.put(f"{path}/{product}", json=terms, headers=headers)
        assert second.json() == {"vendor_id": number, "product_id": product} | terms
    assert (await house.http.get(path, headers=headers)).json() == [second.json()]
    acts = [row for row in await house.audit() if row["action"] == "vendor.product_mapped"]
    assert len(acts) == 2, "saying the same again is no change"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"sku": ""}, "Invalid Sku: min"),
        ({"sku": "x" * 201}, "Invalid Sku: max"),
        ({"sku": "a\nb"}, "Invalid Sku: printable"),
        ({"discount_percent": 100.1}, "Invalid DiscountPercent: range"),
        ({"discount_percent": 1.00001}, "Invalid DiscountPercent: precision"),
        ({"discount_percent": -1}, "Invalid DiscountPercent: format"),
        ({"discount_percent": "NaN"}, "Invalid DiscountPercent: format"),
        ({"discount_percent": None}, "Invalid DiscountPercent: format"),
        ({"discount_percent": [1]}, "Invalid DiscountPercent: format"),
        ({"fee": -0.01}, "Invalid Fee: range"),
        ({"fee": "10000000.01"}, "Invalid Fee: range"),
        ({"fee": 0.001}, "Invalid Fee: precision"),
        ({"fee": "free"}, "Invalid Fee: format"),
        ({"fee": None}, "Invalid Fee: required"),
        ({"priority": -1}, "Invalid Priority: range"),
        ({"priority": 1001}, "Invalid Priority: range"),
        ({"priority": 2**70}, "Invalid Priority: range"),
        ({"priority": 1.5}, "Invalid request body format"),
        ({"active": "yes"}, "Invalid request body format"),
        ({"sku": None}, "Invalid request body format"),
        ({"more": 1}, "Invalid request body format"),
    ],
)
async def test_wrong_terms_are_refused(house: House, changed: dict[str, Any], message: str) -> None:
    number, product = await added(house), await house.add_product()
    headers = await house.as_role(Role.OPERATIONS)
    before = await house.everything()
    answer = await house.http.put(
        f"{BASE}/vendors/{number}/products/{product}", json={"sku": "A"} | changed, headers=headers
    )
    assert (answer.status_code, answer.json()["message"]) == (400, message)
    assert await house.everything() == before


async def test_nobody_maps_what_is_not_there(house: House) -> None:
    number, product = await added(house), await house.add_product()
    headers = await house.as_role(Role.OPERATIONS)
    before = await house.everything()
    for vendor_id, product_id, code in (
        (number, 999_999, "PRODUCT_NOT_FOUND"),
        (999_999, product, "VENDOR_NOT_FOUND"),
    ):
        path = f"{BASE}/vendors/{vendor_id}/products/{product_id}"
        answer = await house.http.put(path, json={"sku": "A"}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (404, code)
    assert await house.everything() == before


async def test_exchanges_are_told_newest_first_and_narrowed(
    house: House, shop: tuple[SandboxSimulator, str]
) -> None:
    vendor, url = shop
    number = await added(house, url)
    headers = await house.as_role(Role.OPERATIONS)
    path = f"{BASE}/vendors/{number}"
    for fault in (None, Fault.THROTTLE, Fault.ERROR_BEFORE):
        vendor.script.add([Scripted(fault)] if fault else [])
        await house.http.post(f"{path}/check", headers=headers)

    async def told(**query: object) -> list[dict[str, Any]]:
        answer = await house.http.get(f"{path}/exchanges", params=query, headers=headers)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()
        return found

    everything = await told()
    # A 5xx is no answer: its problem says which it was.
    assert [each["status"] for each in everything] == [503, 429, 200]
    assert [each["status"] for each in await told(status=429)] == [429]
    assert [each["problem"] for each in await told(failed="true")] == ["the vendor failed with 503"]
    assert await told(order_id=5) == await told(purchase_id=5) == []
    first = await house.http.get(f"{path}/exchanges?limit=2", headers=headers)
    assert first.headers["X-Has-More"] == "true"
    rest = await told(limit=2, cursor=first.headers["X-Next-Cursor"])
    assert first.json() + rest == everything
    assert SECRET not in str(everything)
    for query, message in (
        ("status=99", "Invalid Status: min"),
        ("status=600", "Invalid Status: max"),
        ("failed=maybe", "Invalid Failed: boolean"),
        ("order_id=x", "Invalid OrderId: number"),
        ("cursor=0", "Invalid Cursor: min"),
    ):
        answer = await house.http.get(f"{path}/exchanges?{query}", headers=headers)
        assert (answer.status_code, answer.json()["message"]) == (400, message)


async def test_the_kinds_of_vendors_say_what_they_need(house: House) -> None:
    viewer = await house.as_role(Role.VIEWER)
    kinds = (await house.http.get(f"{BASE}/vendor-adapters", headers=viewer)).json()
    [sandbox] = [kind for kind in kinds if kind["name"] == "sandbox"]
    assert [field["name"] for field in sandbox["secrets"]] == ["api_key"]
    assert sandbox["config"][0]["name"] == "base_url"
    assert sandbox["rates"] == [{"call": "*", "calls": 200, "per_s": 1.0}]
    assert sandbox["capabilities"]["quantity_max"] == 1000
