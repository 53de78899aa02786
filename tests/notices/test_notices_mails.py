"""What stands in a mail and above it: for many vouchers, for a top-up, in a client's name."""

from rewards.catalog.model import LinkType, ProductType
from rewards.core.errors import Refusal
from tests.market import MOBILE
from tests.notices.mailroom import CUSTOMER, MAIL_FROM, Mailroom
from tests.notices.postoffice import PostOffice, html_of, text_of

REPLY_TO = "help@solara.example"


async def test_many_vouchers_come_as_a_file(room: Mailroom, office: PostOffice) -> None:
    product = await room.shop.product(realtime=True)
    await room.shop.stock(product, 51)
    await room.order(product, 51)
    await room.deliver()
    [mail] = office.taken
    [file] = mail.iter_attachments()
    assert (file.get_filename(), file.get_content_type()) == ("vouchers.csv", "text/csv")
    raw = file.get_payload(decode=True)
    assert isinstance(raw, bytes)
    lines = raw.decode().splitlines()
    assert lines[0] == "card_number,pin_code"
    assert {f"{code}-card_number,{code}-pin_code" for code in room.shop.codes} == set(lines[1:])
    assert "vouchers.csv" in text_of(mail)
    assert "CANARY" not in text_of(mail) + html_of(mail)


async def test_the_head_names_the_client_and_the_envelope_us(
    room: Mailroom, office: PostOffice
) -> None:
    product = await room.shop.product(name="Zürich — a very long name " * 7)
    await room.shop.stock(product, 1)
    client_id = await room.shop.client(minor=100_000)
    await room.configure(
        client_id,
        brand_name="Solära, “Rewards”",
        sender_address="vouchers@solara.example",
        reply_to=REPLY_TO,
        language="xx",
    )
    await room.order(product, client_id=client_id)
    await room.deliver()
    [mail] = office.taken
    assert mail["From"].addresses[0].display_name == "Solära, “Rewards”"
    assert mail["From"].addresses[0].addr_spec == "vouchers@solara.example"
    assert (mail["Reply-To"], mail["To"]) == (REPLY_TO, CUSTOMER)
    assert office.senders == [MAIL_FROM]
    assert (mail["Auto-Submitted"], mail["Content-Language"]) == ("auto-generated", "en")
    assert mail["Subject"].startswith("Your Zürich — a very")
    [raw] = office.raw
    assert raw.isascii()
    assert max(map(len, raw.splitlines())) <= 998


async def test_what_a_product_is_called_runs_nothing(room: Mailroom, office: PostOffice) -> None:
    product = await room.shop.product(name="<script>x</script>{product}", terms="<img src=x>")
    await room.shop.stock(product, 1)
    await room.order(product)
    await room.deliver()
    [mail] = office.taken
    assert "<script>" not in html_of(mail)
    assert "<img" not in html_of(mail)
    assert "<script>x</script>{product}" in text_of(mail)


async def test_vouchers_with_links_go_by_their_links(room: Mailroom, office: PostOffice) -> None:
    """And once: whoever claimed one has it."""
    product = await room.shop.product(link_type=LinkType.PUBLIC)
    await room.shop.stock(product, 2)
    placed = await room.order(product, 2)
    await room.deliver()
    [mail] = office.taken
    assert text_of(mail).count("/vouchers/claim/") == 2
    assert html_of(mail).count("/vouchers/claim/") == 2
    assert "CANARY" not in mail.as_string()
    for position in (1, 2):
        assert not isinstance(await room.shop.claim(placed.order.id, position), Refusal)
    assert str((await room.shop.order(placed.order.id)).state) == "DELIVERED·GV_LINK_CLAIMED"
    await room.deliver()
    assert len(office.taken) == 1
    assert len(await room.notices()) == 1
    assert await room.shop.broken() == {}


async def test_a_topup_says_where_it_went_and_no_more(room: Mailroom, office: PostOffice) -> None:
    product = await room.shop.product(type=ProductType.MOBILE_TOPUP, voucher_fields=())
    placed = await room.order(product, mobile=MOBILE)
    async with room.shop.parts.db.transaction() as tx:
        await tx.execute(
            "UPDATE orders SET status = 'DELIVERED', sub_status = 'COMPLETED', fulfilled = 1"
            " WHERE id = $1",
            placed.order.id,
        )
        await tx.execute(
            "INSERT INTO events (client_id, type, order_id, data, mail, created_at)"
            " VALUES ($1, 'order.delivered', $2, '{}', true, now())",
            *(placed.order.client_id, placed.order.id),
        )
    await room.deliver()
    [mail] = office.taken
    assert mail["Subject"] == "Your top-up is done: Amazon Gift Card"
    assert "ends in 100" in text_of(mail)
    assert MOBILE["mobile_number"] not in mail.as_string()
