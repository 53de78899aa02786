"""Money above the limit: one person asks, another agrees, and it moves once."""

import ast
import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import rewards
from rewards.staff import alone, bookings, cancels
from rewards.staff.model import Role
from rewards.wallets.model import WalletStatus
from tests.staff.till import ABOVE, Till, open_till

NO = {"reason": "nobody sent it"}


@pytest.fixture
async def till(dsn: str, tmp_path: Path) -> AsyncIterator[Till]:
    async with open_till(dsn, tmp_path) as made:
        yield made


@pytest.mark.parametrize(
    ("act", "more", "moved"),
    [
        ("top-up", {}, 10_001),
        ("adjust", {"direction": "credit"}, 10_001),
        ("adjust", {"direction": "debit"}, -10_001),
    ],
)
async def test_above_the_limit_money_moves_once_another_has_agreed(
    till: Till, act: str, more: dict[str, str], moved: int
) -> None:
    asked = await till.book(act, ABOVE | more | {"reference": "WIRE-7"})
    assert (asked["state"], asked["amount"], asked["currency"]) == ("REQUESTED", 100.01, "USD")
    assert asked["requested_by"] == till.office.people["finance"]
    assert (asked["subject_kind"], asked["subject_id"]) == ("wallet", till.wallet)
    await till.office.work_off()
    assert await till.balance() == 100_000, "nobody agreed yet"
    await till.decide(asked["approval_id"])
    await asyncio.gather(till.office.work_off(), till.office.work_off())
    await till.office.work_off()
    assert await till.balance() == 100_000 + moved
    done = await till.approval(asked["approval_id"])
    assert (done["state"], done["refused"]) == ("CARRIED_OUT", None)
    [line] = await till.office.shop.parts.db.run(
        lambda tx: tx.fetch("SELECT * FROM ledger_transfers WHERE id = $1", done["transaction_id"])
    )
    assert (line["amount_minor"], line["reference"]) == (moved, "WIRE-7")
    # Asked again it was booked before, and nobody is asked.
    told = await till.book(act, ABOVE | more | {"reference": "WIRE-7"}, 200)
    assert (told["repeated"], told["transaction_id"]) == (True, done["transaction_id"])


async def test_up_to_the_limit_one_person_is_enough_and_many_small_acts_are_a_large_one(
    till: Till,
) -> None:
    await till.book("top-up", {"amount": "60"}, 200)
    await till.book("adjust", {"amount": "40", "direction": "debit", "note": "slip"}, 200)
    waits = await till.book("top-up", {"amount": "0.01"})
    assert waits["amount"] == 0.01
    # Another person has a limit of their own, and so has another client.
    await till.book("top-up", {"amount": "100"}, 200, who="admin")
    other = await till.office.shop.client(minor=1)
    other_wallet = (await till.office.shop.wallets(other))["USD"].id
    await till.office.ask("finance", "POST", f"/wallets/{other_wallet}/top-up", {"amount": 100})
    # What a second person agreed to does not count, and a day later nothing does.
    await till.decide(waits["approval_id"])
    await till.office.work_off()
    till.clock.ahead += timedelta(hours=24)
    await till.book("top-up", {"amount": "100"}, 200)
    await till.book("top-up", {"amount": "0.01"})


async def test_another_wallet_of_the_client_has_no_limit_of_its_own(till: Till) -> None:
    """However many wallets one person opens, and with how much credit: the client gets no more."""
    office, shop = till.office, till.office.shop
    await shop.rates(EUR="1.25", GBP="1")

    async def opened(currency: str, credit: str, status: int = 201) -> int:
        body = {"currency": currency, "type": "POSTPAID", "credit_limit": credit}
        path = f"/clients/{till.client}/wallets"
        told = await office.ask("admin", "POST", path, body, status)
        number: int = told["id" if status == 201 else "subject_id"]
        return number

    async def topped_up(number: int, amount: str, status: int) -> Any:
        body = {"amount": amount, "reference": amount}
        return await office.ask("admin", "POST", f"/wallets/{number}/top-up", body, status)

    # 40 of 100, then 50 dollars in euro, then 5 of credit: 5 are left, whichever wallet and act.
    await till.book("top-up", {"amount": "40"}, 200, who="admin")
    euro, pound = await opened("EUR", "20"), await opened("GBP", "5")
    await topped_up(euro, "20", 200)
    waits = await topped_up(pound, "5.01", 202)
    assert (waits["amount"], waits["subject_id"]) == (5.01, pound)
    more = {"credit_limit": "10.01", "reason": "more"}
    await office.ask("admin", "PATCH", f"/wallets/{pound}", more, 202)
    third = await opened("GBP", "5.01", 202)
    await topped_up(third, "5", 200)
    await till.book("top-up", {"amount": "0.01"}, who="admin")
    # A cancel and its preview count it too.
    order = await till.sold(1)
    for preview in (True, False):
        body = {"order_ids": [order.id], "reason": "fraud", "preview": preview}
        [told] = await office.ask("admin", "POST", "/orders/cancel", body)
        assert told["needs_second_person"]
    # The newest stands first.
    held = (await office.ask("admin", "GET", f"/clients/{till.client}/wallets"))[::-1]
    assert [(each["balance"], each["credit_limit"]) for each in held] == [
        (1_014.5, 0),
        (20, 20),
        (0, 5),
        (5, 0),
    ]


