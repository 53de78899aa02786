"""The claim page over a real socket: what it shows, when, to whom, and what it never says (T56)."""

import asyncio
import re
from datetime import timedelta

import pytest

from rewards.claims import page
from rewards.claims.model import TRIES_MAX, TRIES_PER
from rewards.core.errors import Refusal
from rewards.orders import model
from rewards.orders.relinking import RelinkAsk
from tests.claims.site import PASSWORD, Site
from tests.shop import STAFF

# What a page of ours never has: other sites, and what its policy forbids.
ELSEWHERE = re.compile(r"https?://|<style|\sstyle=|\son[a-z]+=|javascript:")
UNKNOWN = "http://x/vouchers/claim/" + "A" * 43


async def reveals(site: Site) -> int:
    async with site.shop.parts.db.connection() as connection:
        found: int = await connection.fetchval(
            "SELECT count(*) FROM audit_entries WHERE action = 'claim.voucher_revealed'"
        )
    return found


async def reissued(site: Site, order_id: int) -> None:
    async with site.shop.parts.db.transaction() as tx:
        ask = RelinkAsk(order_id, STAFF, "it was lost")
        [answer] = await site.shop.parts.links.reissue(tx, [ask], site.clock.now())
    assert not isinstance(answer, Refusal), answer


async def test_opening_a_link_reveals_and_changes_nothing(site: Site) -> None:
    url = await site.link()
    before = await site.shop.everything()
    for _ in range(3):
        shown = await site.visitor().get(url)
        assert shown.status == 200
        assert "Aurora Books" in shown.text
        assert "$25" in shown.text
        assert not any(code in shown.text for code in site.shop.codes)
    assert await site.shop.everything() == before


async def test_the_form_reveals_and_counts_once(site: Site) -> None:
    order = await site.order()
    url = order.vouchers[0].claim_url or ""
    visitor = site.visitor()
    first = await visitor.claim(url)
    assert first.status == 200
    [code] = site.shop.codes
    for text in (f"{code}-code", f"{code}-pin", "Show PIN", "Not for cash. It can", "<svg"):
        assert text in first.text
    assert (await site.shop.order(order.id)).state == model.CLAIMED
    assert await site.shop.events(order.id) == ["order.delivered"] * 2
    again = await site.visitor().claim(url)
    assert f"{code}-code" in again.text
    assert (await site.shop.path(order.id)).count("DELIVERED·GV_LINK_CLAIMED") == 1
    assert await reveals(site) == 2, "every opening is audited"
    assert await site.shop.broken() == {}


async def test_two_at_once_both_see_it_and_one_counts(site: Site) -> None:
    for _ in range(5):
        order = await site.order()
        url = order.vouchers[0].claim_url or ""
        number = order.id % 200
        visitors = [site.visitor(f"203.0.113.{number}"), site.visitor(f"198.51.100.{number}")]
        forms = [(await visitor.get(url)).csrf for visitor in visitors]
        pages = await asyncio.gather(
            *(visitor.post(url, csrf=csrf) for visitor, csrf in zip(visitors, forms, strict=True))
        )
        assert [each.status for each in pages] == [200, 200]
        assert (await site.shop.path(order.id)).count("DELIVERED·GV_LINK_CLAIMED") == 1
        assert sorted("It is yours" in each.text for each in pages) == [False, True]
    assert await site.shop.broken() == {}


async def test_a_post_without_our_own_form_reveals_nothing(site: Site) -> None:
    url = await site.link()
    other = await site.link()
    visitor, stranger = site.visitor(), site.visitor("198.51.100.1")
    good = (await visitor.get(url)).csrf
    foreign = (await stranger.get(url)).csrf
    elsewhere = (await visitor.get(other)).csrf
    issued, _, seal = good.partition(".")
    before = await site.shop.everything()
    for csrf in ("", "x", foreign, elsewhere, f"{int(issued) + 1}.{seal}", f"{issued}.{'0' * 64}"):
        answer = await visitor.post(url, csrf=csrf)
        assert answer.status == 403
        assert site.shop.codes[0] not in answer.text
        assert answer.csrf, "the form is there again"
    site.clock.ahead += timedelta(hours=5)
    assert (await visitor.post(url, csrf=good)).status == 403, "too old"
    assert await site.shop.everything() == before
    assert (await visitor.claim(url)).status == 200


