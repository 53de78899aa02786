"""Claim links as clients have them: in answers, once more, sealed, and never guessed (T55)."""

import hashlib
import json
import secrets
from dataclasses import replace
from datetime import timedelta

import pytest

from rewards.catalog.model import LinkType
from rewards.claims.mailing import OrderLinks
from rewards.claims.model import claim_before, digest_of, new_token
from rewards.claims.service import PATH, PLACE
from rewards.core.actor import Actor, ActorKind
from rewards.core.errors import InvalidField, Refusal
from rewards.infra import idempotency
from rewards.infra.crypto import SealBroken
from rewards.orders import model
from rewards.orders.closing import TakeBackAsk
from rewards.orders.decide import KeyUse
from rewards.orders.model_links import LinkGone
from rewards.orders.recalls import take_back
from rewards.orders.relinking import RelinkAsk
from rewards.orders.request import DECODER, check, check_against
from rewards.orders.view import OrderOut
from tests.claims.site import Site
from tests.shop import STAFF, Shop

# Guesses of tokens: each is a look into the index, as a visitor's is.
GUESSES_CI, GUESSES_LONG = 20_000, 1_000_000


def actor(client_id: int) -> Actor:
    return Actor(ActorKind.CLIENT, client_id, "req_test", "127.0.0.1")


async def read(shop: Shop, order_id: int) -> OrderOut:
    client_id = (await shop.order(order_id)).client_id
    return await shop.parts.orders.read(actor(client_id), client_id, order_id)


async def test_a_client_has_links_and_no_codes(site: Site) -> None:
    order = await site.order(3)
    assert (order.status, order.sub_status) == ("DELIVERED", "GV_LINK_UNCLAIMED")
    assert order.delivery_time == "INSTANT"
    base = site.shop.parts.settings.public_url + PATH
    for voucher in order.vouchers:
        assert (voucher.claim_url or "").startswith(base)
        assert (voucher.code, voucher.pin, voucher.voucher_reference_number) == (None,) * 3
        assert voucher.expires_at is not None
    assert len({voucher.claim_url for voucher in order.vouchers}) == 3
    assert {item.link_status for item in order.items} == {"GV_LINK_UNCLAIMED"}
    later = await read(site.shop, order.id)
    assert later.vouchers == order.vouchers
    await site.shop.claim(order.id, 2)
    later = await read(site.shop, order.id)
    assert [item.link_status for item in later.items][1] == "GV_LINK_CLAIMED"
    assert later.vouchers == order.vouchers
    await site.shop.cancel(order.id, f"{order.id}-1")
    assert (await read(site.shop, order.id)).vouchers == order.vouchers[1:]


async def test_a_repeated_key_hears_the_same_links(site: Site) -> None:
    shop = site.shop
    client = await shop.client(minor=1_000_000)
    await shop.stock(site.public, 2)
    ask = shop.ask(client, site.public, 2, key="the-same-key")
    first = await shop.parts.orders.show(await shop.place_one(ask))
    await shop.claim(first.id, 1)
    again = await shop.place_one(ask)
    assert again.replayed
    assert await shop.parts.orders.show(again) == first
    use = KeyUse(client, "the-same-key", b"the same body")
    placed = await shop.parts.orders.first_answer(use, actor(client))
    assert placed is not None
    assert await shop.parts.orders.show(placed) == first
    await shop.cancel(first.id)
    assert (await shop.parts.orders.show(await shop.place_one(ask))).vouchers == []


async def test_tokens_are_random_and_stored_hashed_and_sealed(site: Site) -> None:
    order = await site.order(2)
    tokens = [(voucher.claim_url or "").rpartition("/")[2] for voucher in order.vouchers]
    assert {len(token) for token in tokens} == {43}
    async with site.shop.parts.db.connection() as connection:
        rows = await connection.fetch("SELECT id, digest, sealed FROM claim_links ORDER BY id")
    assert [row["digest"] for row in rows] == [
        hashlib.sha256(token.encode()).digest() for token in tokens
    ]
    vault = site.shop.parts.vault
    assert [vault.open(PLACE, row["id"], row["sealed"]).decode() for row in rows] == tokens
    with pytest.raises(SealBroken):
        vault.open(PLACE, rows[1]["id"], rows[0]["sealed"])
    everything = str(await site.shop.everything())
    assert not any(token in everything for token in tokens)
    assert not any(token in repr(order) for token in tokens)


