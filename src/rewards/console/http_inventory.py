"""Inventory: how deep the pool is and for how long it lasts, importing, pumping, recalling."""

from litestar import get, post
from litestar.params import FromPath

from rewards.console.acts import Act, perform
from rewards.console.listing import Sends, listed, older, whole
from rewards.console.places import API, PREFIX, api, may
from rewards.console.watching import watch
from rewards.core.errors import Forbidden
from rewards.infra.pages.caller import ApiRefused
from rewards.infra.pages.forms import FORM_BYTES_MAX
from rewards.infra.pages.routes import GivenRoom, Page, Req
from rewards.infra.pages.visit import Visit, explain
from rewards.inventory.model import UnitState
from rewards.staff.model import Permission

BATCHES = f"{PREFIX}/inventory/batches"
ROWS_SHOWN = 500
UNITS_SHOWN = 50
REASON = Sends(texts=("reason",))
ACTS = {
    "recall": Act(
        "POST",
        "/inventory/batches/{}/recall",
        "Asked for. Nothing is recalled before a second person agrees; the batch is blocked.",
        Sends(texts=("reason",), ticks=("replace",)),
    ),
    "block": Act(
        "POST", "/inventory/batches/{}/block", "Out of sale; whoever has a unit keeps it.", REASON
    ),
    "unblock": Act("POST", "/inventory/batches/{}/unblock", "Unblocked.", REASON),
}

UNIT_ACTS = {
    "block": Act("POST", "/inventory/units/{}/block", "The unit is out of sale.", REASON),
    "unblock": Act(
        "POST", "/inventory/units/{}/unblock", "The next pump puts the unit on sale again.", REASON
    ),
    "revoke": Act("POST", "/inventory/units/{}/revoke", "The unit is gone for good.", REASON),
}


@get("/inventory")
async def show_inventory(request: Req, room: GivenRoom) -> Page:
    """Every shelf: its depth, what waits, how long it lasts, what to buy."""
    visit = await room.visit(request)
    found = await listed(visit, f"{API}/inventory/depth", ("product_id",))
    shown = ",".join(sorted({str(shelf["product_id"]) for shelf in found.rows}))
    forecast = (
        await whole(visit, f"{API}/inventory/forecast", product_ids=shown, limit="1000")
        if shown
        else ()
    )
    products = await whole(visit, f"{API}/products", limit="500")
    covers = {(line["product_id"], str(line["denomination"])): line for line in forecast or ()}
    return visit.page(
        "console/inventory.html",
        found=found,
        covers=covers,
        names={each["id"]: each["name"] for each in products or ()},
        can_pump=may(visit.session, Permission.INVENTORY_PUMP),
        can_import=may(visit.session, Permission.INVENTORY_IMPORT),
        can_order=may(visit.session, Permission.INVENTORY_ORDER),
    )


@post("/inventory/pump", status_code=303, request_max_body_size=FORM_BYTES_MAX)
async def pump(request: Req, room: GivenRoom) -> Page:
    """Load what waits, of one product or of all, and say what came of it."""
    visit, form = await room.receive(request)
    body = Sends(numbers=("product_id",)).body(form)
    asked = {"product_ids": [body["product_id"]] if body else None}
    back = room.own_path(form.get("back") or f"{PREFIX}/inventory")
    try:
        done = (await visit.send("POST", f"{API}/inventory/pump", asked)).body
    except ApiRefused as refused:
        if room.answers(refused):
            raise
        return visit.back(back, explain(refused), tone="bad")
    swept = sum(shelf["expired"] for shelf in done["shelves"])
    return visit.back(back, f"Loaded {done['loaded']:,} units, swept {swept:,} that expired.")


@get("/inventory/batches")
async def list_batches(request: Req, room: GivenRoom) -> Page:
    """What came in, newest first, and the form that brings in more."""
    visit = await room.visit(request)
    found = await listed(visit, f"{API}/inventory/batches")
    return visit.page(
        "console/batches.html",
        found=found,
        before=older(found, "batch_id"),
        can_import=may(visit.session, Permission.INVENTORY_IMPORT),
    )


