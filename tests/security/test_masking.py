"""Of what is secret nobody is shown more than its end, wherever they look (T61)."""

import importlib
import inspect
import pkgutil
import random
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import fields, is_dataclass
from datetime import timedelta
from typing import Any

import msgspec
import pytest

import rewards
from rewards.staff.auth import Requires as StaffGuard
from rewards.staff.model import PERMISSIONS, Role
from tests.security import callers
from tests.security.asking import all_of, ask, needed
from tests.security.operations import Operation
from tests.security.secrets_kept import COLUMNS, FLAGS, SHOWN, SOUNDS, UNPROVEN
from tests.security.world import HOOK, World

# No word of ours is made of them: a run of these is a piece of a secret.
LETTERS = "QXZJKVWH"
SECRET_CHARS = 24
# The last four may be seen; of what we did not choose a longer piece, which nothing has by chance.
SEEN_MAX, PIECE_OF_ISSUED = 4, 10
KNOWN_COLUMNS = f"""
SELECT c.table_name || '.' || c.column_name FROM information_schema.columns AS c
JOIN pg_tables AS t ON t.tablename = c.table_name AND t.schemaname = 'public'
WHERE c.table_schema = 'public' AND (c.data_type = 'bytea'
    OR c.data_type = 'text' AND c.column_name ~ '{SOUNDS}')
"""
NAMES = ("password", "secret", "token", "api_secret", "signing_secret", "password_hash", "sealed")
# Called like a secret, and none: a lease, a snapshot, what of a vendor's message is sealed, and
# whether a setting is one.
NO_SECRET = {
    "rewards.infra.settings_told.Told.secret",
    "rewards.infra.sql_sealing.Turn.sealed",
    "rewards.reconciliation.turns.Turn.token",
    "rewards.staff.http_settings.SettingOut.secret",
    "rewards.staff.story.Story.sealed",
    "rewards.vendors.adapters.pull_protocol.Call.sealed",
    "rewards.vendors.adapters.pull_protocol.Protocol.sealed",
    "rewards.vendors.adapters.pull_protocol.Protocol.token",
}
CSV = {"Accept": "text/csv"}


def secret(seed: str) -> str:
    """The same at every run, and like nothing else."""
    return "".join(random.Random(seed).choices(LETTERS, k=SECRET_CHARS))


@pytest.fixture(scope="module")
async def kept(world: World) -> dict[str, str]:
    """What lies in the world, by what it is: of each kind one."""
    found = await _codes(world) | await _issued(world)
    key = {"api_key": secret("vendor")}
    config = {"base_url": "https://vendor.example/v1"}
    account = {"name": "Masked", "adapter": "sandbox", "config": config, "secrets": key}
    made = await world.admin("POST", "/vendors", account, 201)
    world.ids["vendor_id"] = made["id"]
    return found | {"vendor's key": key["api_key"]}


async def _codes(world: World) -> dict[str, str]:
    """Codes that the owner bought, and the password of a link."""
    found, soon = {}, world.clock.now() + timedelta(days=300)
    for product_id, quantity in ((15, 1), (10, 1), (11, 1)):
        product = world.api.parts.catalog.product(product_id)
        assert product is not None
        names = {name: f"{product_id} {name}" for name in product.voucher_fields}
        made = {name: secret(what) for name, what in names.items()}
        await world.shop.stock(product, quantity, minor=1000, expires_at=soon, fields=made)
        found |= {what: secret(what) for what in names.values()}
        word = {"claim_password": secret("link")} if product_id == 11 else {}
        order = await world.buys(product_id=product_id, denomination=10, quantity=1, **word)
        world.ids["order_id"] = order["id"]
        [voucher] = order["vouchers"]
        if product_id == 15:
            assert {voucher[name] for name in names} == set(made.values())
        else:
            found[f"link {product_id}"] = voucher["claim_url"].rpartition("/")[2]
    return found | {"password of a link": secret("link")}


async def _issued(world: World) -> dict[str, str]:
    """What we made ourselves and showed once."""
    client = world.api.card["client"]
    issued = await world.issue(client["client_id"])
    hook = (await world.api.call("POST", "/api/v1/webhooks", HOOK)).json
    pair = {"username": client["username"], "password": client["password"]}
    tokens = (await world.api.call("POST", "/auth/login", pair, shown={})).json
    return {
        "client's password": client["password"],
        "admin's password": world.api.card["staff"]["admin"]["password"],
        "access token": tokens["access_token"].rpartition(".")[2],
        "refresh token": tokens["refresh_token"],
        "api secret": issued["api_secret"],
        "signing secret": issued["signing_secret"].removeprefix("whsec_"),
        "webhook's secret": hook["secret"].removeprefix("whsec_"),
    }


def pieces(kept: dict[str, str]) -> Iterator[tuple[str, str]]:
    """What must stand nowhere: of each secret every run that is longer than may be seen."""
    for what, value in kept.items():
        size = SEEN_MAX + 1 if set(value) <= set(LETTERS) else PIECE_OF_ISSUED
        assert len(value) > size, what
        yield from ((what, value[at : at + size]) for at in range(len(value) - size + 1))