@pytest.mark.parametrize(
    "guesses", [GUESSES_CI, pytest.param(GUESSES_LONG, marks=pytest.mark.long)]
)
async def test_no_guess_finds_a_link(site: Site, guesses: int) -> None:
    """Random tokens, beginnings of real ones, real ones with one character changed (T55)."""
    order = await site.order(10)
    real = [(voucher.claim_url or "").rpartition("/")[2] for voucher in order.vouchers]
    near = [token[:-1] + other for token in real for other in "AZ-_" if token[-1] != other]
    near += [token[:length] + "A" * (43 - length) for token in real for length in range(1, 42)]
    near += [token.swapcase() for token in real]
    hits = 0
    async with site.shop.parts.db.connection() as connection:
        found = await connection.prepare("SELECT count(*) FROM claim_links WHERE digest = ANY($1)")
        for _ in range(0, guesses, 10_000):
            hits += await found.fetchval([digest_of(new_token()) for _ in range(10_000)])
        hits += await found.fetchval([digest_of(token) for token in near])
        assert await found.fetchval([digest_of(token) for token in real]) == 10
    assert hits == 0
    claims = site.shop.parts.claims
    for token in (*near[:50], real[0][:20], "", secrets.token_hex(32), real[0] + "="):
        with pytest.raises(LinkGone):
            await claims.look(token)
    assert (await claims.look(real[0])).order.id == order.id


def body(**fields: object) -> bytes:
    return json.dumps({"product_id": 41, "denomination": 25, "quantity": 1, **fields}).encode()


@pytest.mark.parametrize(
    ("link_type", "password", "rule"),
    [
        (LinkType.PROTECTED, None, "required"),
        (LinkType.PROTECTED, "short", "min"),
        (LinkType.PROTECTED, "x" * 129, "max"),
        (LinkType.PROTECTED, "good\x00one", "printable"),
        (LinkType.PROTECTED, "good enough", None),
        (LinkType.PUBLIC, "good enough", "not_applicable"),
        (LinkType.PUBLIC, None, None),
        (None, "good enough", "not_applicable"),
    ],
)
async def test_a_password_is_wanted_where_links_are_protected(
    site: Site, link_type: LinkType | None, password: str | None, rule: str | None
) -> None:
    product = replace(site.protected, link_type=link_type)
    sent = DECODER.decode(body(**({"claim_password": password} if password else {})))
    assert password is None or password not in repr(sent)
    if rule is None:
        check_against(check(sent, site.clock.now()), product, 10)
        return
    with pytest.raises(InvalidField) as refused:
        check_against(check(sent, site.clock.now()), product, 10)
    assert refused.value.message == f"Invalid ClaimPassword: {rule}"


async def test_what_is_not_claimed_in_time_is_paid_back_once(site: Site) -> None:
    soon = site.clock.now() + timedelta(days=2)
    short, long = await site.order(2, expires_at=soon), await site.order(1)
    await site.shop.claim(short.id, 1)
    client = (await site.shop.order(short.id)).client_id
    paid = await site.shop.balance(client)
    site.clock.ahead += timedelta(days=3)
    assert [await site.shop.link_tasks.lapse() for _ in range(2)] == [1, 0]
    assert str((await site.shop.order(short.id)).state) == "CANCELLED·REFUNDED"
    assert await site.shop.item_states(short.id) == ["DELIVERED", "REVOKED"]
    refunded = (await site.shop.order(short.id)).refunded_minor
    assert refunded == (await site.shop.order(short.id)).amount_minor // 2
    assert await site.shop.balance(client) == paid + refunded
    assert (await site.shop.order(long.id)).state == model.UNCLAIMED
    site.clock.ahead += timedelta(days=365)
    assert await site.shop.link_tasks.lapse() == 1
    assert await site.shop.broken() == {}