@post("/inventory/batches", status_code=303, request_max_body_size=None)
async def import_file(request: Req, room: GivenRoom) -> Page:
    """Hand a file on to the API, then to the page of its batch, which tells how far it is."""
    await _check_may_import(await room.visit(request))
    visit, upload = await room.receive_file(request, bytes_max=room.file_bytes_max, texts=("name",))
    with upload.file as file:
        texts = {"name": upload.texts["name"]} if upload.texts.get("name") else {}
        try:
            answer = await visit.send_file(f"{API}/inventory/batches", upload.filename, file, texts)
        except ApiRefused as refused:
            if room.answers(refused):
                raise
            return visit.back(BATCHES, explain(refused), tone="bad")
    return visit.back(f"{BATCHES}/{answer.body['batch_id']}")


async def _check_may_import(visit: Visit) -> None:
    """Ask before a file lies on the disk, for the API is asked only once it does."""
    me = (await visit.get(f"{API}/me")).body
    if Permission.INVENTORY_IMPORT not in me["permissions"]:
        raise Forbidden(details={"permission": Permission.INVENTORY_IMPORT})


@get("/inventory/batches/{batch_id:str}")
async def show_batch(request: Req, room: GivenRoom, batch_id: FromPath[str]) -> Page:
    """A batch: how far its import is, which rows were refused, who has its units."""
    visit = await room.visit(request)
    batch = (await visit.get(api("/inventory/batches/{}", batch_id))).body
    rejects = []
    if batch["duplicate"] or batch["invalid"]:
        path, after = api("/inventory/batches/{}/rows", batch_id), request.query_params.get("after")
        rejects = (await visit.get(path, limit=ROWS_SHOWN, after=after)).body
    recall = None
    if batch["state"] != "IMPORTING":
        recall = (await visit.get(api("/inventory/batches/{}/recall", batch_id))).body
    return visit.page(
        "console/batch.html",
        batch=batch,
        rejects=rejects,
        more=rejects[-1]["row"] if len(rejects) == ROWS_SHOWN else None,
        recall=recall,
        can_recall=may(visit.session, Permission.INVENTORY_RECALL),
        watch=watch(visit, under_way=batch["state"] == "IMPORTING"),
    )


@get("/inventory/batches/{batch_id:str}/units")
async def list_units(request: Req, room: GivenRoom, batch_id: FromPath[str]) -> Page:
    """Every unit of a batch, and whoever has it or had it."""
    visit = await room.visit(request)
    batch = (await visit.get(api("/inventory/batches/{}", batch_id))).body
    after = request.query_params.get("after", "")
    path, fixed = api("/inventory/batches/{}/units", batch_id), {"after": after}
    found = await listed(visit, path, ("state",), fixed, size=UNITS_SHOWN)
    return visit.page(
        "console/batch-units.html",
        batch=batch,
        found=found,
        after=older(found, "unit_id"),
        states=list(UnitState),
        can_act=may(visit.session, Permission.INVENTORY_RECALL),
    )


@post(
    "/inventory/batches/{batch_id:str}/{act:str}",
    status_code=303,
    request_max_body_size=FORM_BYTES_MAX,
)
async def act_on_batch(
    request: Req, room: GivenRoom, batch_id: FromPath[str], act: FromPath[str]
) -> Page:
    """One of ACTS upon one batch."""
    return await perform(request, room, ACTS, act, f"{BATCHES}/{batch_id}", batch_id)


@post(
    "/inventory/batches/{batch_id:str}/units/{unit_id:str}/{act:str}",
    status_code=303,
    request_max_body_size=FORM_BYTES_MAX,
)
async def act_on_unit(
    request: Req,
    room: GivenRoom,
    batch_id: FromPath[str],
    unit_id: FromPath[str],
    act: FromPath[str],
) -> Page:
    """One of UNIT_ACTS upon one unit of a batch."""
    return await perform(request, room, UNIT_ACTS, act, f"{BATCHES}/{batch_id}/units", unit_id)


PAGES = [
    show_inventory,
    pump,
    list_batches,
    import_file,
    show_batch,
    list_units,
    act_on_batch,
    act_on_unit,
]
