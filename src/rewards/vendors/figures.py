"""What calls to vendors count: how they ended, how long they took, and who is left alone."""

from rewards.infra.metrics import Gauge, Histogram

ANSWERED = "answered"
# With a status of 400 to 499.
REFUSED = "refused"
# An error of its own, a redirect, nothing in time, or nothing that means anything.
NO_ANSWER = "no_answer"
NOT_SENT = "not_sent"
# By our own limits, or while the vendor is left alone.
HELD_BACK = "held_back"
ABANDONED = "abandoned"

ENDS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0)

CALLS = Histogram(
    "vendor_call_seconds",
    "Calls to vendors, by account, operation and how they ended.",
    *("vendor", "call", "outcome"),
    ends=ENDS_S,
)
BREAKERS = Gauge(
    "vendor_breaker_open", "1 while this process leaves the vendor alone, as it is down.", "vendor"
)


def note_call(vendor: str, call: str, outcome: str, took_s: float) -> None:
    CALLS.observe(took_s, vendor, call, outcome)


def note_breaker(vendor: str, *, is_open: bool) -> None:
    BREAKERS.set(int(is_open), vendor)