async def test_acts_upon_many_wallets_at_once_do_not_slip_past_the_limit_together(
    till: Till,
) -> None:
    office = till.office
    opened = {"currency": "USD", "type": "PREPAID"}
    paths = [till.path]
    for _ in range(5):
        made = await office.ask("finance", "POST", f"/clients/{till.client}/wallets", opened, 201)
        paths.append(f"/wallets/{made['id']}")
    told = await asyncio.gather(
        *(office.status("finance", "POST", path + "/top-up", {"amount": "40"}) for path in paths)
    )
    assert sorted(told) == [200, 200, 202, 202, 202, 202]


async def test_nobody_lifts_the_limit_by_a_rate_of_their_own(till: Till) -> None:
    office, shop = till.office, till.office.shop
    await shop.rates(EUR="1.25")
    client = await shop.client(minor=1, currencies=("EUR",))
    path = f"/wallets/{(await shop.wallets(client))['EUR'].id}/top-up"
    await office.ask("finance", "POST", path, {"amount": "80"})
    worthless = {"source": "EUR", "target": "USD", "rate": "0.000001", "reason": "a slip"}
    await office.ask("finance", "POST", "/fx-rates", worthless | {"confirm": True}, 201)
    await shop.refresh()
    asked = await office.ask("finance", "POST", path, {"amount": "1000000"}, 202)
    assert asked["state"] == "REQUESTED"
    assert await shop.balance(client, "EUR") == 8_001
    # In its own currency nothing depends on a rate, and a day later others have seen it.
    await till.book("top-up", {"amount": "100"}, 200)
    till.clock.ahead += timedelta(hours=24, minutes=1)
    await office.ask("finance", "POST", path, {"amount": "1", "reference": "b"})


async def test_a_preview_says_what_takes_two_by_what_was_moved_today(till: Till) -> None:
    orders = [await till.sold(quantity) for quantity in (1, 2, 2)]
    office, shop = till.office, till.office.shop
    many = {"order_ids": [order.id for order in orders], "reason": "fraud"}

    async def cancels(preview: bool) -> list[Any]:
        body = many | {"preview": preview}
        told: list[Any] = await office.ask("admin", "POST", "/orders/cancel", body)
        return told

    before = await shop.everything()
    assert [each["needs_second_person"] for each in await cancels(True)] == [False, False, True]
    await till.book("top-up", {"amount": "40"}, 200, who="admin")
    told = await cancels(True)
    assert [each["needs_second_person"] for each in told] == [False, True, True]
    assert [each["status"] for each in told] == ["CANCELLED"] * 3
    assert (await shop.everything())["orders"] == before["orders"]
    done = await cancels(False)
    assert [each["needs_second_person"] for each in done] == [False, True, True]
    assert [each["approval_id"] is not None for each in done] == [False, True, True]
    assert [each["code"] for each in (await cancels(True))[1:]] == ["APPROVAL_PENDING"] * 2


async def test_acts_at_the_same_time_do_not_slip_past_the_limit_together(till: Till) -> None:
    told = await asyncio.gather(
        *(
            till.office.status("finance", "POST", till.path + "/top-up", {"amount": "40"})
            for _ in range(6)
        )
    )
    assert sorted(told) == [200, 200, 202, 409, 409, 409], "one waits, the rest are its twins"
    assert await till.balance() == 100_000 + 2 * 4_000


