"""Pages that look again by themselves while a worker is at something, and stop."""

from dataclasses import dataclass

from rewards.infra.pages.visit import Visit

# (turns so far, seconds until the next): soon at first, then seldom. A page that somebody left open
# stops asking, so that it keeps no session alive for ever.
PACE = ((20, 1), (60, 3), (120, 10))
TURNS_MAX = PACE[-1][0]


@dataclass(frozen=True, slots=True)
class Watch:
    """The next look of a page at itself: its number, and in how many seconds."""

    turn: int
    wait_s: int


def watch(visit: Visit, *, under_way: bool) -> Watch | None:
    """When this page looks again; None when nothing is under way, or it has looked long enough."""
    told = visit.request.query_params.get("turn", "0")
    turn = int(told) if told.isdecimal() and len(told) < 4 else TURNS_MAX
    if not under_way or turn >= TURNS_MAX:
        return None
    return Watch(turn + 1, next(wait_s for upto, wait_s in PACE if turn < upto))
