"""Stock bought ahead: what to buy, from whom, who must agree, and what came of it."""

from litestar import get, post
from litestar.params import FromPath

from rewards.console.listing import Sends, listed, older
from rewards.console.places import API, PREFIX, api, check_may, may
from rewards.infra.pages.caller import ApiRefused
from rewards.infra.pages.forms import FORM_BYTES_MAX, Form
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.infra.pages.visit import Visit, explain
from rewards.restocks.model import StockState
from rewards.staff.model import Permission

STOCK_ORDERS = f"{PREFIX}/inventory/orders"
FIELDS = ("product_id", "denomination", "quantity", "vendor", "reason", "reference")
ORDER = Sends(
    texts=("denomination", "vendor", "reason", "reference"), numbers=("product_id", "quantity")
)
VENDORS_NAMED = "100"


@get("/inventory/orders")
async def list_stock_orders(request: Req, room: GivenRoom) -> Page:
    """What was ordered for our own stock, newest first."""
    visit = await room.visit(request)
    found = await listed(visit, f"{API}/stock-orders", ("state", "product_id"))
    return visit.page(
        "console/stock-orders.html",
        found=found,
        before=older(found, "stock_order_id"),
        states=list(StockState),
        can=may(visit.session, Permission.INVENTORY_ORDER),
    )


@get("/inventory/orders/new")
async def ask_for_stock(request: Req, room: GivenRoom) -> Page:
    """The form that orders stock, filled in with what the forecast says to buy."""
    visit = await room.visit(request)
    check_may(visit.session, Permission.INVENTORY_ORDER)
    return await _show_form(visit, Form(list(request.query_params.items())))


async def _show_form(visit: Visit, given: Form, problem: str = "", status: int = 200) -> Page:
    vendors = (await visit.get(f"{API}/vendors", limit=VENDORS_NAMED)).body
    names = [each["name"] for each in vendors if each["status"] == "ACTIVE"]
    return visit.page(
        "console/stock-order-new.html",
        status=status,
        given=given,
        problem=problem,
        vendors=names,
        # Sent twice, it is ordered once.
        reference=given.get("reference") or visit.once(),
    )


@post("/inventory/orders", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def order_stock(request: Req, room: GivenRoom) -> Page:
    """Order it, and go on to its page; refused, the form comes back as it was filled in."""
    visit, form = await room.receive(request)
    try:
        made = (await visit.send("POST", f"{API}/stock-orders", ORDER.body(form))).body
    except ApiRefused as refused:
        if room.answers(refused) or refused.status == 403:
            raise
        return await _show_form(visit, form, explain(refused), 400)
    told = "Ordered. A worker asks the vendor now."
    if made["state"] == "WAITING":
        told = "Asked for. It is above the limit of one person: somebody else must agree."
    return visit.back(f"{STOCK_ORDERS}/{made['stock_order_id']}", told)


@get("/inventory/orders/{stock_order_id:str}")
async def show_stock_order(request: Req, room: GivenRoom, stock_order_id: FromPath[str]) -> Page:
    """One of them: who agreed, what was bought for it, and what came."""
    visit = await room.visit(request)
    order = (await visit.get(api("/stock-orders/{}", stock_order_id))).body
    product = (await visit.get(api("/products/{}", str(order["product_id"])))).body
    vendor = (await visit.get(api("/vendors/{}", str(order["vendor_id"])))).body
    values = {"order": order, "product": product, "vendor": vendor}
    return visit.page("console/stock-order.html", **values)


PAGES = [list_stock_orders, ask_for_stock, order_stock, show_stock_order]
