"""What a vendor offers, and which of our products it sells under which name."""

from litestar import get, post
from litestar.params import FromPath

from rewards.console.listing import Sends, listed, whole
from rewards.console.places import API, PREFIX, api, may
from rewards.infra.pages.forms import FORM_BYTES_MAX
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.staff.model import Permission

MAPPED = Sends(
    texts=("sku", "discount_percent", "fee", "reason"), numbers=("priority",), ticks=("active",)
)
# More than that are found by their id.
PRODUCTS_NAMED = "500"


@get("/vendors/{vendor_id:str}/products")
async def list_mapped(request: Req, room: GivenRoom, vendor_id: FromPath[str]) -> Page:
    """What it sells us, what else it offers, and the form that maps one to the other."""
    visit = await room.visit(request)
    vendor = (await visit.get(api("/vendors/{}", vendor_id))).body
    mapped = (await visit.get(api("/vendors/{}/products", vendor_id), limit=PRODUCTS_NAMED)).body
    found = await listed(visit, api("/vendors/{}/offers", vendor_id), ("search",), size=25)
    products = await whole(visit, f"{API}/products", limit=PRODUCTS_NAMED)
    names = {each["id"]: each["name"] for each in products or ()}
    chosen = request.query_params.get("product_id", "")
    sku = request.query_params.get("sku", "")
    return visit.page(
        "console/vendor-products.html",
        vendor=vendor,
        mapped=mapped,
        found=found,
        names=names,
        terms=next((each for each in mapped if str(each["product_id"]) == chosen), None),
        chosen=chosen,
        sku=sku,
        can=may(visit.session, Permission.VENDORS_WRITE),
    )


@post("/vendors/{vendor_id:str}/products", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def map_product(request: Req, room: GivenRoom, vendor_id: FromPath[str]) -> Page:
    """Say under which name the vendor sells a product; what was said before is replaced."""
    visit, form = await room.receive(request)
    path = api("/vendors/{}/products/{}", vendor_id, form.get("product_id").strip() or "0")
    back = f"{PREFIX}/vendors/{vendor_id}/products"
    return await visit.act(
        "PUT", path, MAPPED.body(form), back=back, done="It can be bought here now."
    )


PAGES = [list_mapped, map_product]
