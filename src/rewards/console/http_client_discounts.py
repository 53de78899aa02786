"""What a client of its own gets off products: seen together, agreed one by one."""

from litestar import get, post
from litestar.params import FromPath

from rewards.console.listing import Sends, listed
from rewards.console.places import PREFIX, api, may
from rewards.infra.pages.forms import FORM_BYTES_MAX
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.staff.model import Permission

AGREED = Sends(texts=("percent", "reason"), nulls=("percent",))


@get("/clients/{client_id:str}/discounts")
async def list_discounts(request: Req, room: GivenRoom, client_id: FromPath[str]) -> Page:
    """By product; off all others the client gets the usual discount."""
    visit = await room.visit(request)
    client = (await visit.get(api("/clients/{}", client_id))).body
    return visit.page(
        "console/client-discounts.html",
        client=client,
        found=await listed(visit, api("/clients/{}/discounts", client_id)),
        can=may(visit.session, Permission.DISCOUNTS_WRITE),
    )


@post("/clients/{client_id:str}/discounts", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def set_discount(request: Req, room: GivenRoom, client_id: FromPath[str]) -> Page:
    """Agree on what the client gets off one product; without a percent on the usual again."""
    visit, form = await room.receive(request)
    path = api("/products/{}/discounts/{}", form.get("product_id").strip(), client_id)
    back = f"{PREFIX}/clients/{client_id}/discounts"
    said = "The discount counts now."
    return await visit.act("PUT", path, AGREED.body(form), back=back, done=said)


PAGES = [list_discounts, set_discount]
