"""No text of anybody, in any column there is, becomes a part of a page of either room (T63)."""

from collections.abc import Sequence
from contextlib import AsyncExitStack

import pytest

from rewards.traffic import recorder
from tests.console.desk import Seen, Visitor
from tests.security.operations import ROOMS
from tests.security.payloads import PAYLOADS, SCHEMES, bones, links
from tests.security.rooms import at, first, pages, place_of
from tests.security.shown import NEVER, OURS, SHOWN
from tests.security.texts import Column, be_seen, columns, marks, open_up, plain, plant
from tests.security.world import World

HARMLESS = "Aurora Books"
# They are files, or no page of somebody who is signed in.
NO_PAGE = ("/file", ".csv", "/money/statement", "/static/{name}", "/{rest}", "/sign-in")
# Where a text may stand beside what is read.
PLACES = frozenset(
    {"text", "value", "title", "aria-label", "label", "placeholder", "href", "datetime"}
)
AT_ONCE = 3
# One of each way out of where a text stands, and of what it does then.
TELLING = [PAYLOADS[(number * 25 + 1) % len(PAYLOADS)] for number in range(12)]


def batches(texts: Sequence[str]) -> list[str]:
    """Several in a text: one that gets out is seen in any company."""
    return [" ".join(texts[at : at + AT_ONCE]) for at in range(0, len(texts), AT_ONCE)]


async def look(world: World, visitors: dict[str, Visitor]) -> dict[str, Seen]:
    """Every page of both rooms, by its route."""
    seen = {}
    for route in pages(world, "GET"):
        if not route.path.endswith(NO_PAGE):
            page = await visitors[route.room or ""].get(place_of(world, route))
            assert page.status == 200, (route.path, page.said)
            seen[route.path] = page
    return seen


async def write(world: World, chosen: Sequence[Column], text: str) -> None:
    for column in chosen:
        await plant(world, column, text)
    await be_seen(world)


def test_no_column_is_told_of_twice() -> None:
    assert not set(SHOWN) & set(NEVER)
    assert not set(OURS) & (set(SHOWN) | set(NEVER))


@pytest.mark.parametrize(
    "texts", [TELLING, pytest.param(PAYLOADS, marks=pytest.mark.long)], ids=["telling", "all"]
)
async def test_no_text_becomes_a_part_of_a_page(
    own_world: World, texts: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a page shows of each column is known, and is text: whatever stands there."""
    world = own_world
    await open_up(world)
    known = await columns(world)
    listed = [each for each in known if str(each) not in OURS and "currency" not in each.name]
    async with AsyncExitStack() as stack:
        visitors = {room: await stack.enter_async_context(at(world, room)) for room in ROOMS}
        for visitor in visitors.values():
            await first(world, visitor)
        # Looking would fill the log of requests, and push off its page what is planted there.
        await world.api.parts.requests.flush()
        monkeypatch.setattr(recorder, "ROWS_MAX", 0)
        free = [each for each in listed if await plant(world, each, HARMLESS)]
        assert {*map(str, free)} == set(SHOWN) | set(NEVER)
        await be_seen(world)
        usual = await look(world, visitors)
        assert _shown(usual) == {plain(name): set(where) for name, where in SHOWN.items()}
        for text in batches(texts):
            await write(world, free, text)
            for path, page in (await look(world, visitors)).items():
                assert bones(page.text) == bones(usual[path].text), (path, text)
                assert set(links(page.text)) <= SCHEMES, (path, text)
                found = marks(page.text)
                assert set().union(*found.found.values()) <= PLACES, (path, found.found)
                # But for spaces around it.
                for name, said in found.said.items():
                    assert plain(text).strip() in plain(said), (path, name, said)


def _shown(seen: dict[str, Seen]) -> dict[str, set[str]]:
    """On which pages each column is seen."""
    found: dict[str, set[str]] = {}
    for path, page in seen.items():
        for name in marks(page.text).found:
            found.setdefault(name, set()).add(path)
    return found
