"""What sending webhooks counts: attempts by how they ended, and how late an event arrives."""

from datetime import timedelta

from rewards.infra.metrics import LATER_S, SOON_S, Histogram
from rewards.webhooks.model import DeliveryStatus
from rewards.webhooks.model_sending import Outcome, Verdict

DELIVERED = "delivered"
AGAIN = "to_be_retried"
GIVEN_UP = "given_up"

ATTEMPTS = Histogram(
    "webhook_attempt_seconds",
    "Attempts to deliver, by what became of them.",
    "outcome",
    ends=SOON_S,
)
LAG = Histogram(
    "webhook_lag_seconds", "From an event to the answer that says it arrived.", ends=LATER_S
)


def note_attempt(outcome: Outcome, verdict: Verdict, took_s: float, lag: timedelta) -> None:
    if outcome.delivered:
        ATTEMPTS.observe(took_s, DELIVERED)
        LAG.observe(lag.total_seconds())
    else:
        ATTEMPTS.observe(took_s, AGAIN if verdict.status is DeliveryStatus.PENDING else GIVEN_UP)
