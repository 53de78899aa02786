"""What somebody is told of by mail: once, whoever looks and however often."""

import asyncio

import pytest

from rewards.core.errors import Refusal
from rewards.notices import service
from rewards.notices.model import NoticeKind, NoticeState, NoticeStillQueued
from tests.notices.mailroom import CONTACT, CUSTOMER, Mailroom
from tests.notices.postoffice import PostOffice, text_of
from tests.shop import STAFF


async def test_the_customer_gets_the_vouchers(room: Mailroom, office: PostOffice) -> None:
    product = await room.shop.product()
    await room.shop.stock(product, 2)
    placed = await room.order(product, 2)
    await room.deliver()
    [mail] = office.taken
    assert office.recipients == [CUSTOMER]
    assert office.senders == ["mail@rewards.example"]
    assert mail["To"] == CUSTOMER
    for code in room.shop.codes:
        for field in ("card_number", "pin_code"):
            assert f"{code}-{field}" in text_of(mail)
    notice = await room.notice()
    assert (notice.kind, notice.state, notice.attempts) == ("ORDER_DELIVERED", "SENT", 1)
    assert (notice.order_id, notice.message_id) == (placed.order.id, mail["Message-ID"])
    await room.deliver()
    assert len(office.taken) == 1
    assert await room.shop.broken() == {}


async def test_nobody_is_told_who_has_no_address(room: Mailroom, office: PostOffice) -> None:
    product = await room.shop.product()
    await room.shop.stock(product, 1)
    await room.order(product, email=None)
    waiting = await room.order(product, email=None)
    await room.shop.cancel(waiting.order.id)
    await room.deliver()
    assert office.taken == []
    assert await room.notices() == []


async def test_a_part_is_told_of_and_then_the_whole(room: Mailroom, office: PostOffice) -> None:
    product = await room.shop.product()
    await room.shop.stock(product, 1)
    placed = await room.order(product, 3)
    await room.deliver()
    assert "1 of 3" in office.taken[0]["Subject"]
    await room.shop.stock(product, 2)
    assert not isinstance(await room.shop.retry(placed.order.id), Refusal)
    await room.deliver()
    assert "3 vouchers" in office.taken[1]["Subject"]
    assert all(f"{code}-pin_code" in text_of(office.taken[1]) for code in room.shop.codes)
    assert len({mail["Message-ID"] for mail in office.taken}) == 2


async def test_a_part_and_the_whole_at_one_look_are_one_mail(
    room: Mailroom, office: PostOffice
) -> None:
    product = await room.shop.product()
    await room.shop.stock(product, 1)
    placed = await room.order(product, 2)
    await room.shop.stock(product, 1)
    await room.shop.retry(placed.order.id)
    await room.deliver()
    [mail] = office.taken
    assert "2 vouchers" in mail["Subject"]


async def test_a_cancelled_order_is_told_to_both(room: Mailroom, office: PostOffice) -> None:
    product = await room.shop.product()
    placed = await room.order(product, 2)
    await room.configure(placed.order.client_id, contacts=(CONTACT,))
    await room.shop.cancel(placed.order.id)
    await room.deliver()
    assert sorted(office.recipients) == [CUSTOMER, CONTACT]
    [client] = [mail for mail in office.taken if mail["To"] == CONTACT]
    assert placed.order.ref in client["Subject"]
    assert "USD 51.00" in text_of(client)
    # The customer is told nothing of the client's money.
    [customer] = [mail for mail in office.taken if mail["To"] == CUSTOMER]
    assert "51.00" not in text_of(customer)
    assert placed.order.ref not in text_of(customer)
    assert await room.shop.broken() == {}


async def test_what_is_cancelled_again_is_told_of_once(room: Mailroom, office: PostOffice) -> None:
    """An order that failed is closed by staff; one whose refund was owed is paid."""
    product = await room.shop.product()
    placed = await room.order(product, 2)
    await room.shop.fail(placed.order.id)
    await room.deliver()
    assert len(office.taken) == 1
    assert not isinstance(await room.shop.cancel(placed.order.id), Refusal)
    await room.deliver()
    assert len(office.taken) == 1
    assert len(await room.notices()) == 1


async def test_a_recall_says_that_the_vouchers_are_void(room: Mailroom, office: PostOffice) -> None:
    product = await room.shop.product()
    await room.shop.stock(product, 1)
    placed = await room.order(product)
    await room.deliver()
    await room.shop.cancel(placed.order.id)
    await room.deliver()
    assert "does not work any more" in text_of(office.taken[1])


