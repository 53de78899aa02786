"""Products: what is sold, new ones, what they cost, who sees them and gets something off."""

from typing import Any

from litestar import get, post
from litestar.params import FromPath

from rewards.catalog.model import (
    VOUCHER_FIELDS,
    Classification,
    DeliveryType,
    LinkType,
    ProductType,
)
from rewards.console.acts import Act, perform
from rewards.console.http_client_discounts import AGREED
from rewards.console.listing import Sends, listed, whole
from rewards.console.places import API, PREFIX, api, check_may, may
from rewards.infra.pages.caller import ApiRefused
from rewards.infra.pages.forms import FORM_BYTES_MAX, Form
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.infra.pages.visit import Visit, explain
from rewards.staff.model import Permission

PRODUCTS = f"{PREFIX}/products"
CATEGORIES = f"{PRODUCTS}/categories"
WORDS = ("name", "description", "terms", "redemption", "validity", "image_url")
FACTS = Sends(
    texts=(*WORDS, "country", "type", "delivery_type", "classification", "link_type"),
    numbers=(
        *("category_id", "subcategory_id", "max_quantity", "request_quantity_max"),
        *("filled_quantity_max", "pool_target", "minimum_life_days"),
    ),
    ticks=("active", "realtime", "visible_by_default"),
    nulls=(
        *("subcategory_id", "link_type"),
        *("max_quantity", "request_quantity_max", "filled_quantity_max"),
    ),
)
# They may be emptied.
EMPTIED = ("description", "terms", "redemption", "validity", "image_url")
PRICING = Sends(
    texts=("handling_fee", "tax_percent", "vendor_discount_percent", "reason"),
    nulls=("vendor_discount_percent",),
)
PRICED = {"pricing": Act("PATCH", "/products/{}/pricing", "It costs that from now on.", PRICING)}
# Apart from all else that a product is: whoever saves that does not decide this.
WHY = Sends(texts=("reason",))
FLAG = Sends(texts=("reason",), ticks=("allow_auto_vendor_fulfill",))
FLAGGED = {"flag": Act("PATCH", "/products/{}", "It counts from now on.", FLAG)}
CATEGORY = {"add": Act("POST", "/categories", "Added.", Sends(texts=("name",)))}
WITHIN = {"add": Act("POST", "/categories/{}/subcategories", "Added.", Sends(texts=("name",)))}
# As many as the API gives at once.
DISCOUNTS_SHOWN = 500
SEEN = {"yes": True, "no": False}
CHOICES: dict[str, Any] = {
    "types": list(ProductType),
    "delivery_types": list(DeliveryType),
    "classifications": list(Classification),
    "link_types": list(LinkType),
    "voucher_fields": VOUCHER_FIELDS,
}


@get("/products")
async def list_products(request: Req, room: GivenRoom) -> Page:
    """What is sold, and what is not any more or not yet."""
    visit = await room.visit(request)
    found = await listed(visit, f"{API}/products", ("name",))
    can = may(visit.session, Permission.PRODUCTS_WRITE)
    return visit.page("console/products.html", found=found, can=can)


@get("/products/new")
async def ask_for_product(request: Req, room: GivenRoom) -> Page:
    """The form that adds one."""
    visit = await room.visit(request)
    check_may(visit.session, Permission.PRODUCTS_WRITE)
    return await _show_form(visit, Form([]))


async def _show_form(visit: Visit, given: Form, problem: str = "", status: int = 200) -> Page:
    reference = (await visit.get(f"{API}/reference-data")).body
    return visit.page(
        "console/product-new.html",
        status=status,
        given=given,
        problem=problem,
        reference=reference,
        choices=CHOICES,
    )


