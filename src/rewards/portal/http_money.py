"""A company's wallets at the portal: balances, what moved, and both as files."""

from datetime import timedelta

from litestar import get
from litestar.types import ASGIApp

from rewards.infra.csvtext import CSV
from rewards.infra.pages.caller import ApiRefused
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.infra.pages.visit import explain
from rewards.portal.http_entry import portal_of
from rewards.portal.places import PREFIX, api
from rewards.wallets.model import TransferKind

MONEY = f"{PREFIX}/money"
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
async def download_lines(request: Req, room: GivenRoom) -> ASGIApp:
    """The lines that the list shows, at most 10,000, for a spreadsheet."""
    visit = await room.visit(request)
    query = {"limit": str(LINES_A_FILE), **_query(request)}
    return visit.file(api("/transactions"), back=MONEY, accept=CSV, **query)


@get("/money/statement")
async def download_statement(request: Req, room: GivenRoom) -> ASGIApp:
    """The signed statement of some days, as CSV or JSON."""
    visit = await room.visit(request)
    asked = {name: request.query_params.get(name, "") for name in ("from", "to")}
    accept = CSV if request.query_params.get("form", "csv") == "csv" else ""
    return visit.file(api("/statements"), back=MONEY, accept=accept, **asked)


PAGES = [show_money, download_lines, download_statement]
