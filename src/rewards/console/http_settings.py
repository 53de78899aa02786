"""Settings: the people of the staff, what is sold, and jobs that failed too often."""

from litestar import get, post
from litestar.params import FromPath

from rewards.console.acts import Act, perform
from rewards.console.listing import Sends, listed, whole
from rewards.console.places import API, PREFIX, api, may
from rewards.infra.pages.forms import FORM_BYTES_MAX
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.staff.model import Permission, Role

SETTINGS = f"{PREFIX}/settings"
# As many as the API gives at once.
DISCOUNTS_SHOWN = 500
PERSON = Sends(texts=("username", "role", "password"))
NEW = {"hire": Act("POST", "/staff", "They can sign in now.", PERSON)}
STAFF = {
    "role": Act("PATCH", "/staff/{}", "The new role counts at once.", Sends(texts=("role",))),
    "deactivate": Act("PATCH", "/staff/{}", "Signed out everywhere.", Sends(ticks=("active",))),
    "activate": Act("PATCH", "/staff/{}", "They can sign in again.", Sends(ticks=("active",))),
}
PRODUCT = Sends(
    texts=("name", "handling_fee", "tax_percent"),
    numbers=("pool_target", "minimum_life_days"),
    ticks=("active", "allow_auto_vendor_fulfill"),
)
PRODUCTS = {"change": Act("PATCH", "/products/{}", "Saved.", PRODUCT)}
JOBS = {"revive": Act("POST", "/jobs/{}/revive", "It runs again.", None)}


@get("/settings")
async def list_staff(request: Req, room: GivenRoom) -> Page:
    """Who of the staff may what."""
    visit = await room.visit(request)
    if not may(visit.session, Permission.STAFF_READ):
        return visit.back(f"{SETTINGS}/products")
    found = await listed(visit, f"{API}/staff")
    can = may(visit.session, Permission.STAFF_WRITE)
    return visit.page("console/staff.html", found=found, roles=list(Role), can=can)


@post("/settings/staff", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def hire(request: Req, room: GivenRoom) -> Page:
    """Let somebody in."""
    return await perform(request, room, NEW, "hire", SETTINGS)


@post(
    "/settings/staff/{staff_id:str}/{act:str}",
    status_code=303,
    request_max_body_size=FORM_BYTES_MAX,
)
async def act_on_person(
    request: Req, room: GivenRoom, staff_id: FromPath[str], act: FromPath[str]
) -> Page:
    """One of STAFF upon one person."""
    return await perform(request, room, STAFF, act, SETTINGS, staff_id)


@get("/settings/products")
async def list_products(request: Req, room: GivenRoom) -> Page:
    """What is sold."""
    visit = await room.visit(request)
    found = await listed(visit, f"{API}/products", ("name",))
    return visit.page("console/products.html", found=found)


@get("/settings/products/{product_id:str}")
async def show_product(request: Req, room: GivenRoom, product_id: FromPath[str]) -> Page:
    """One product: what of it is often changed, and what single clients get off it."""
    visit = await room.visit(request)
    product = (await visit.get(api("/products/{}", product_id))).body
    most = str(DISCOUNTS_SHOWN)
    discounts = await whole(visit, api("/products/{}/discounts", product_id), limit=most)
    return visit.page(
        "console/product.html",
        product=product,
        discounts=discounts,
        cut=len(discounts or ()) == DISCOUNTS_SHOWN,
        can=may(visit.session, Permission.PRODUCTS_WRITE),
        can_discount=may(visit.session, Permission.DISCOUNTS_WRITE),
    )


@post(
    "/settings/products/{product_id:str}",
    status_code=303,
    request_max_body_size=FORM_BYTES_MAX,
)
async def change_product(request: Req, room: GivenRoom, product_id: FromPath[str]) -> Page:
    """Change what the form has."""
    back = f"{SETTINGS}/products/{product_id}"
    return await perform(request, room, PRODUCTS, "change", back, product_id)


@post(
    "/settings/products/{product_id:str}/discounts",
    status_code=303,
    request_max_body_size=FORM_BYTES_MAX,
)
async def set_discount(request: Req, room: GivenRoom, product_id: FromPath[str]) -> Page:
    """Set what one client gets off this product; without a percent none of its own."""
    visit, form = await room.receive(request)
    body = Sends(texts=("percent",), nulls=("percent",)).body(form)
    path = api("/products/{}/discounts/{}", product_id, form.get("client_id").strip())
    back = f"{SETTINGS}/products/{product_id}"
    return await visit.act("PUT", path, body, back=back, done="The discount counts now.")


@get("/settings/jobs")
async def list_jobs(request: Req, room: GivenRoom) -> Page:
    """Background jobs that failed too often and wait for a person."""
    visit = await room.visit(request)
    found = await listed(visit, f"{API}/jobs/dead")
    can = may(visit.session, Permission.JOBS_REVIVE)
    return visit.page("console/jobs.html", found=found, can=can)


@post("/settings/jobs/{job_id:str}/revive", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def revive(request: Req, room: GivenRoom, job_id: FromPath[str]) -> Page:
    """Run a failed job again."""
    return await perform(request, room, JOBS, "revive", f"{SETTINGS}/jobs", job_id)


PAGES = [
    list_staff,
    hire,
    act_on_person,
    list_products,
    show_product,
    change_product,
    set_discount,
    list_jobs,
    revive,
]
