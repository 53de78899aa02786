"""A company's wallets at the portal: balances, what moved, and both as files."""

from datetime import timedelta

from litestar import get
from litestar.params import FromPath
from litestar.types import ASGIApp

from rewards.infra.csvtext import CSV
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.portal.http_entry import portal_of
from rewards.portal.listing import listed, query_of
from rewards.portal.places import PREFIX, api
from rewards.wallets.model import Direction, TransferKind

MONEY = f"{PREFIX}/money"
FILTERS = ("wallet_id", "type", "direction", "order_id", "from", "to")
LINES_A_PAGE = 50
LINES_A_FILE = 10_000
STATEMENT_DAYS = timedelta(days=30)


@get("/money")
async def show_money(request: Req, room: GivenRoom) -> Page:
    """Wallets and the lines of their statement, newest first."""
    visit = await room.visit(request)
    wallets = (await visit.get(api("/wallets"), limit=200)).body
    found = await listed(visit, api("/transactions"), LINES_A_PAGE, query_of(visit, FILTERS))
    yesterday = portal_of(room).today() - timedelta(days=1)
    return visit.page(
        "portal/money.html",
        wallets=wallets,
        **found,
        kinds=list(TransferKind),
        directions=list(Direction),
        first_day=yesterday - STATEMENT_DAYS,
        last_day=yesterday,
    )


@get("/money/transactions/{line_id:str}")
async def show_line(request: Req, room: GivenRoom, line_id: FromPath[str]) -> Page:
    """One line of a statement, with what was converted."""
    visit = await room.visit(request)
    line = (await visit.get(api("/transactions/{}", line_id))).body
    return visit.page("portal/transaction.html", line=line)


@get("/money/transactions.csv")
async def download_lines(request: Req, room: GivenRoom) -> ASGIApp:
    """The lines that the list shows, at most 10,000, for a spreadsheet."""
    visit = await room.visit(request)
    query = {"limit": str(LINES_A_FILE), **query_of(visit, FILTERS)}
    return visit.file(api("/transactions"), back=MONEY, accept=CSV, **query)


@get("/money/statement")
async def download_statement(request: Req, room: GivenRoom) -> ASGIApp:
    """The signed statement of some days, as CSV or JSON."""
    visit = await room.visit(request)
    asked = {name: request.query_params.get(name, "") for name in ("from", "to")}
    accept = CSV if request.query_params.get("form", "csv") == "csv" else ""
    return visit.file(api("/statements"), back=MONEY, accept=accept, **asked)


PAGES = [show_money, show_line, download_lines, download_statement]
