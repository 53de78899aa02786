"""How each act of staff is asked for so that it succeeds: by whom, upon what, with which body."""

from base64 import b32decode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from rewards.staff.model import Role
from rewards.staff.totp import code_of, step_at
from tests.security.callers import BETWEEN_LOGINS_S, PASSWORD, Shown, hire, log_in
from tests.security.world import ADMIN, PLANTED, World

WHY = {"reason": "the client asked for it"}
FACTOR = f"{ADMIN}/me/second-factor"
FORM = "multipart/form-data; boundary=end"
FILE = (
    b"--end\r\n"
    b'Content-Disposition: form-data; name="file"; filename="more.csv"\r\n'
    b"Content-Type: text/csv\r\n\r\n"
    b"product_id,denomination,currency,expires_at,card_number,pin_code\n"
    b"6,25.00,USD,2030-12-31,4000123412341234,9876\n"
    b"\r\n--end--\r\n"
)
# A vendor order that was sent, never answered, and is read back no more.
LOST = """
UPDATE vendor_orders SET state = 'UNKNOWN', calls = 1, sent_at = now(), case_at = now(),
    window_ends_at = now(), next_at = now() + interval '900 days'
WHERE subject_id = $1 AND purpose = 'ORDER' RETURNING id
"""
OLDEST_SESSION = "SELECT min(id) FROM staff_sessions WHERE staff_id = $1"
BATCH_OF = "SELECT batch_id FROM units WHERE id = $1"
NAMED = "SELECT id FROM staff_users WHERE username = $1"


@dataclass(frozen=True)
class Try:
    """`ids` and `body` where the world's own and the document's example do not do.

    `who`: id and headers of the member of staff; the admin unless said otherwise.
    """

    ids: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    who: tuple[int, Shown] | None = None
    file: bytes | None = None


Prepare = Callable[[World], Awaitable[Try]]
# Nobody is hired twice, and no code comes twice.
_hired, _codes = count(1), count(1)


async def somebody(world: World, role: Role = Role.ADMIN) -> tuple[str, int, Shown]:
    """Somebody new: name, id, headers."""
    name = f"new-{next(_hired)}@example.com"
    # Some log in again, or are only tried at that.
    world.clock.advance(seconds=BETWEEN_LOGINS_S)
    return name, *(await hire(world, role, name))


async def value(world: World, statement: str, *values: Any) -> Any:
    async with world.api.parts.db.transaction() as tx:
        return await tx.fetchval(statement, *values)


async def admin(world: World) -> tuple[int, Shown]:
    name = world.api.card["staff"]["admin"]["username"]
    return await value(world, NAMED, name), await world.api.as_staff()


async def waiting(world: World) -> int:
    """An order for what there is none of."""
    order = await world.buys(product_id=1, denomination=5, quantity=1)
    assert order["status"] == "PENDING", order
    number: int = order["id"]
    return number


async def stocked(world: World, product_id: int) -> int:
    """A batch of one unit, of the value that the vendor offers."""
    number: int = await value(world, BATCH_OF, await shelved(world, product_id))
    return number


async def shelved(world: World, product_id: int) -> int:
    """A unit in the pool."""
    product = world.api.parts.catalog.product(product_id)
    assert product is not None
    code = f"ACT-{next(_codes)}"
    fields = {name: f"{code}-{name}" for name in product.voucher_fields}
    [unit] = await world.shop.stock(product, 1, minor=500, fields=fields)
    return unit


async def asked_by_another(world: World) -> Try:
    """A recall that operations ask for: whoever asks may not decide."""
    path = f"{ADMIN}/inventory/batches/{await stocked(world, 6)}/recall"
    shown = await world.api.as_staff("operations")
    asked = await world.api.call("POST", path, WHY, shown=shown)
    assert asked.status == 202, asked.text
    return Try({"approval_id": asked.json["approval"]["approval_id"]})


async def upon_a_waiting_order(world: World) -> Try:
    return Try({"order_id": await waiting(world)}, WHY)


async def upon_an_order_that_can_be_filled(world: World) -> Try:
    number = await waiting(world)
    await stocked(world, 1)
    return Try({"order_id": number}, WHY)


async def upon_several(world: World) -> Try:
    return Try(body={"order_ids": [await waiting(world)], **WHY})


async def upon_several_that_can_be_filled(world: World) -> Try:
    number = await waiting(world)
    await stocked(world, 1)
    return Try(body={"order_ids": [number], **WHY})


async def upon_links(world: World) -> Try:
    order = await world.buys(product_id=10, denomination=10, quantity=1)
    return Try({"order_id": order["id"]})


async def upon_a_delivered_order(world: World) -> Try:
    order = await world.buys(product_id=6, denomination=25, quantity=1)
    return Try({"order_id": order["id"]})


async def upon_an_owed_refund(world: World) -> Try:
    order_id, wallet_id = await world.owe("Owed again")
    await world.admin("PATCH", f"/wallets/{wallet_id}", {"status": "ACTIVE", **WHY})
    return Try({"order_id": order_id})


async def upon_a_lost_purchase(world: World) -> Try:
    number = await waiting(world)
    await world.admin("POST", f"/orders/{number}/vendor-fulfilment", WHY)
    return Try({"vendor_order_id": await value(world, LOST, number)})