@post("/products", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def add_product(request: Req, room: GivenRoom) -> Page:
    """Add one and go on to its page; refused, the form comes back as it was filled in."""
    visit, form = await room.receive(request)
    body = FACTS.body(form) | _lists(form) | form.chosen("currency")
    try:
        made = (await visit.send("POST", f"{API}/products", body)).body
    except ApiRefused as refused:
        if room.answers(refused) or refused.status == 403:
            raise
        return await _show_form(visit, form, explain(refused), 400)
    told = "Added. Map it to a vendor or import stock, have it priced, then put it on sale."
    return visit.back(f"{PRODUCTS}/{made['id']}", told)


def _lists(form: Form) -> dict[str, Any]:
    return {
        "voucher_fields": form.all("voucher_fields"),
        "denominations": denominations(form.get("denominations")),
    }


def denominations(text: str) -> list[dict[str, str]]:
    """One a line: `25`, or `25 - 100` for all between; what is no number the API refuses."""
    ranges = []
    for line in text.replace(",", "\n").replace("\u2013", "-").split("\n"):
        least, _, most = (part.strip() for part in line.partition("-"))
        if least or most:
            ranges.append({"min_value": least} | ({"max_value": most} if most else {}))
    return ranges


def _as_text(ranges: list[dict[str, Any]]) -> str:
    """As `denominations` reads it."""
    lines = [
        str(each["min_value"])
        if each["min_value"] == each["max_value"]
        else f"{each['min_value']} - {each['max_value']}"
        for each in ranges
    ]
    return "\n".join(lines)


@get("/products/categories")
async def list_categories(request: Req, room: GivenRoom) -> Page:
    """What products are sorted by."""
    visit = await room.visit(request)
    reference = (await visit.get(f"{API}/reference-data")).body
    can = may(visit.session, Permission.PRODUCTS_WRITE)
    return visit.page("console/categories.html", categories=reference["categories"], can=can)


@post("/products/categories", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def add_category(request: Req, room: GivenRoom) -> Page:
    """Add a category."""
    return await perform(request, room, CATEGORY, "add", CATEGORIES)


@post(
    "/products/categories/{category_id:str}", status_code=303, request_max_body_size=FORM_BYTES_MAX
)
async def add_subcategory(request: Req, room: GivenRoom, category_id: FromPath[str]) -> Page:
    """Add a sub-category to one."""
    return await perform(request, room, WITHIN, "add", CATEGORIES, category_id)


@get("/products/{product_id:str}")
async def show_product(request: Req, room: GivenRoom, product_id: FromPath[str]) -> Page:
    """One product: what it is, what it costs, who sees it and gets something off."""
    visit = await room.visit(request)
    product = (await visit.get(api("/products/{}", product_id))).body
    most = str(DISCOUNTS_SHOWN)
    discounts = await whole(visit, api("/products/{}/discounts", product_id), limit=most)
    reference = (await visit.get(f"{API}/reference-data")).body
    return visit.page(
        "console/product.html",
        product=product,
        values=_as_text(product["denominations"]),
        discounts=discounts,
        cut=len(discounts or ()) == DISCOUNTS_SHOWN,
        reference=reference,
        choices=CHOICES,
        can=may(visit.session, Permission.PRODUCTS_WRITE),
        can_buy=may(visit.session, Permission.VENDORS_APPROVE),
        can_price=may(visit.session, Permission.PRODUCTS_PRICE),
        can_discount=may(visit.session, Permission.DISCOUNTS_WRITE),
    )


@post("/products/{product_id:str}", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def change_product(request: Req, room: GivenRoom, product_id: FromPath[str]) -> Page:
    """Change what the form has: all but what it costs and whether it is bought by itself."""
    visit, form = await room.receive(request)
    emptied = {name: "" for name in EMPTIED if name in form}
    body = emptied | FACTS.body(form) | _lists(form)
    back = f"{PRODUCTS}/{product_id}"
    return await visit.act("PATCH", api("/products/{}", product_id), body, back=back, done="Saved.")


@post("/products/{product_id:str}/pricing", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def price_product(request: Req, room: GivenRoom, product_id: FromPath[str]) -> Page:
    """Set fee, tax and discount, and say why."""
    back = f"{PRODUCTS}/{product_id}"
    return await perform(request, room, PRICED, "pricing", back, product_id)


@post("/products/{product_id:str}/flag", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def flag_product(request: Req, room: GivenRoom, product_id: FromPath[str]) -> Page:
    """Have what waits for it bought without a person, and say why; or not any more."""
    back = f"{PRODUCTS}/{product_id}"
    return await perform(request, room, FLAGGED, "flag", back, product_id)


@post("/products/{product_id:str}/discounts", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def set_discount(request: Req, room: GivenRoom, product_id: FromPath[str]) -> Page:
    """Set what one client gets off this product; without a percent none of its own."""
    visit, form = await room.receive(request)
    body = AGREED.body(form)
    path = api("/products/{}/discounts/{}", product_id, form.get("client_id").strip())
    back = f"{PRODUCTS}/{product_id}"
    return await visit.act("PUT", path, body, back=back, done="The discount counts now.")


@post(
    "/products/{product_id:str}/visibility", status_code=303, request_max_body_size=FORM_BYTES_MAX
)
async def set_visibility(request: Req, room: GivenRoom, product_id: FromPath[str]) -> Page:
    """Show it to one client, hide it from one, or treat that client like all others."""
    visit, form = await room.receive(request)
    body = {"visible": SEEN.get(form.get("visible"))} | WHY.body(form)
    path = api("/products/{}/visibility/{}", product_id, form.get("client_id").strip())
    back = f"{PRODUCTS}/{product_id}"
    return await visit.act("PUT", path, body, back=back, done="It counts from now on.")


PAGES = [
    *(list_products, ask_for_product, add_product),
    *(list_categories, add_category, add_subcategory),
    *(show_product, change_product, price_product, flag_product, set_discount, set_visibility),
]
