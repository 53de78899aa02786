"""Where the console might do less than it says, or more than it should: lists, forms, files."""

import re
from typing import Any

import pytest

from rewards.staff import service as staff
from rewards.staff.model import Role, StaffChange
from tests.console.busy import FILES, OTHER, SHOWN, fill
from tests.console.desk import Desk, Visitor

ROWS = 60


async def test_a_list_of_every_state_stays_one_on_its_next_page(desk: Desk) -> None:
    """The first page of approvals shows those that wait; who asks for any gets any, to the end."""
    async with desk.shop.parts.db.transaction() as tx:
        await tx.execute(
            """
            INSERT INTO approvals (kind, subject_kind, subject_id, state, reason, requested_by,
                requested_at, expires_at, decided_by, decided_at)
            SELECT 'BATCH_RECALL', 'batch', n, 'REJECTED', 'because', $1,
                now(), now() + interval '1 day', $2, now()
            FROM generate_series(1, $3::integer) AS n
            """,
            *(desk.staff[Role.ADMIN].id, desk.staff[Role.FINANCE].id, ROWS),
        )
    visitor = await desk.at(Role.ADMIN)
    assert "Nothing waits for a second person" in (await visitor.get("/console/approvals")).said
    page = await visitor.get("/console/approvals?state=&kind=")
    assert page.text.count('<th scope="row"') == 50
    found = re.search(r'rel="next" href="([^"]+)"', page.text)
    assert found
    page = await visitor.get(found[1].replace("&amp;", "&"))
    assert page.text.count('<th scope="row"') == ROWS - 50


async def test_a_wallet_stops_to_tell_of_a_low_balance(desk: Desk) -> None:
    """A form is sent as it is shown; what it empties is emptied."""
    client = await desk.shop.client(minor=10_000)
    visitor = await desk.at(Role.ADMIN)
    path = f"/console/clients/{client}/wallets"
    [(action, form)] = forms((await visitor.get(path)).text, "change")
    shown = dict(re.findall(r'<input [^>]*name="(\w+)" [^>]*value="([^"]*)"', form))
    assert set(shown) == {"csrf", "low_balance"}
    fields = {**shown, "status": "FROZEN", "reason": "they asked"}
    page = await visitor.send(path, action, **(fields | {"low_balance": "12.50"}))
    assert "Saved." in page.said, page.said
    assert await told(desk) == ("FROZEN", 1250)
    page = await visitor.send(path, action, **(fields | {"low_balance": " "}))
    assert "Saved." in page.said
    assert await told(desk) == ("FROZEN", None)


async def test_a_postpaid_wallet_gets_another_limit(desk: Desk) -> None:
    client = await desk.shop.client()
    await desk.shop.rates(JPY="0.0064")
    visitor = await desk.at(Role.ADMIN)
    path = f"/console/clients/{client}/wallets"
    fields = {"currency": "JPY", "type": "POSTPAID", "credit_limit": "5000"}
    page = await visitor.send(path, path, **fields)
    assert "5,000\u00a0JPY" in page.said.replace(" ", "\u00a0"), page.said
    # The newest stands first.
    (action, form), *_ = forms(page.text, "change")
    assert 'name="credit_limit" type="text" value="5000"' in form
    page = await visitor.send(path, action, status="ACTIVE", credit_limit="7000", reason="grown")
    assert "7,000" in page.said, page.said


def forms(text: str, act: str) -> list[tuple[str, str]]:
    """The forms of a page that do this: where they are sent, and what they have."""
    return re.findall(rf'action="([^"]*/{act})">(.*?)</form>', text, re.DOTALL)


async def told(desk: Desk) -> Any:
    async with desk.shop.parts.db.connection() as connection:
        [row] = await connection.fetch("SELECT status, low_balance_minor FROM wallets")
    return tuple(row)


