"""Events: what a client is told, and under which names; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class EventType(StrEnum):
    """Public names; never renamed."""

    ORDER_CREATED = "order.created"
    ORDER_PENDING = "order.pending"
    ORDER_PROCESSING = "order.processing"
    ORDER_DELIVERED = "order.delivered"
    ORDER_PARTIALLY_DELIVERED = "order.partially_delivered"
    ORDER_FAILED = "order.failed"
    ORDER_CANCELLED = "order.cancelled"
    WALLET_CREDITED = "wallet.credited"
    WALLET_LOW_BALANCE = "wallet.low_balance"


@dataclass(frozen=True, slots=True)
class Event:
    """`data` is the event's `data` as the client will read it: never a code, a PIN or a link.

    Decimals in it leave as JSON numbers with their digits. The envelope (`id`, `event`, `type`,
    `timestamp`, `sequence`) is put around it when it is sent (spec.md §7).
    """

    client_id: int
    type: EventType
    order_id: int | None
    data: Mapping[str, object]
