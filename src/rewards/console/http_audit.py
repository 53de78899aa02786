"""The audit trail: who did what, when, why, and from where; how far it is sealed; taken away."""

from collections.abc import Mapping
from typing import Any

from litestar import get
from litestar.types import ASGIApp

from rewards.console.leads import subject_path
from rewards.console.listing import listed
from rewards.console.places import API, PREFIX
from rewards.core.actor import ActorKind
from rewards.core.errors import InvalidField
from rewards.infra.csvtext import CSV
from rewards.infra.pages.routes import GivenRoom, Page, Req

AUDIT = f"{PREFIX}/audit"
FILTERS = (
    *("action", "from", "to", "actor", "staff", "staff_id", "client_id"),
    *("subject_kind", "subject_id", "address", "request_id", "reason"),
)
# What is asked for less often stands folded away.
RARE = ("staff_id", "subject_kind", "subject_id", "address", "request_id", "reason")
FORMS = {"jsonl": "application/x-ndjson", "csv": CSV}
Changes = list[tuple[str, object, object]]


@get("/audit")
async def search_trail(request: Req, room: GivenRoom) -> Page:
    """Entries that fit, newest first, and how far the trail is sealed."""
    visit = await room.visit(request)
    found = await listed(visit, f"{API}/audit", FILTERS)
    chain = (await visit.get(f"{API}/audit/chain")).body
    return visit.page(
        "console/audit.html",
        found=found,
        told=[_told(entry) for entry in found.rows],
        chain=chain,
        actors=list(ActorKind),
        opened=any(name in found.query for name in RARE),
    )


@get("/audit/file")
async def export_trail(request: Req, room: GivenRoom) -> ASGIApp:
    """The trail of a time as a file that proves by itself that it is whole."""
    visit = await room.visit(request)
    given = request.query_params
    form = FORMS.get(given.get("form", "jsonl"))
    if form is None:
        raise InvalidField("Form", "oneof", details={"allowed": list(FORMS)})
    asked = {name: given.get(name, "") for name in ("from", "to")}
    return visit.file(f"{API}/audit/export", back=AUDIT, accept=form, **asked)


def _told(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    changes, rest = changes_of(entry["action"], entry["facts"])
    path = subject_path(entry["subject_kind"], entry["subject_id"], entry["client_id"])
    return {"changes": changes, "rest": rest, "path": path}


def changes_of(action: str, facts: Mapping[str, Any]) -> tuple[Changes, Mapping[str, Any]]:
    """What was and what is, by name, and the facts besides.

    A fact that changed says `from` and `to`; of an order that moved the facts themselves do.
    """
    changes: Changes = []
    rest = dict(facts)
    if action.startswith("order.") and {"from", "to"} <= facts.keys():
        changes.append(("state", rest.pop("from"), rest.pop("to")))
    for name, value in facts.items():
        if isinstance(value, dict) and value.keys() == {"from", "to"}:
            changes.append((name, value["from"], value["to"]))
            del rest[name]
    return changes, rest


PAGES = [search_trail, export_trail]
