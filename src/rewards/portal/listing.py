"""Lists as the portal's pages show them: asked of the clients' API with what the query says."""

from collections.abc import Mapping, Sequence
from typing import Any

from rewards.infra.pages.caller import ApiRefused
from rewards.infra.pages.visit import Visit, explain


def query_of(visit: Visit, names: Sequence[str]) -> dict[str, str]:
    """Those of these fields that the page's query fills in."""
    given = visit.request.query_params
    found = {name: given.get(name, "").strip() for name in names}
    return {name: value for name, value in found.items() if value}


async def listed(
    visit: Visit,
    path: str,
    rows_max: int,
    query: Mapping[str, str],
    asked: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """What a template is told of a list: its rows, and how to go on.

    `asked`: as the API takes it, where that is not `query` as it is. `problem_text`: the API did
    not take the question; then there are no rows.
    """
    cursor = visit.request.query_params.get("cursor", "")
    told: dict[str, Any] = {"rows": [], "following": None, "problem_text": ""}
    try:
        sent = {"limit": rows_max, "cursor": cursor, **(query if asked is None else asked)}
        answer = await visit.caller.ask("GET", path, query=sent)
        told |= {"rows": answer.body, "following": answer.following}
    except ApiRefused as refused:
        if refused.status != 400:
            raise
        told["problem_text"] = explain(refused)
    return {**told, "cursor": cursor, "query": query}
