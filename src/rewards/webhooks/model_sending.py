"""What an answer makes of a delivery: when it is tried again, and when it is given up; pure."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from rewards.webhooks.model import DeliveryStatus

# Seconds from one attempt to the next (spec.md §7): nine attempts in 69 hours.
DELAYS_S = (30, 120, 600, 3_600, 6 * 3_600, 14 * 3_600, 24 * 3_600, 24 * 3_600)
ATTEMPTS_MAX = len(DELAYS_S) + 1
# So that what failed together does not come back together.
JITTER = 0.1
RETRY_AFTER_S_MAX = 24 * 3_600.0
# Nothing but failures for so long: the client is told, and the endpoint is disabled.
FAILING_TOLD_AFTER = timedelta(days=1)
FAILING_MAX = timedelta(days=5)

GONE = 410
SUCCESS = range(200, 300)
REDIRECT = range(300, 400)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one attempt met. `error` says why it does not count; None where it does.

    `ours`: it ended because we stopped, which says nothing about the endpoint.
    """

    status_code: int | None
    error: str | None
    answer: str | None = field(default=None, repr=False)
    retry_after_s: float | None = None
    ours: bool = False

    @property
    def delivered(self) -> bool:
        return self.error is None

    @property
    def gone(self) -> bool:
        return self.status_code == GONE


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of the delivery; `retry_in_s` only while it is PENDING."""

    status: DeliveryStatus
    retry_in_s: float | None = None


def judge(status_code: int, body: bytes, retry_after: str | None, now: datetime) -> Outcome:
    """What an answer says: 2xx alone is success, and no redirect is followed (spec.md §7)."""
    # What a database text cannot hold is shown as what no text holds.
    answer = body.decode(errors="replace").replace("\x00", "\ufffd") or None
    if status_code in SUCCESS:
        return Outcome(status_code, None, answer)
    error = f"answered {status_code}"
    if status_code in REDIRECT:
        error += ", and redirects are not followed"
    return Outcome(status_code, error, answer, retry_after_s(retry_after, now))


def retry_after_s(text: str | None, now: datetime) -> float | None:
    """Seconds that `Retry-After` asks for, at most a day; None where it asks for nothing."""
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), RETRY_AFTER_S_MAX)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        # What the library raises for what is no date.
        return None
    # A time without a zone is UTC's: so does HTTP mean it.
    seconds = (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds()
    return min(max(seconds, 0.0), RETRY_AFTER_S_MAX)


def decide(made: int, outcome: Outcome, jitter: float) -> Verdict:
    """What follows from the attempt that was number `made`, counted from 1.

    `jitter` is between -1 and 1. `Retry-After` may put the next attempt off, never bring it on:
    else an endpoint that always asks for one second had all its attempts in one minute.
    """
    if outcome.delivered:
        return Verdict(DeliveryStatus.DELIVERED)
    if outcome.gone or made >= ATTEMPTS_MAX:
        return Verdict(DeliveryStatus.FAILED)
    delay_s = DELAYS_S[made - 1] * (1 + JITTER * jitter)
    return Verdict(DeliveryStatus.PENDING, max(delay_s, outcome.retry_after_s or 0.0))
