"""A company's wallets at the portal: balances, what moved, and both as files."""

from collections.abc import Mapping
from datetime import timedelta

from litestar import Response, get

from rewards.infra.pages.caller import ApiRefused
from rewards.infra.pages.headers import ROOM
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.infra.pages.visit import Visit, explain
from rewards.portal.http_entry import portal_of
from rewards.portal.places import api
from rewards.wallets.model import TransferKind

FILTERS = ("wallet_id", "type", "order_id", "from", "to")
LINES_A_PAGE = 50
LINES_A_FILE = 10_000
STATEMENT_DAYS = timedelta(days=30)


@get("/money")
async def show_money(request: Req, room: GivenRoom) -> Page:
    """Wallets and the lines of their statement, newest first."""
    visit = await room.visit(request)
    query, cursor = _query(request), request.query_params.get("cursor", "")
    wallets = (await visit.get(api("/wallets"), limit=200)).body
    problem, lines, following = "", [], None
    try:
        answer = await visit.get(api("/transactions"), limit=LINES_A_PAGE, cursor=cursor, **query)
        lines, following = answer.body, answer.following
    except ApiRefused as refused:
        if refused.status != 400:
            raise
        problem = explain(refused)
    yesterday = portal_of(room).today() - timedelta(days=1)
    return visit.page(
        "portal/money.html",
        wallets=wallets,
        lines=lines,
        following=following,
        cursor=cursor,
        query=query,
        kinds=list(TransferKind),
        problem_text=problem,
        first_day=yesterday - STATEMENT_DAYS,
        last_day=yesterday,
    )


def _query(request: Req) -> dict[str, str]:
    found = {name: request.query_params.get(name, "").strip() for name in FILTERS}
    return {name: value for name, value in found.items() if value}


@get("/money/transactions.csv")
async def download_lines(request: Req, room: GivenRoom) -> Page:
    """The lines that the list shows, at most 10,000, for a spreadsheet."""
    visit = await room.visit(request)
    query = {"limit": str(LINES_A_FILE), **_query(request)}
    return await _file(visit, "/transactions", query, as_csv=True)


@get("/money/statement")
async def download_statement(request: Req, room: GivenRoom) -> Page:
    """The signed statement of some days, as CSV or JSON."""
    visit = await room.visit(request)
    asked = {name: request.query_params.get(name, "") for name in ("from", "to")}
    as_csv = request.query_params.get("form", "csv") == "csv"
    return await _file(visit, "/statements", asked, as_csv=as_csv)


async def _file(visit: Visit, path: str, query: Mapping[str, str], *, as_csv: bool) -> Page:
    """What the API gives as a file; what it refuses is told on the page of the wallets."""
    accept = "text/csv" if as_csv else ""
    try:
        answer = await visit.caller.ask("GET", api(path), query=query, accept=accept)
    except ApiRefused as refused:
        if visit.room.answers(refused):
            raise
        return visit.back(f"{visit.room.look.prefix}/money", explain(refused), tone="bad")
    kept = ("Content-Disposition", "Content-Type")
    told = {name: answer.headers[name] for name in kept if name in answer.headers}
    media = told.pop("Content-Type", "application/octet-stream")
    return Response(answer.raw, media_type=media, headers={**ROOM, **told})


PAGES = [show_money, download_lines, download_statement]