async def test_vouchers_taken_back_before_the_mail_went_are_not_in_it(
    room: Mailroom, office: PostOffice
) -> None:
    product = await room.shop.product()
    await room.shop.stock(product, 1)
    placed = await room.order(product)
    await room.read_causes()
    await room.shop.cancel(placed.order.id)
    await room.deliver()
    assert all(room.shop.codes[0] not in text_of(mail) for mail in office.taken)
    delivered = await room.notice(kind=NoticeKind.ORDER_DELIVERED)
    assert (delivered.state, delivered.reason) == (NoticeState.SKIPPED, "NOTHING_LEFT")


async def test_a_low_balance_is_told_to_each_contact(room: Mailroom, office: PostOffice) -> None:
    client_id = await room.shop.client(minor=10_000)
    await room.configure(client_id, contacts=(CONTACT, "boss@client.example"))
    held = await room.shop.wallets(client_id)
    async with room.shop.parts.db.transaction() as tx:
        await tx.execute(
            "UPDATE wallets SET low_balance_minor = 8000 WHERE id = $1", held["USD"].id
        )
    product = await room.shop.product()
    await room.shop.stock(product, 1)
    await room.order(product, client_id=client_id, email=None)
    await room.deliver()
    assert sorted(office.recipients) == ["boss@client.example", CONTACT]
    assert office.taken[0]["Subject"] == "Low balance: USD 74.50 left"
    assert "USD 80.00" in text_of(office.taken[0])


async def test_what_a_client_has_switched_off_is_not_queued(
    room: Mailroom, office: PostOffice
) -> None:
    product = await room.shop.product()
    await room.shop.stock(product, 1)
    client_id = await room.shop.client(minor=100_000)
    await room.configure(client_id, muted=(NoticeKind.ORDER_DELIVERED,))
    await room.order(product, client_id=client_id)
    await room.deliver()
    assert await room.notices() == []
    assert office.taken == []


async def test_readers_at_once_read_each_cause_once(room: Mailroom, office: PostOffice) -> None:
    product = await room.shop.product()
    await room.shop.stock(product, 6)
    for _ in range(6):
        await room.order(product)
    others = [room.other() for _ in range(3)]
    await asyncio.gather(*(tasks.read_causes() for tasks in (*others, room.tasks)))
    await room.read_causes()
    await asyncio.gather(*(tasks.send() for tasks in (*others, room.tasks)))
    assert len(await room.notices()) == len(office.taken) == 6
    assert len({mail["Message-ID"] for mail in office.taken}) == 6


async def test_no_cause_is_passed_over_that_commits_late(
    room: Mailroom, office: PostOffice, quiet: None
) -> None:
    """Its event has a lower id than one that was read before it could be seen."""
    product = await room.shop.product()
    await room.shop.stock(product, 2)
    first, second = await room.shop.client(minor=100_000), await room.shop.client(minor=100_000)
    async with room.shop.parts.db.transaction() as tx:
        asks = [room.shop.ask(first, product, email="late@customer.example")]
        await room.shop.place_in(tx, asks)
        other = await room.shop.product(15)
        await room.shop.stock(other, 1)
        await room.order(other, client_id=second, email="early@customer.example")
        await room.tasks.read_causes()
        assert await room.notices() == []
    await room.deliver()
    assert sorted(office.recipients) == ["early@customer.example", "late@customer.example"]


async def test_a_resend_is_a_mail_of_its_own(room: Mailroom, office: PostOffice) -> None:
    product = await room.shop.product()
    await room.shop.stock(product, 1)
    await room.order(product)
    await room.read_causes()
    notice = await room.notice()

    async def resend() -> None:
        async with room.shop.parts.db.transaction() as tx:
            settings = room.shop.parts.settings
            await service.resend(tx, notice.id, STAFF, "never came", settings, room.shop.now)

    with pytest.raises(NoticeStillQueued):
        await resend()
    assert len(await room.notices()) == 1
    await room.tasks.send()
    await resend()
    with pytest.raises(NoticeStillQueued):
        await resend()
    assert len(await room.notices()) == 2
    await room.tasks.send()
    await resend()
    await room.tasks.send()
    assert len({mail["Message-ID"] for mail in office.taken}) == 3
    assert all(room.shop.codes[0] in text_of(mail) for mail in office.taken)
    assert await room.shop.broken() == {}