async def _reads(world: World) -> AsyncIterator[tuple[str, str]]:
    """Every answer that somebody may read, and whose: staff of each role, the client itself."""
    reads = [one for one in world.operations if one.method == "GET"]
    people: dict[str, Any] = {"key": world.owner, "person": await callers.owner_in_person(world)}
    for role in Role:
        people[role] = (await callers.hire(world, role, f"masked-{role}@example.com"))[1]
    asked = [(who, one, kind) for who in people for one in reads for kind in ({}, CSV)]
    asked = [each for each in asked if _may(*each)]
    heard = await all_of(
        ask(world, one, people[who], world.ids, query=needed(one), headers=kind)
        for who, one, kind in asked
    )
    for (who, one, _), answer in zip(asked, heard, strict=True):
        # A report is its asker's: others than an admin find none.
        foreign = "report_id" in one.parameters and who != Role.ADMIN
        assert answer.status == (404 if foreign else 200), (who, one, answer.text)
        # A key is told by a header that no cache on the way knows of.
        assert answer.headers.get("Cache-Control") == "no-store" or one.guard is None, one
        yield f"{who} {one.operation_id}", answer.text


def _may(who: str, one: Operation, kind: dict[str, str]) -> bool:
    if kind and "text/csv" not in one.told["responses"]["200"].get("content", {}):
        return False
    if who in ("key", "person"):
        # Whoever bought the codes is shown them, by their order alone.
        mine = who == "person" or not one.in_person
        return mine and not one.staff and one.operation_id != "getOrder"
    guard = one.guard
    return isinstance(guard, StaffGuard) and guard.permission in PERMISSIONS[Role(who)]


async def test_nobody_reads_more_of_a_secret_than_its_end(
    world: World, kept: dict[str, str]
) -> None:
    wanted = list(pieces(kept))
    read, places = 0, 0
    async for where, text in _reads(world):
        found = {what for what, piece in wanted if piece in text}
        assert not found, (where, found)
        read, places = read + len(text), places + 1
    print(f"{len(kept)} secrets, {places} answers, {read} characters")
    assert places > 200


async def test_of_a_vendors_secret_an_admin_sees_the_end_and_others_nothing(
    world: World, kept: dict[str, str]
) -> None:
    end = kept["vendor's key"][-SEEN_MAX:]
    path = f"/admin/api/v1/vendors/{world.ids['vendor_id']}"
    for role in Role:
        _, shown = await callers.hire(world, role, f"vendors-{role}@example.com")
        text = (await world.api.call("GET", path, shown=shown)).text
        assert (end in text) is (role is Role.ADMIN), role


async def test_every_column_that_may_hold_a_secret_says_how_it_is_kept(world: World) -> None:
    async with world.api.parts.db.connection() as connection:
        found = {row[0] for row in await connection.fetch(KNOWN_COLUMNS)}
    assert found == set(COLUMNS)


def test_what_an_answer_shows_whole_is_listed_and_nobody_keeps_it(world: World) -> None:
    assert SHOWN.keys() | FLAGS.keys() <= {one.operation_id for one in world.operations}
    for one in world.operations:
        told = str(one.told["responses"])
        shown = {name for name in NAMES if f"'{name}'" in told}
        flags = FLAGS.get(one.operation_id, frozenset())
        for name in flags:
            # Each time it is said it is yes or no.
            assert told.count(f"'{name}'") == len(re.findall(f"'{name}': (True|False)", told)), one
        assert shown - flags <= SHOWN.get(one.operation_id, frozenset()), one


def test_staff_are_shown_a_secret_only_after_a_proof(world: World) -> None:
    """A stolen session is not enough."""
    handed_out = [one for one in world.operations if one.staff and one.operation_id in SHOWN]
    unproven = {one.operation_id for one in handed_out if not getattr(one.guard, "proof", False)}
    assert unproven == UNPROVEN.keys()
    assert len(handed_out) > len(UNPROVEN)


def test_nothing_secret_is_printed_by_the_value_that_holds_it() -> None:
    """A repr ends up in a log one day."""
    loud = {
        f"{kind.__module__}.{kind.__name__}.{name}"
        for kind in _values()
        for name, printed in _printed(kind)
        if printed and any(name == word or name.endswith(f"_{word}") for word in NAMES)
    }
    assert loud == NO_SECRET


def _values() -> Iterator[type]:
    """Every class of ours that holds values."""
    for found in pkgutil.walk_packages(rewards.__path__, "rewards."):
        if not found.name.endswith("__main__"):
            for _, kind in inspect.getmembers(importlib.import_module(found.name), inspect.isclass):
                if kind.__module__ == found.name:
                    yield kind


def _printed(kind: type) -> Iterator[tuple[str, bool]]:
    if is_dataclass(kind):
        own = not kind.__dataclass_params__.repr
        yield from ((each.name, each.repr and not own) for each in fields(kind))
    elif issubclass(kind, msgspec.Struct):
        own = "__repr__" in vars(kind)
        yield from ((name, not own) for name in kind.__struct_fields__)
