"""No body sets what is not asked for, and no answer shows what is not told of (T46)."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema
import pytest

from rewards.entry.reference import document
from rewards.infra.http import JSON
from rewards.staff.auth import Requires as StaffGuard
from rewards.staff.model import PERMISSIONS, Permission, Role
from tests.http.calling import Answer
from tests.security import callers
from tests.security.asking import all_of, ask, example, needed
from tests.security.operations import Operation
from tests.security.shapes import objects, strangers
from tests.security.world import World

# What somebody would slip in: who they are, what it costs, how it stands.
SLIPPED = frozenset(
    {"id", "client_id", "staff_id", "role", "permission", "scopes", "token_epoch", "active"}
    | {"password_hash", "status", "sub_status", "state", "type", "price", "amount", "total"}
    | {"discount", "discount_percent", "fees", "tax", "balance", "credit_limit", "currency"}
    | {"wallet_id", "forex_rate", "refunded_amount", "vouchers", "approved_by", "requested_by"}
    | {"decided_by", "second_person", "signing_secret", "api_key", "secret", "sealed"}
    | {"created_at", "placed_at", "actor_id", "sandbox", "__proto__", "constructor"}
)
# A map of text in the schema, whose reader refuses the names that it does not know.
MAPS = {("saveSearch", ("query",))}
# What nobody can tell takes a vendor that fails in the middle of a purchase.
MAY_BE_EMPTY = {"listUnknownOutcomes"}
# Fields that a map takes by design: its names are data.
ANY = "x-any-name"


def with_field(body: Any, place: tuple[str, ...], name: str, value: Any) -> Any:
    """The body with one field more, in the object that this way leads to."""
    made = inner = copy.deepcopy(body)
    for step, following in zip(place, [*place, ""][1:], strict=True):
        empty: Any = [{}] if following == "[]" else {}
        if step == "[]":
            inner = inner[0]
        else:
            inner[step] = inner.get(step) or empty
            inner = inner[step]
    inner[name] = value
    return made


def slipped(one: Operation) -> Iterator[tuple[tuple[str, ...], str, Any]]:
    """Where in the operation's body which field could be slipped in, and its value.

    What stands in its own answers is tried as well: that is what clients send back.
    """
    assert one.body is not None
    shown = {name for told in one.told["responses"].values() for name in _shown(told)}
    for place, schema in objects(one.body["schema"]):
        names = {*SLIPPED, *shown, ANY} if not place else {ANY, "id", "role"}
        for name in sorted(names - set(schema["properties"])):
            yield place, name, "1"


def _shown(told: Mapping[str, Any]) -> set[str]:
    content = told.get("content", {}).get("application/json", {})
    said = content.get("example")
    first = said[0] if isinstance(said, list) and said else said
    return set(first) if isinstance(first, dict) else set()


def test_every_body_says_that_it_takes_no_other_field(world: World) -> None:
    known = [one for one in world.operations if one.body]
    assert len(known) > 40
    for one in known:
        assert one.body is not None
        for place, schema in objects(one.body["schema"]):
            shut = schema.get("additionalProperties") is False
            assert shut or (one.operation_id, place) in MAPS, (one, place)


async def test_a_field_that_no_body_has_is_refused_wherever_it_stands(world: World) -> None:
    known = await callers.whoever_may(world)
    asked = [
        (one, place, name, with_field(example(one), place, name, value))
        for one in world.operations
        if one.body and one.guard is not None
        for place, name, value in slipped(one)
    ]
    before = await world.api.everything()
    heard = await all_of(
        ask(world, one, known(one), world.ids, body=body) for one, _, _, body in asked
    )
    assert await world.api.everything() == before
    wrong = [
        (one, place, name, answer.text)
        for (one, place, name, _), answer in zip(asked, heard, strict=True)
        if not _unknown(answer, (one.operation_id, place) in MAPS)
    ]
    assert not wrong, wrong[:5]
    print(f"{len(asked)} fields in {len({one.operation_id for one, *_ in asked})} bodies")


def _unknown(answer: Answer, in_map: bool) -> bool:
    """Whether the field was refused because nobody knows it."""
    if in_map:
        return answer.refusal == (400, "BadRequest", "Invalid Query: unknown")
    said = answer.json.get("details", {}).get("problem", "")
    return answer.status == 400 and said.startswith("Object contains unknown field")


@pytest.mark.parametrize("role", Role)
async def test_each_role_is_shown_what_the_document_tells_and_no_more(
    world: World, role: Role
) -> None:
    """Lists are not empty: the world has one of everything."""
    name = f"reads-{role}@example.com"
    _, shown = await callers.hire(world, role, name)
    mine = [one for one in world.operations if _may_read(one, role)]
    heard = await all_of(ask(world, one, shown, world.ids, query=needed(one)) for one in mine)
    told = [pair for pair in zip(mine, heard, strict=True) if not _of_its_asker(pair[0], role)]
    empty = _as_told(told, document(world.app, staff=True))
    # Of reports everybody lists their own, and an admin all: here an admin asked for the only one.
    others = {"listReports"} if role is not Role.ADMIN and _makes_reports(role) else set()
    assert others <= empty <= MAY_BE_EMPTY | others, empty
    for one, answer in zip(mine, heard, strict=True):
        if _of_its_asker(one, role):
            assert answer.refusal == (404, "NotFound", "Report not found"), (one, answer.text)


def _makes_reports(role: Role) -> bool:
    return Permission.REPORTS_MAKE in PERMISSIONS[role]


def _of_its_asker(one: Operation, role: Role) -> bool:
    """A report, which an admin asked for: nowhere for others who make some."""
    return "report_id" in one.parameters and role is not Role.ADMIN


async def test_a_client_is_shown_what_the_document_tells_and_no_more(world: World) -> None:
    mine = [one for one in world.operations if not one.staff and one.method == "GET"]
    known = await callers.whoever_may(world)
    heard = await all_of(ask(world, one, known(one), world.ids, query=needed(one)) for one in mine)
    told = list(zip(mine, heard, strict=True))
    assert _as_told(told, document(world.app, staff=False)) <= MAY_BE_EMPTY


def _may_read(one: Operation, role: Role) -> bool:
    guard = one.guard
    if not isinstance(guard, StaffGuard) or guard.permission is None:
        return False
    return one.method == "GET" and guard.permission in PERMISSIONS[role]


def _as_told(answered: list[tuple[Operation, Answer]], whole: dict[str, Any]) -> set[str]:
    """Which of these lists were empty."""
    empty = set()
    for one, answer in answered:
        assert answer.status == 200, (one, answer.text)
        kind = answer.headers["Content-Type"].partition(";")[0]
        content = one.told["responses"]["200"]["content"]
        assert kind in content, (one, kind)
        if kind != JSON:
            # A file: what it may hold is told where files are looked at (test_exports.py).
            assert JSON not in content and answer.text, one
            continue
        schema = content[JSON]["schema"]
        assert not list(strangers(answer.json, schema, whole)), one
        jsonschema.validate(answer.json, {**schema, "components": whole["components"]})
        if answer.json == []:
            empty.add(one.operation_id)
    return empty