async def upon_a_key(world: World) -> Try:
    made = await world.issue(world.ids["client_id"])
    return Try({"credential_id": made["id"]})


async def upon_a_blocked_batch(world: World) -> Try:
    batch_id = await stocked(world, 6)
    await world.admin("POST", f"/inventory/batches/{batch_id}/block", WHY)
    return Try({"batch_id": batch_id})


async def upon_a_unit(world: World) -> Try:
    return Try({"unit_id": await shelved(world, 6)})


async def upon_a_blocked_unit(world: World) -> Try:
    unit_id = await shelved(world, 6)
    await world.admin("POST", f"/inventory/units/{unit_id}/block", WHY)
    return Try({"unit_id": unit_id})


async def upon_another_held_rate(world: World) -> Try:
    statement = PLANTED["held_id"].replace("'INR'", "'EUR'")
    return Try({"held_id": await value(world, statement, world.ids["client_id"])})


async def upon_a_report(world: World) -> Try:
    asked = {"kind": "ORDERS", "parameters": {"from": "2026-11-01", "to": "2026-11-02"}}
    made = await world.admin("POST", "/reports", asked, 202)
    return Try({"report_id": made["report_id"]})


async def with_a_file(_world: World) -> Try:
    return Try(file=FILE)


async def by_name_and_password(world: World) -> Try:
    name, number, _ = await somebody(world, Role.VIEWER)
    return Try(body={"username": name, "password": PASSWORD}, who=(number, {}))


async def by_somebody(world: World) -> Try:
    _, *who = await somebody(world, Role.VIEWER)
    return Try(who=(who[0], who[1]))


async def with_a_new_password(world: World) -> Try:
    new = {"old_password": PASSWORD, "new_password": "another quiet password"}
    return Try(body=new, who=(await by_somebody(world)).who)


async def with_a_password(world: World) -> Try:
    return Try(body={"password": PASSWORD}, who=(await by_somebody(world)).who)


async def upon_another_session(world: World) -> Try:
    name, number, _ = await somebody(world, Role.VIEWER)
    again = await log_in(world, "/admin/auth/login", name)
    first = await value(world, OLDEST_SESSION, number)
    return Try({"session_id": first}, who=(number, again))


async def begun(world: World) -> tuple[int, Shown, bytes]:
    """Somebody whose authenticator has a secret that does not count yet."""
    _, number, shown = await somebody(world, Role.VIEWER)
    told = await world.api.call("POST", FACTOR, shown=shown)
    assert told.status < 300, told.text
    return number, shown, b32decode(told.json["secret"])


def code(world: World, secret: bytes) -> dict[str, str]:
    return {"code": code_of(secret, step_at(world.clock.now()))}


async def with_a_first_code(world: World) -> Try:
    number, shown, secret = await begun(world)
    return Try(body=code(world, secret), who=(number, shown))


async def on(world: World) -> tuple[int, Shown, bytes]:
    """Somebody whose second factor counts; each code is good once."""
    number, shown, secret = await begun(world)
    told = await world.api.call("POST", f"{FACTOR}/confirm", code(world, secret), shown=shown)
    assert told.status < 300, told.text
    world.clock.advance(seconds=30)
    return number, shown, secret


async def with_another_code(world: World) -> Try:
    number, shown, secret = await on(world)
    return Try(body=code(world, secret), who=(number, shown))


async def upon_ones_session(world: World) -> Try:
    _, number, _ = await somebody(world, Role.VIEWER)
    return Try({"staff_id": number, "session_id": await value(world, OLDEST_SESSION, number)})


async def upon_who_lost_a_phone(world: World) -> Try:
    number, *_ = await on(world)
    return Try({"staff_id": number})


# What takes a second person, a fault, or something of one's own; all others succeed as they stand.
PREPARED: Mapping[str, Prepare] = {
    "approve": asked_by_another,
    "reject": asked_by_another,
    "retryOrder": upon_an_order_that_can_be_filled,
    "retryOrders": upon_several_that_can_be_filled,
    "approveVendorFulfilment": upon_a_waiting_order,
    "approveVendorFulfilments": upon_several,
    "cancelOrders": upon_several,
    "resendLinks": upon_links,
    "reissueLinks": upon_links,
    "revealCode": upon_a_delivered_order,
    "retryRefund": upon_an_owed_refund,
    "settleUnknownOutcome": upon_a_lost_purchase,
    "rotateSigningSecret": upon_a_key,
    "unblockBatch": upon_a_blocked_batch,
    "blockUnit": upon_a_unit,
    "unblockUnit": upon_a_blocked_unit,
    "revokeUnit": upon_a_unit,
    "dismissHeldFxRate": upon_another_held_rate,
    "cancelReport": upon_a_report,
    "importStock": with_a_file,
    "staffLogin": by_name_and_password,
    "staffLogout": by_somebody,
    "changeOwnPassword": with_a_new_password,
    "proveMyself": with_a_password,
    "endOwnSession": upon_another_session,
    "endStaffSession": upon_ones_session,
    "beginSecondFactor": by_somebody,
    "confirmSecondFactor": with_a_first_code,
    "removeSecondFactor": with_another_code,
    "resetSecondFactor": upon_who_lost_a_phone,
}