@pytest.mark.parametrize("number", ["9" * 5_000, "9" * 40, "٣"])
async def test_a_number_that_is_none_is_refused_and_breaks_nothing(desk: Desk, number: str) -> None:
    client = await desk.shop.client()
    visitor = await desk.at(Role.ADMIN)
    path = f"/console/clients/{client}"
    before = await desk.shop.everything()
    page = await visitor.send(path, path, max_quantity=number)
    assert (page.status, page.url) == (200, desk.url + path), page.said
    assert "Internal" not in page.said
    fields = {"act": "cancel", "reason": "because", "order_ids": number}
    page = await visitor.send("/console/waiting", "/console/waiting/preview", **fields)
    assert page.status == 200, page.said
    page = await visitor.get(f"/console/clients?page={number[:4_500]}")
    assert page.status == 200, page.said
    assert await desk.shop.everything() == before


async def test_a_file_is_taken_from_nobody_who_may_not_import(desk: Desk) -> None:
    """It would lie on the disk before the API could refuse it."""
    support, gone = await desk.at(Role.SUPPORT), await desk.at(Role.OPERATIONS)
    texts = [(await each.get("/console/orders")).csrf for each in (support, gone)]
    async with desk.shop.parts.db.transaction() as tx:
        change = StaffChange(desk.staff[Role.OPERATIONS].id, active=False)
        await staff.change_staff(tx, [change], [None], desk.shop.now)
    await desk.shop.refresh()
    page = await sent(support, texts[0])
    assert page.status == 403
    assert "It needs the permission inventory:import." in page.said
    page = await sent(gone, texts[1])
    assert page.url.partition("?")[0] == f"{desk.url}/console/sign-in"


async def sent(visitor: Visitor, csrf: str) -> Any:
    """A body that is no form: whoever reads it before asking who sends it refuses its shape."""
    boundary = "no-such-boundary"
    kind = f"multipart/form-data; boundary={boundary}"
    headers = {"Content-Type": kind}
    return await visitor.post("/console/inventory/batches", b"x" * 100, follow=True, **headers)


# What everybody may do with their own session.
ONES_OWN = {"/console/sign-out", "/console/theme"}


async def test_no_role_is_offered_a_form_that_it_may_not_send(desk: Desk) -> None:
    """Sent with nothing in it: a form may be refused for that, but never for the permission."""
    busy = await fill(desk)
    refused = []
    for role in set(Role) - {Role.ADMIN}:
        visitor = await desk.at(role)
        offered: dict[str, str] = {}
        csrf = ""
        for pattern in SHOWN:
            if pattern not in OTHER | FILES:
                page = await visitor.get(busy.path(pattern))
                csrf = page.csrf
                found = re.findall(r'<form method="post" action="([^"]+)"', page.text)
                offered |= dict.fromkeys(found, pattern)
        assert offered.keys() > ONES_OWN
        for action in sorted(offered.keys() - ONES_OWN):
            page = await visitor.post(action, {"csrf": csrf})
            if "It needs the permission" in page.said:
                refused.append((role, action, offered[action]))
    assert not refused, "\n".join(map(str, refused))


async def test_a_request_for_a_second_person_is_taken_back(desk: Desk) -> None:
    asker, other = await desk.at(Role.OPERATIONS), await desk.at(Role.FINANCE)
    async with desk.shop.parts.db.transaction() as tx:
        approval_id = await tx.fetchval(
            """
            INSERT INTO approvals (kind, subject_kind, subject_id, reason, requested_by,
                requested_at, expires_at)
            VALUES ('BATCH_RECALL', 'batch', 1, 'because', $1, now(), now() + interval '1 day')
            RETURNING id
            """,
            desk.staff[Role.OPERATIONS].id,
        )
    path = f"/console/approvals/{approval_id}/withdraw"
    assert path not in (await other.get("/console/approvals")).text
    assert path in (await asker.get("/console/approvals")).text
    page = await other.send("/console/approvals", path)
    assert "Withdrawn; nothing comes of it." not in page.said
    page = await asker.send("/console/approvals", path)
    assert "Withdrawn; nothing comes of it." in page.said
    assert "Nothing waits for a second person" in page.said
