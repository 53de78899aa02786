"""The ledger: wallets of all clients, lines of one or of a day, one line with both its sides."""

from litestar import get
from litestar.params import FromPath

from rewards.console.listing import listed, whole
from rewards.console.places import API, PREFIX, api, may
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.staff.model import Permission
from rewards.wallets.model import (
    Direction,
    SystemAccount,
    TransferKind,
    WalletStatus,
    WalletType,
)

WALLETS = f"{PREFIX}/money/wallets"
OF_WALLETS = ("client", "currency", "type", "status", "below", "low")
OF_ONE = ("type", "direction", "order_id", "from", "to")
OF_ALL = ("from", "to", "account", "currency", "type", "direction", "client")


@get("/money/wallets")
async def find_wallets(request: Req, room: GivenRoom) -> Page:
    """Wallets of all clients; on demand those below their own threshold."""
    visit = await room.visit(request)
    return visit.page(
        "console/wallets.html",
        found=await listed(visit, f"{API}/wallets", OF_WALLETS),
        types=list(WalletType),
        statuses=list(WalletStatus),
    )


@get("/money/wallets/{wallet_id:str}")
async def show_wallet(request: Req, room: GivenRoom, wallet_id: FromPath[str]) -> Page:
    """One wallet: what it holds, what waits for it, what moved it, and what can be booked."""
    visit = await room.visit(request)
    wallet = (await visit.get(api("/wallets/{}", wallet_id))).body
    found = await listed(visit, api("/wallets/{}/transactions", wallet_id), OF_ONE)
    asked = await whole(visit, f"{API}/approvals", state="REQUESTED", limit="500") or ()
    of_it = ("wallet", wallet["id"])
    can = {
        "top_up": may(visit.session, Permission.WALLETS_TOP_UP),
        "adjust": may(visit.session, Permission.WALLETS_ADJUST),
        "change": may(visit.session, Permission.WALLETS_CHANGE),
    }
    return visit.page(
        "console/wallet.html",
        wallet=wallet,
        found=found,
        waiting=[each for each in asked if (each["subject_kind"], each["subject_id"]) == of_it],
        me=visit.session.facts.get("id", ""),
        can=can,
        kinds=list(TransferKind),
        directions=list(Direction),
        statuses=list(WalletStatus),
        once=lambda: f"desk-{visit.once()[:13]}",
    )


@get("/money/lines")
async def list_lines(request: Req, room: GivenRoom) -> Page:
    """Lines of all wallets on some days, or those of one of our accounts."""
    visit = await room.visit(request)
    return visit.page(
        "console/lines.html",
        found=await listed(visit, f"{API}/ledger/transactions", OF_ALL),
        today=room.today(),
        accounts=list(SystemAccount),
        kinds=list(TransferKind),
        directions=list(Direction),
    )


@get("/money/lines/{transaction_id:str}")
async def show_line(request: Req, room: GivenRoom, transaction_id: FromPath[str]) -> Page:
    """One line: both its sides, and the order, the person or the approval that caused it."""
    visit = await room.visit(request)
    line = (await visit.get(api("/ledger/transactions/{}", transaction_id))).body
    sees_trail = may(visit.session, Permission.AUDIT_READ)
    return visit.page("console/line.html", line=line, sees_trail=sees_trail)


PAGES = [find_wallets, show_wallet, list_lines, show_line]
