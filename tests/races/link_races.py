"""What may be done to an order with claim links: by those who hold them, by staff, by time."""

from types import MappingProxyType

from rewards.claims import sql as links
from rewards.core.actor import SYSTEM
from rewards.core.errors import Refusal
from rewards.infra.db import Tx
from rewards.orders.claiming import ClaimAsk, LapseAsk, claim, lapse
from rewards.orders.relinking import RelinkAsk
from tests.races.order_races import ACTS, Act, Scene
from tests.shop import HOLDER, STAFF


def claim_item(position: int) -> Act:
    async def act(tx: Tx, scene: Scene) -> object:
        ask = ClaimAsk(scene.order_id, position, HOLDER)
        [answer] = await claim(tx, [ask], scene.shop.now)
        if isinstance(answer, Refusal):
            return answer
        live = await scene.shop.parts.links.find(tx, [scene.order_id])
        [link] = [each for each in live if each.position == position]
        assert await links.use(tx, link.link_id, answer.at) is not None
        return f"claimed, {answer.first}"

    return act


claim_first = claim_item(1)


async def lapse_all(tx: Tx, scene: Scene) -> object:
    """Both links were not used in time, whatever the time is."""
    positions = frozenset({1, 2})
    ask = LapseAsk(scene.order_id, positions, SYSTEM, "race")
    [answer] = await lapse(tx, [ask], scene.shop.now)
    return answer


async def _reissue(tx: Tx, scene: Scene) -> object:
    ask = RelinkAsk(scene.order_id, STAFF, "race")
    [answer] = await scene.shop.parts.links.reissue(tx, [ask], scene.shop.now)
    return answer


LINK_ACTS = MappingProxyType(
    {
        "claim item 1": claim_first,
        "claim item 2": claim_item(2),
        "lapse": lapse_all,
        "issue again": _reissue,
        **{
            name: ACTS[name]
            for name in ("cancel", "cancel item 1", "recall", "recall and replace", "freeze")
        },
    }
)