async def test_unknown_expired_revoked_and_replaced_links_look_alike(site: Site) -> None:
    soon = site.clock.now() + timedelta(days=1)
    dead, expired = await site.order(), await site.order(expires_at=soon)
    replaced = await site.order()
    await site.shop.cancel(dead.id)
    await reissued(site, replaced.id)
    site.clock.ahead += timedelta(days=2)
    seen = []
    for url in (
        *(order.vouchers[0].claim_url for order in (dead, expired, replaced)),
        *(UNKNOWN, UNKNOWN[:-3], UNKNOWN + "A", "http://x/vouchers/claim/%00"),
    ):
        visitor = site.visitor()
        seen += [await visitor.get(url or ""), await visitor.post(url or "", csrf="x")]
    assert {str(each.alike) for each in seen} == {str(seen[0].alike)}
    assert seen[0].status == 404
    assert "Set-Cookie" not in seen[0].headers


async def test_every_page_tells_browsers_to_keep_it_to_themselves(site: Site) -> None:
    url = await site.link()
    visitor = site.visitor()
    shown = [await visitor.get(url), await visitor.claim(url), await visitor.get(UNKNOWN)]
    for each in shown:
        assert {name: each.headers[name] for name in page.HEADERS} == page.HEADERS
        policy = each.headers["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert "http" not in policy
        assert not ELSEWHERE.search(each.text.replace("http://www.w3.org/2000/svg", ""))
    cookie = shown[0].headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    for name in page.ASSETS:
        asset = await visitor.get(f"http://x/vouchers/assets/{name}")
        assert asset.status == 200
        assert "http" not in asset.text
    assert (await visitor.get("http://x/vouchers/assets/base.html")).status == 404


async def test_an_address_has_twenty_tries_a_minute(site: Site) -> None:
    url = await site.link()
    before = await site.shop.everything()
    guesser = site.visitor("192.0.2.50")
    answers = [await guesser.get(UNKNOWN) for _ in range(20)]
    assert {each.status for each in answers} == {404}
    for late in (await guesser.get(UNKNOWN), await guesser.get(url), await guesser.post(url)):
        assert late.status == 429
        assert 1 <= int(late.headers["Retry-After"]) <= 60
        assert "Aurora" not in late.text
    assert (await site.visitor("192.0.2.51").get(url)).status == 200
    # Whoever has one v6 address has the 2^64 around it.
    for number in range(20):
        await site.visitor(f"2001:db8::{number + 1:x}").get(UNKNOWN)
    assert (await site.visitor("2001:db8::ffff").get(url)).status == 429
    assert await site.shop.everything() == before
    site.clock.ahead += timedelta(seconds=61)
    assert (await guesser.get(url)).status == 200


async def test_a_protected_link_asks_for_its_password(site: Site) -> None:
    url = await site.link(protected=True)
    visitor = site.visitor()
    assert 'type="password"' in (await visitor.get(url)).text
    before = {k: v for k, v in (await site.shop.everything()).items() if k != "claim_links"}
    for wrong in ("", "Open sesame", PASSWORD + " ", "x" * 500):
        answer = await visitor.claim(url, wrong)
        assert answer.status == 403
        assert site.shop.codes[0] not in answer.text
    now = {k: v for k, v in (await site.shop.everything()).items() if k != "claim_links"}
    assert now == before
    opened = await visitor.claim(url, PASSWORD)
    assert opened.status == 200
    assert f"{site.shop.codes[0]}-code" in opened.text
    again = await visitor.claim(url, "not it")
    assert again.status == 403, "whoever comes again must know it too"


async def test_passwords_are_tried_a_few_times_only(site: Site) -> None:
    url = await site.link(protected=True)
    visitors = [site.visitor(f"192.0.2.{n}") for n in range(1, TRIES_MAX + 6)]
    # All at once, from everywhere: the link counts them, not the address.
    answers = await asyncio.gather(*(visitor.claim(url, "guess it") for visitor in visitors))
    assert sorted(answer.status for answer in answers) == [403] * TRIES_MAX + [429] * 5
    late = await site.visitor().claim(url, PASSWORD)
    assert late.status == 429
    assert int(late.headers["Retry-After"]) == TRIES_PER.total_seconds()
    site.clock.ahead += TRIES_PER
    assert (await site.visitor().claim(url, PASSWORD)).status == 200


async def test_a_claimed_voucher_stays_its_holders_until_it_is_taken_back(site: Site) -> None:
    order = await site.order()
    url = order.vouchers[0].claim_url or ""
    await site.visitor().claim(url)
    site.clock.ahead += timedelta(days=400)
    assert await site.shop.link_tasks.lapse() == 0
    assert (await site.visitor().claim(url)).status == 200
    await site.shop.cancel(order.id)
    assert (await site.visitor().get(url)).status == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_other_methods_are_refused(site: Site, method: str) -> None:
    url = await site.link()
    visitor = site.visitor()
    assert (await visitor._page(method, url)).status == 405