async def test_two_that_are_named_apart_wait_side_by_side_and_twins_do_not(till: Till) -> None:
    first = await till.book("top-up", ABOVE | {"reference": "A"})
    second = await till.book("top-up", ABOVE | {"reference": "B"})
    again = ABOVE | {"reference": "A", "amount": "200"}
    assert (
        await till.office.refused("finance", "POST", till.path + "/top-up", again)
        == "APPROVAL_PENDING"
    )
    await till.decide(first["approval_id"])
    await till.decide(second["approval_id"], "reject", NO)
    await till.office.work_off()
    assert await till.balance() == 100_000 + 10_001


async def test_what_is_refused_is_refused_before_anybody_is_asked(till: Till) -> None:
    office = till.office

    async def refused(act: str, body: Any, status: int = 409) -> str:
        return await office.refused("finance", "POST", f"{till.path}/{act}", body, status)

    debit = {"amount": "1000.01", "direction": "debit", "note": "slip"}
    assert await refused("adjust", debit, 400) == "INSUFFICIENT_FUNDS"
    await till.book("top-up", {"amount": "1", "reference": "R"}, 200)
    assert await refused("top-up", ABOVE | {"reference": "R"}) == "REFERENCE_REUSED"
    await office.shop.set_wallet_status(till.client, WalletStatus.FROZEN)
    assert await refused("top-up", ABOVE) == "WALLET_FROZEN"
    assert await office.ask("viewer", "GET", "/approvals") == []


@pytest.mark.parametrize("trouble", ["frozen", "closed", "spent", "booked"])
async def test_what_the_wallet_refuses_by_then_the_request_says_and_nothing_moves(
    till: Till, trouble: str
) -> None:
    act, more, code = "top-up", {"reference": "X"}, f"WALLET_{trouble.upper()}"
    if trouble == "spent":
        act, more, code = "adjust", {"direction": "debit"}, "INSUFFICIENT_FUNDS"
    if trouble == "booked":
        code = "REFERENCE_REUSED"
    asked = await till.book(act, ABOVE | more)
    if trouble == "frozen":
        await till.office.shop.set_wallet_status(till.client, WalletStatus.FROZEN)
    elif trouble == "booked":
        body = {"amount": "1", "reference": "X"}
        await till.book("top-up", body, 200, who="admin")
    else:
        for _ in range(10):
            body = {"amount": "100", "direction": "debit", "note": "moved"}
            await till.book("adjust", body, 200, who=await till.office.hire(Role.FINANCE, f"f{_}"))
    if trouble == "closed":
        await till.office.shop.set_wallet_status(till.client, WalletStatus.CLOSED)
    before = await till.balance()
    await till.decide(asked["approval_id"])
    await till.office.work_off()
    told = await till.approval(asked["approval_id"])
    assert (told["state"], told["refused"], told["transaction_id"]) == ("CARRIED_OUT", code, None)
    assert told["note"].startswith(f"{code}: ")
    assert await till.balance() == before


async def test_a_request_is_withdrawn_by_its_asker_alone_and_decided_once(till: Till) -> None:
    office = till.office
    number = (await till.book("top-up"))["approval_id"]
    path = f"/approvals/{number}"
    for stranger in ("admin", "viewer"):
        told = await office.refused(stranger, "POST", path + "/withdraw", None, 403)
        assert told == "NOT_THE_ASKER"
    assert await office.refused("finance", "POST", "/approvals/999/withdraw", None, 404)
    withdrawn = await office.ask("finance", "POST", path + "/withdraw")
    assert (withdrawn["state"], withdrawn["decided_by"]) == ("WITHDRAWN", None)
    assert withdrawn["withdrawn_at"] is not None
    assert await office.refused("admin", "POST", path + "/approve") == "APPROVAL_DECIDED"
    assert await office.refused("finance", "POST", path + "/withdraw") == "APPROVAL_DECIDED"
    await office.work_off()
    assert await till.balance() == 100_000
    # One may ask again, and it expires.
    again = (await till.book("top-up"))["approval_id"]
    till.clock.ahead += timedelta(days=3)
    told = await office.refused("finance", "POST", f"/approvals/{again}/withdraw")
    assert told == "APPROVAL_EXPIRED"