async def test_a_part_that_waits_gets_back_what_lapsed_and_goes_on_waiting(site: Site) -> None:
    shop = site.shop
    client = await shop.client(minor=1_000_000)
    await shop.stock(site.public, 1)
    order = (await shop.place_one(shop.ask(client, site.public, 2))).order
    assert order.state == model.PARTIAL
    site.clock.ahead += timedelta(days=366)
    assert await shop.link_tasks.lapse() == 1
    assert await shop.item_states(order.id) == ["REVOKED", "PENDING"]
    after = await shop.order(order.id)
    assert (after.state, after.refunded_minor) == (model.PARTIAL, order.amount_minor // 2)
    assert (await shop.events(order.id))[-1] == "order.partially_delivered"
    await shop.stock(site.public, 1)
    await shop.retry(order.id)
    await shop.link_tasks.make([order.id])
    assert (await shop.order(order.id)).state == model.UNCLAIMED
    assert await shop.broken() == {}


async def test_a_link_lives_as_long_as_its_voucher_at_most(site: Site) -> None:
    now = site.clock.now()
    assert claim_before(now, 30, None) == now + timedelta(days=30)
    assert claim_before(now, 30, now + timedelta(days=9)) == now + timedelta(days=9)
    assert claim_before(now, 30, now + timedelta(days=90)) == now + timedelta(days=30)


async def test_links_issued_again_replace_the_old_and_keep_the_claim(site: Site) -> None:
    shop, links = site.shop, site.shop.parts.links
    order = await site.order(2)
    old = [voucher.claim_url or "" for voucher in order.vouchers]
    await site.visitor().claim(old[0])
    async with shop.parts.db.transaction() as tx:
        ask = RelinkAsk(order.id, STAFF, "the mail went astray")
        [answer] = await links.reissue(tx, [ask], site.clock.now())
    assert not isinstance(answer, Refusal)
    new = [voucher.claim_url or "" for voucher in (await read(shop, order.id)).vouchers]
    assert len({*old, *new}) == 4
    assert [(await site.visitor().get(url)).status for url in old] == [404, 404]
    assert "claimed" in (await site.visitor().get(new[0])).text
    assert (await site.visitor().claim(new[1])).status == 200
    assert (await shop.order(order.id)).state == model.CLAIMED
    assert (await shop.events(order.id)).count("order.delivered") == 3
    assert await shop.broken() == {}


async def test_a_recall_that_replaces_leaves_the_link_to_the_new_voucher(site: Site) -> None:
    shop = site.shop
    order = await site.order(1)
    await shop.stock(site.public, 1)
    url = order.vouchers[0].claim_url or ""
    async with shop.parts.db.transaction() as tx:
        batch = await tx.fetchval(
            "SELECT u.batch_id FROM units AS u JOIN order_items AS i ON i.unit_id = u.id"
        )
        [answer] = await take_back(
            tx, [TakeBackAsk(order.id, batch, STAFF, "bad batch", replace=True)], shop.now
        )
    assert not isinstance(answer, Refusal)
    shown = await site.visitor().claim(url)
    assert shop.codes[1] in shown.text
    assert shop.codes[0] not in shown.text
    assert await shop.broken() == {}


async def test_a_mail_has_the_links_that_wait_to_be_claimed(site: Site) -> None:
    shop = site.shop
    mail = OrderLinks(shop.parts.db, shop.parts.links, site.clock)
    order = await site.order(3)
    assert await mail.of_order(await shop.order(order.id)) == order.vouchers
    await shop.claim(order.id, 2)
    await shop.cancel(order.id, f"{order.id}-1")
    assert await mail.of_order(await shop.order(order.id)) == order.vouchers[2:]
    await shop.claim(order.id, 3)
    assert await mail.of_order(await shop.order(order.id)) == []
    plain = await shop.product()
    await shop.stock(plain, 1)
    client = await shop.client(minor=1_000_000)
    placed = await shop.place_one(shop.ask(client, plain))
    assert await mail.of_order(placed.order) == []
    async with shop.parts.db.connection() as connection:
        opened = await connection.fetchval(
            "SELECT count(*) FROM audit_entries WHERE action = 'order.vouchers_opened'"
        )
    assert opened == 2


async def test_no_password_can_be_tried_against_the_table_of_keys(site: Site) -> None:
    raw = body(claim_password="open sesame")
    orders = site.shop.parts.orders
    kept = orders.fingerprint(raw, secret=True)
    assert kept == orders.fingerprint(raw.replace(b", ", b","), secret=True)
    assert kept != orders.fingerprint(body(claim_password="Open sesame"), secret=True)
    assert kept != idempotency.fingerprint(raw) == orders.fingerprint(raw, secret=False)
