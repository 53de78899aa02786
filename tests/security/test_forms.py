"""No form of another site or session does anything, at any place that takes one (T63)."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.security.operations import ROOMS, Route
from tests.security.rooms import CONSOLE, at, first, least, pages, place_of
from tests.security.world import World

REFUSED = "FORM_NOT_OURS"
EVIL = "https://evil.example"
# The only one that takes a file, which is read before what stands beside it.
FILE = f"{CONSOLE}/inventory/batches"
# Whose session this ends can send nothing after it.
LAST = "sign-out"


def form(route: Route, fields: Mapping[str, str]) -> Any:
    if route.path != FILE:
        return dict(fields)
    made = aiohttp.FormData(dict(fields))
    made.add_field("file", b"product_id\n6\n", filename="stock.csv")
    return made


def foreign(own: str, url: str) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
    """The form with what a browser says when another site sends it: fields, and headers."""
    ours = {"csrf": own}
    here, port = url, (urlsplit(url).port or 0) + 1
    return {
        "another site": (ours, {"Origin": EVIL, "Sec-Fetch-Site": "cross-site"}),
        "another site, by its origin": (ours, {"Origin": EVIL, "Sec-Fetch-Site": ""}),
        "another site that hides": (ours, {"Origin": "null", "Sec-Fetch-Site": "cross-site"}),
        "another site in our name": (ours, {"Origin": here, "Sec-Fetch-Site": "cross-site"}),
        "a neighbour": (ours, {"Origin": EVIL, "Sec-Fetch-Site": "same-site"}),
        "another port": (ours, {"Origin": f"http://127.0.0.1:{port}", "Sec-Fetch-Site": ""}),
        "a file on a disk": (ours, {"Origin": "file://", "Sec-Fetch-Site": ""}),
        "no origin at all": (ours, {"Origin": "nonsense", "Sec-Fetch-Site": ""}),
        "no browser": (ours, {"Origin": "", "Sec-Fetch-Site": ""}),
        "an address typed in": (ours, {"Origin": "", "Sec-Fetch-Site": "none"}),
    }


@pytest.mark.parametrize("room", ROOMS)
async def test_no_form_but_of_a_page_of_this_session_does_anything(world: World, room: str) -> None:
    """Every POST there is, as an admin or owner: 403 that says why, and nothing changed."""
    asked = [route for route in pages(world, "POST") if route.room == room]
    assert len(asked) >= (50 if room == CONSOLE else 15)
    async with at(world, room) as visitor, at(world, room) as other, at(world, room) as stranger:
        own = await first(world, visitor)
        tokens = {
            "none": "",
            "garbage": own[::-1],
            "of a colleague": await least(world, other, f"colleague{room[1:]}@example.com"),
            "of nobody yet": (await stranger.get(f"{room}/sign-in")).csrf,
        }
        # Whoever sends the cookie along, a stranger's too: the token is another's.
        kinds = {why: ({"csrf": token}, {}) for why, token in tokens.items()}
        kinds |= foreign(own, visitor.url)
        before = await world.api.everything()
        let_in = []
        for route in asked:
            for why, (fields, headers) in kinds.items():
                path = place_of(world, route)
                page = await visitor.post(path, form(route, fields), follow=False, **headers)
                if page.status != 403 or REFUSED not in page.text:
                    let_in.append((path, why, page.status))
        assert not let_in
        assert await world.api.everything() == before


@pytest.mark.parametrize("room", ROOMS)
async def test_a_form_of_this_session_is_refused_for_other_reasons_or_not_at_all(
    world: World, room: str
) -> None:
    """The same forms with the right token, of somebody who may only look: it is what counts."""
    asked = [route for route in pages(world, "POST") if route.room == room]
    async with at(world, room) as visitor:
        own = await least(world, visitor, f"looks{room[1:]}@example.com")
        for route in sorted(asked, key=lambda each: each.path.endswith(LAST)):
            path = place_of(world, route)
            page = await visitor.post(path, form(route, {"csrf": own}), follow=False)
            assert REFUSED not in page.text, path
            assert "/sign-in" not in page.headers.get("Location", "") or path.endswith(LAST), path


@pytest.mark.parametrize("room", ROOMS)
async def test_a_token_of_the_other_room_or_of_before_is_worth_nothing(
    world: World, room: str
) -> None:
    [theirs] = set(ROOMS) - {room}
    async with at(world, room) as visitor, at(world, theirs) as neighbour:
        elsewhere = await first(world, neighbour)
        stranger = (await visitor.get(f"{room}/sign-in")).csrf
        own = await first(world, visitor)
        assert len({elsewhere, stranger, own}) == 3
        for token in (elsewhere, stranger):
            page = await visitor.post(f"{room}/sign-out", {"csrf": token}, follow=False)
            assert (page.status, REFUSED in page.text) == (403, True)
        # Nobody was signed out by that.
        assert "/sign-in" not in (await visitor.get(room)).url