@pytest.mark.parametrize("verdicts", [("approve", "reject"), ("approve", "withdraw")])
async def test_of_two_who_decide_at_once_one_wins(till: Till, verdicts: tuple[str, str]) -> None:
    office = till.office
    other = {"reject": await office.hire(Role.ADMIN, "admin two"), "withdraw": "finance"}
    for _ in range(5):
        number = (await till.book("top-up"))["approval_id"]
        told = await asyncio.gather(
            office.status("admin", "POST", f"/approvals/{number}/{verdicts[0]}"),
            office.status(other[verdicts[1]], "POST", f"/approvals/{number}/{verdicts[1]}", NO)
            if verdicts[1] == "reject"
            else office.status("finance", "POST", f"/approvals/{number}/withdraw"),
        )
        assert sorted(told) == [200, 409]
        before = await till.balance()
        await office.work_off()
        agreed = (await till.approval(number))["state"] == "CARRIED_OUT"
        assert agreed == (told[0] == 200)
        assert await till.balance() == before + 10_001 * agreed


async def test_a_freeze_and_the_carrying_out_race_and_either_it_moved_or_it_says_why(
    till: Till,
) -> None:
    parts = till.office.shop.parts
    for _ in range(5):
        number = (await till.book("top-up"))["approval_id"]
        await till.decide(number)
        before = await till.balance()
        await asyncio.gather(
            bookings.carry_out(parts.db, parts.clock, number),
            till.office.shop.set_wallet_status(till.client, WalletStatus.FROZEN),
        )
        told = await till.approval(number)
        moved = told["transaction_id"] is not None
        assert told["refused"] == (None if moved else "WALLET_FROZEN")
        assert await till.balance() == before + 10_001 * moved
        await till.office.shop.set_wallet_status(till.client, WalletStatus.ACTIVE)


async def test_requests_are_found_by_state_kind_and_who_asked(till: Till) -> None:
    office = till.office
    first = (await till.book("top-up"))["approval_id"]
    second = (await till.book("adjust", ABOVE | {"direction": "credit"}, who="admin"))[
        "approval_id"
    ]

    async def found(query: str, who: str = "finance") -> list[int]:
        listed = await office.ask(who, "GET", "/approvals" + query)
        return [one["approval_id"] for one in listed]

    assert await found("") == [second, first]
    assert await found("?mine=true") == [first]
    assert await found("?mine=true", "viewer") == []
    assert await found("?kind=adjustment&state=requested") == [second]
    assert await office.refused("viewer", "GET", "/approvals?mine=perhaps", None, 400)
    assert await office.refused("viewer", "GET", "/approvals/999", None, 404)


async def test_taking_back_what_was_delivered_counts_as_money(till: Till) -> None:
    office, shop = till.office, till.office.shop
    small, large = await till.sold(3), await till.sold(4)
    reason = {"reason": "fraud"}
    path = f"/orders/{large.id}/cancel"
    asked = await office.ask("operations", "POST", path, reason, 202)
    assert (asked["kind"], asked["subject_id"]) == ("LATE_CANCEL", large.id)
    assert asked["amount"] == large.amount_minor / 100
    assert str((await shop.order(large.id)).state) == "DELIVERED·COMPLETED"
    assert await office.refused("operations", "POST", path, reason) == "APPROVAL_PENDING"
    told = await office.ask("operations", "POST", f"/orders/{small.id}/cancel", reason)
    assert told["status"] == "CANCELLED"
    # 76.50 were given back alone, and 25.50 more are too much, whatever the act.
    third = await till.sold(1)
    await office.ask("operations", "POST", f"/orders/{third.id}/cancel", reason, 202)
    await office.ask("finance", "POST", f"/approvals/{asked['approval_id']}/approve")
    await asyncio.gather(office.work_off(), office.work_off())
    assert str((await shop.order(large.id)).state) == "CANCELLED·REFUNDED"
    assert await shop.item_states(large.id) == ["REVOKED"] * 4
    assert (await till.approval(asked["approval_id"]))["state"] == "CARRIED_OUT"
    assert await till.balance() == 100_000 - third.amount_minor


