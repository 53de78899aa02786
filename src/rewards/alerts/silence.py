"""Which workers are silent: nobody at all, or one that no other has come for; pure."""

from collections.abc import Sequence
from decimal import Decimal

from rewards.alerts.model import Limit, Reading
from rewards.infra.beats import Beat, ProcessKind, beating

NOBODY = "workers"


def silences(beats: Sequence[Beat], limit: Limit) -> list[Reading]:
    """A reading for the workers together and, while some are at work, one for each that is not.

    With none at work the silence is as long as that of the last one; where there never was one, as
    long as the oldest process that beats has been there. A silent worker counts as replaced by one
    that began after it was last heard of, each new one standing in for one old one; one that said
    goodbye is not silent.
    """
    silent_s = float(limit.at)
    workers = [beat for beat in beats if beat.kind is ProcessKind.WORKER]
    alive = beating(beats, ProcessKind.WORKER, silent_s)
    if not alive:
        return [_nobody(beats, workers, limit)]
    together = min(beat.silent_s for beat in alive)
    found = [Reading(NOBODY, _s(together), limit, {"at_work": len(alive)})]
    fresh = sorted((beat.started_at for beat in alive), reverse=True)
    lost = [b for b in workers if b.stopped_at is None and b.silent_s >= silent_s]
    # The latest to fall silent has the fewest who came after it.
    for beat in sorted(lost, key=lambda beat: beat.beat_at, reverse=True):
        if fresh and fresh[0] > beat.beat_at:
            fresh.pop(0)
            continue
        facts = {"host": beat.host, "pid": beat.pid, "last_heard_at": beat.beat_at.isoformat()}
        found.append(Reading(f"worker {beat.id}", _s(beat.silent_s), limit, facts))
    return found


def _nobody(beats: Sequence[Beat], workers: Sequence[Beat], limit: Limit) -> Reading:
    if workers:
        last = min(workers, key=lambda beat: beat.silent_s)
        facts = {"at_work": 0, "last_heard_at": last.beat_at.isoformat()}
        return Reading(NOBODY, _s(last.silent_s), limit, facts)
    since_s = max((beat.age_s for beat in beats if beat.stopped_at is None), default=0.0)
    return Reading(NOBODY, _s(since_s), limit, {"at_work": 0, "last_heard_at": None})


def _s(seconds: float) -> Decimal:
    return Decimal(int(seconds))
