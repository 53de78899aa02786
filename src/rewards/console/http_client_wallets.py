"""A client's wallets: open them, top up, correct, freeze; what waits for a second person."""

from litestar import get, post
from litestar.params import FromPath

from rewards.console.acts import Act, perform
from rewards.console.listing import Sends, listed, whole
from rewards.console.places import API, PREFIX, api, below, may
from rewards.infra.pages.forms import FORM_BYTES_MAX
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.staff.model import Permission
from rewards.wallets.model import WalletStatus, WalletType

OPEN = {
    "wallets": Act(
        "POST",
        "/clients/{}/wallets",
        "The wallet is open.",
        Sends(texts=("currency", "type", "credit_limit", "low_balance", "reference", "reason")),
        "The wallet is open. Its credit waits for a second person, on the page of approvals.",
    )
}
WAITS = "Asked for. Nothing is booked before a second person agrees, on the page of approvals."
BOOKED = ("amount", "reference", "note")
ACTS = {
    "top-up": Act("POST", "/wallets/{}/top-up", "Topped up.", Sends(texts=BOOKED), WAITS),
    "adjust": Act(
        "POST", "/wallets/{}/adjust", "Booked.", Sends(texts=(*BOOKED, "direction")), WAITS
    ),
    "change": Act(
        "PATCH",
        "/wallets/{}",
        "Saved.",
        Sends(texts=("reason", "status", "credit_limit", "low_balance"), nulls=("low_balance",)),
        "Asked for. The credit limit stays before a second person agrees, on the page of approvals;"
        " the rest is saved.",
    ),
}


@get("/clients/{client_id:str}/wallets")
async def list_wallets(request: Req, room: GivenRoom, client_id: FromPath[str]) -> Page:
    """What the client holds, and what may be done with it."""
    visit = await room.visit(request)
    client = (await visit.get(api("/clients/{}", client_id))).body
    found = await listed(visit, api("/clients/{}/wallets", client_id))
    asked = await whole(visit, f"{API}/approvals", state="REQUESTED", limit="500") or ()
    of_these = {("wallet", wallet["id"]) for wallet in found.rows}
    can = {
        "open": may(visit.session, Permission.WALLETS_OPEN),
        "top_up": may(visit.session, Permission.WALLETS_TOP_UP),
        "adjust": may(visit.session, Permission.WALLETS_ADJUST),
        "change": may(visit.session, Permission.WALLETS_CHANGE),
    }
    return visit.page(
        "console/client-wallets.html",
        client=client,
        found=found,
        waiting=[each for each in asked if (each["subject_kind"], each["subject_id"]) in of_these],
        me=visit.session.facts.get("id", ""),
        can=can,
        types=list(WalletType),
        statuses=list(WalletStatus),
        once=lambda: f"desk-{visit.once()[:13]}",
    )


@post("/clients/{client_id:str}/wallets", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def open_wallet(request: Req, room: GivenRoom, client_id: FromPath[str]) -> Page:
    """Open a wallet in a currency."""
    back = f"{PREFIX}/clients/{client_id}/wallets"
    return await perform(request, room, OPEN, "wallets", back, client_id)


@post(
    "/clients/{client_id:str}/wallets/{wallet_id:str}/{act:str}",
    status_code=303,
    request_max_body_size=FORM_BYTES_MAX,
)
async def act_on_wallet(
    request: Req,
    room: GivenRoom,
    client_id: FromPath[str],
    wallet_id: FromPath[str],
    act: FromPath[str],
) -> Page:
    """One of ACTS upon one wallet."""
    back = f"{PREFIX}{below('/clients/{}/wallets', client_id)}"
    return await perform(request, room, ACTS, act, back, wallet_id)


PAGES = [list_wallets, open_wallet, act_on_wallet]