async def test_named_items_are_kept_in_the_request_and_a_frozen_wallet_is_told(till: Till) -> None:
    office, shop = till.office, till.office.shop
    order = await till.sold(6)
    items = [f"{order.id}-{position}" for position in range(1, 6)]
    body = {"reason": "fraud", "item_ids": items}
    asked = await office.ask("operations", "POST", f"/orders/{order.id}/cancel", body, 202)
    await office.ask("finance", "POST", f"/approvals/{asked['approval_id']}/approve")
    await shop.set_wallet_status(till.client, WalletStatus.FROZEN)
    await office.work_off()
    assert str((await shop.order(order.id)).state) == "CANCELLED·NOT_REFUNDED"
    assert await shop.item_states(order.id) == ["REVOKED"] * 5 + ["DELIVERED"]
    told = await till.approval(asked["approval_id"])
    assert (told["state"], told["note"]) == ("CARRIED_OUT", cancels.STILL_OWED)


async def test_a_list_of_requests_names_the_first_items_of_a_cancel(till: Till) -> None:
    order = await till.sold(25)
    await till.office.shop.retry(order.id)
    items = [f"{order.id}-{position}" for position in range(1, 23)]
    body = {"reason": "fraud", "item_ids": items}
    asked = await till.office.ask("operations", "POST", f"/orders/{order.id}/cancel", body, 202)
    assert asked["details"] == {"item_ids": items}
    [listed] = await till.office.ask("finance", "GET", "/approvals")
    names = {"requested_by_name": "operations", "decided_by_name": None}
    assert listed == asked | names | {"details": {"item_ids": items[:20], "items": 22}}
    assert await till.approval(asked["approval_id"]) == asked | names


async def test_what_was_taken_back_meanwhile_is_left_alone(till: Till) -> None:
    office, shop = till.office, till.office.shop
    order = await till.sold(4)
    body = {"reason": "fraud"}
    asked = await office.ask("operations", "POST", f"/orders/{order.id}/cancel", body, 202)
    await shop.cancel(order.id)
    await office.ask("finance", "POST", f"/approvals/{asked['approval_id']}/approve")
    await office.work_off()
    told = await till.approval(asked["approval_id"])
    assert (told["state"], told["refused"]) == ("CARRIED_OUT", "ORDER_NOT_CANCELLABLE")
    assert await till.balance() == 100_000


async def test_what_nobody_got_is_given_up_by_one_person_however_much_it_is(till: Till) -> None:
    shop = till.office.shop
    product = await shop.product()
    order = (await shop.place_one(shop.ask(till.client, product, 8))).order
    told = await till.office.ask(
        "operations", "POST", f"/orders/{order.id}/cancel", {"reason": "too late"}
    )
    assert told["sub_status"] == "REFUNDED"
    assert await till.balance() == 100_000


async def test_another_currency_counts_at_its_rate_and_without_one_it_takes_two(till: Till) -> None:
    shop = till.office.shop
    client = await shop.client(minor=1, currencies=("EUR",))
    path = f"/wallets/{(await shop.wallets(client))['EUR'].id}/top-up"

    async def status(amount: str) -> int:
        return await till.office.status("finance", "POST", path, {"amount": amount})

    assert await status("1") == 202, "nobody knows how much a euro is"
    await shop.rates(EUR="1.25")
    assert await status("80") == 200
    assert await status("0.01") == 409, "the first one waits"


async def test_old_acts_are_forgotten_when_they_count_no_more(till: Till) -> None:
    await till.book("top-up", {"amount": "60"}, 200)
    parts = till.office.shop.parts
    for hours, forgotten in ((47, 0), (2, 1), (0, 0)):
        till.clock.ahead += timedelta(hours=hours)
        async with parts.db.transaction() as tx:
            assert await alone.forget(tx, parts.clock.now()) == forgotten


def test_no_route_of_staff_moves_money_but_through_the_limit() -> None:
    """Whichever way in: whoever calls the ledger or a cancel is one of the few that ask first."""
    staff = Path(rewards.__file__).parent / "staff"
    callers: dict[str, set[str]] = {}
    for path in staff.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr=verb)):
                    callers.setdefault(f"{owner}.{verb}", set()).add(path.name)
    assert callers["wallets.top_up"] == callers["wallets.adjust"] == {"bookings.py"}
    assert callers["orders.cancel"] == {"cancels.py"}
    assert callers["wallets.set_limits"] == callers["wallets.open_wallets"] == {"credit.py"}
    assert "wallets.post" not in callers
