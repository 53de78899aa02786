"""Clients: who buys, within which limits, from where, with which people."""

from typing import Any

from litestar import get, post
from litestar.params import FromPath

from rewards.clients.model_members import MemberRole
from rewards.console.acts import Act, perform
from rewards.console.listing import Sends, listed
from rewards.console.places import API, PREFIX, api, may
from rewards.infra.pages.caller import ApiRefused
from rewards.infra.pages.forms import FORM_BYTES_MAX
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.infra.pages.visit import explain
from rewards.staff.model import Permission

CLIENTS = f"{PREFIX}/clients"
LIMITS = ("orders_per_minute", "orders_per_10s", "orders_per_day", "concurrent_orders")
LIMITED = Sends(numbers=(*LIMITS, "max_quantity"))
NEW = Sends(texts=("name", "reason"), lines=("allowed_ips",))
CHANGED = Sends(
    texts=("name", "status", "conversion_fee_percent", "reason"), lines=("allowed_ips",)
)
LOGIN = Sends(texts=("username", "role", "reason"), passwords=("password",))
ACTS = {
    "logins": Act("POST", "/clients/{}/logins", "The login was made.", LOGIN),
    "password": Act(
        "PATCH",
        "/clients/{}/logins/{}",
        "Set. Everybody of the client is signed out; its keys stay.",
        Sends(texts=("reason",), passwords=("password",)),
    ),
}


@get("/clients")
async def list_clients(request: Req, room: GivenRoom) -> Page:
    """Clients by their name or that of one of their people, and the form that makes one."""
    visit = await room.visit(request)
    found = await listed(visit, f"{API}/clients", ("search",))
    can = may(visit.session, Permission.CLIENTS_WRITE)
    return visit.page("console/clients.html", found=found, can=can)


@post("/clients", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def create_client(request: Req, room: GivenRoom) -> Page:
    """Make a client, and go on to its page, where it gets wallets and credentials."""
    visit, form = await room.receive(request)
    body: dict[str, Any] = NEW.body(form)
    limits = LIMITED.body(form)
    try:
        made = (await visit.send("POST", f"{API}/clients", body | _within(limits))).body
    except ApiRefused as refused:
        if room.answers(refused):
            raise
        return visit.back(CLIENTS, explain(refused), tone="bad")
    told = "Made. Open a wallet for it and issue a credential, then it can order."
    return visit.back(f"{CLIENTS}/{made['id']}", told)


def _within(limits: dict[str, Any]) -> dict[str, Any]:
    return {"limits": limits} if limits else {}


@get("/clients/{client_id:str}")
async def show_client(request: Req, room: GivenRoom, client_id: FromPath[str]) -> Page:
    """One client: its state, limits and addresses."""
    visit = await room.visit(request)
    client = (await visit.get(api("/clients/{}", client_id))).body
    can = may(visit.session, Permission.CLIENTS_WRITE)
    return visit.page("console/client.html", client=client, limits=LIMITS, can=can)


@post("/clients/{client_id:str}", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def change_client(request: Req, room: GivenRoom, client_id: FromPath[str]) -> Page:
    """Change its name, state, limits or addresses: what the form has."""
    visit, form = await room.receive(request)
    body = CHANGED.body(form) | _within(LIMITED.body(form))
    back = f"{CLIENTS}/{client_id}"
    return await visit.act("PATCH", api("/clients/{}", client_id), body, back=back, done="Saved.")


@get("/clients/{client_id:str}/logins")
async def list_logins(request: Req, room: GivenRoom, client_id: FromPath[str]) -> Page:
    """The client's own people."""
    visit = await room.visit(request)
    client = (await visit.get(api("/clients/{}", client_id))).body
    found = await listed(visit, api("/clients/{}/logins", client_id))
    can = may(visit.session, Permission.CREDENTIALS_ISSUE)
    return visit.page(
        "console/client-logins.html", client=client, found=found, roles=list(MemberRole), can=can
    )


@post("/clients/{client_id:str}/logins", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def add_login(request: Req, room: GivenRoom, client_id: FromPath[str]) -> Page:
    """Let one of its people in."""
    back = f"{CLIENTS}/{client_id}/logins"
    return await perform(request, room, ACTS, "logins", back, client_id)


@post(
    "/clients/{client_id:str}/logins/{login_id:str}/password",
    status_code=303,
    request_max_body_size=FORM_BYTES_MAX,
)
async def set_password(
    request: Req, room: GivenRoom, client_id: FromPath[str], login_id: FromPath[str]
) -> Page:
    """Another password for one of its people."""
    back = f"{CLIENTS}/{client_id}/logins"
    return await perform(request, room, ACTS, "password", back, client_id, login_id)


PAGES = [
    list_clients,
    create_client,
    show_client,
    change_client,
    list_logins,
    add_login,
    set_password,
]
