"""What placing orders counts: outcomes, and how long the desk takes."""

from collections.abc import Sequence

from rewards.core.errors import Refusal
from rewards.infra.metrics import Counter, Histogram
from rewards.orders.decide import PlaceAsk
from rewards.orders.replay import Placed

REFUSED = "REFUSED"
REPLAYED = "REPLAYED"
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)

ORDERS = Counter(
    "orders_total",
    "Orders that the desk answered, by the status they were answered with, and their tier.",
    *("status", "tier"),
)
SERVED = Histogram("desk_seconds", "From asking the desk for one order to its answer.")
WAITED = Histogram("desk_wait_seconds", "The longest wait of a batch before it began.")
BATCH = Histogram("desk_batch_seconds", "One batch, from its begin to its commit.")
BATCH_ORDERS = Histogram("desk_batch_orders", "Orders in one batch.", ends=SIZES)


def note_batch(size: int, waited_s: float) -> None:
    """A batch begins."""
    BATCH_ORDERS.observe(size)
    WAITED.observe(waited_s)


def note_placed(
    asks: Sequence[PlaceAsk], answers: Sequence[Placed | Refusal], took_s: float
) -> None:
    """A batch is committed; whatever came of it, this does not undo it."""
    BATCH.observe(took_s)
    for ask, answer in zip(asks, answers, strict=False):
        ORDERS.add(_status(answer), ask.tier)


def note_served(took_s: float) -> None:
    """One who asked has an answer, whatever it is."""
    SERVED.observe(took_s)


def _status(answer: Placed | Refusal) -> str:
    if isinstance(answer, Refusal):
        return REFUSED
    return REPLAYED if answer.replayed else answer.order.status
