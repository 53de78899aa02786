"""Who is told what, of which event; pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Protocol
from urllib.parse import urlsplit

from rewards.notices.model import Audience, NewNotice, NoticeKind, NoticeSettings
from rewards.webhooks.model import EventType

KINDS: Mapping[str, NoticeKind] = {
    EventType.ORDER_DELIVERED: NoticeKind.ORDER_DELIVERED,
    EventType.ORDER_PARTIALLY_DELIVERED: NoticeKind.ORDER_DELIVERED,
    EventType.ORDER_CANCELLED: NoticeKind.ORDER_CANCELLED,
    EventType.ORDER_FAILED: NoticeKind.ORDER_CANCELLED,
    EventType.WALLET_LOW_BALANCE: NoticeKind.LOW_BALANCE,
}
# Who is told: of a delivery only whoever gets the vouchers.
AUDIENCES: Mapping[NoticeKind, tuple[Audience, ...]] = {
    NoticeKind.ORDER_DELIVERED: (Audience.CUSTOMER,),
    NoticeKind.ORDER_CANCELLED: (Audience.CUSTOMER, Audience.CLIENT),
    NoticeKind.LOW_BALANCE: (Audience.CLIENT,),
    NoticeKind.ENDPOINT_FAILING: (Audience.CLIENT,),
    NoticeKind.ENDPOINT_DISABLED: (Audience.CLIENT,),
}
FACTS: Mapping[NoticeKind, frozenset[str]] = {
    NoticeKind.LOW_BALANCE: frozenset({"wallet_id", "currency", "balance", "threshold"}),
}


class Happened(Protocol):
    """What `webhooks` tells of an event."""

    @property
    def id(self) -> int: ...
    @property
    def client_id(self) -> int: ...
    @property
    def type(self) -> str: ...
    @property
    def order_id(self) -> int | None: ...
    @property
    def data(self) -> Mapping[str, object]: ...


def notices_of(
    events: Iterable[Happened],
    emails: Mapping[int, str | None],
    settings: Mapping[int, NoticeSettings],
) -> list[NewNotice]:
    """What follows from these events; `emails` by order, `settings` by client.

    Of several deliveries of one order the last tells it all. An order that is cancelled again, in
    other parts or when its refund is booked, is cancelled once for whoever reads of it.
    """
    found: dict[tuple[str, NoticeKind, str], NewNotice] = {}
    for event in events:
        kind = KINDS.get(event.type)
        chosen = settings.get(event.client_id) or NoticeSettings(event.client_id)
        if kind is None or kind in chosen.muted:
            continue
        email = emails.get(event.order_id) if event.order_id is not None else None
        cause = f"event {event.id}"
        same = cause
        if kind is NoticeKind.ORDER_CANCELLED:
            cause = same = f"order {event.order_id}"
        if kind is NoticeKind.ORDER_DELIVERED:
            same = f"order {event.order_id}"
        facts = {key: str(event.data[key]) for key in FACTS.get(kind, ()) if key in event.data}
        for audience in AUDIENCES[kind]:
            for address in _addresses(audience, email, chosen):
                found[same, kind, address] = NewNotice(
                    event.client_id, kind, audience, address, cause, event.order_id, facts
                )
    return list(found.values())


class Trouble(Protocol):
    """What `webhooks` tells of an endpoint; `reason` None while it is still tried."""

    @property
    def endpoint_id(self) -> int: ...
    @property
    def client_id(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def reason(self) -> str | None: ...
    @property
    def since(self) -> datetime: ...


def notices_of_endpoints(
    found: Iterable[Trouble], settings: Mapping[int, NoticeSettings]
) -> list[NewNotice]:
    """One for each contact and time that an endpoint began to fail, or was switched off.

    Of its address only the host is told: the rest may be a secret.
    """
    new = []
    for each in found:
        kind = NoticeKind.ENDPOINT_DISABLED if each.reason else NoticeKind.ENDPOINT_FAILING
        chosen = settings.get(each.client_id) or NoticeSettings(each.client_id)
        facts = {
            "name": each.name,
            "host": urlsplit(each.url).hostname or "",
            "at": f"{each.since:%Y-%m-%d %H:%M} UTC",
            "why": (each.reason or "").lower(),
        }
        cause = f"endpoint {each.endpoint_id} {each.reason or 'failing'} {each.since.isoformat()}"
        new += [
            NewNotice(each.client_id, kind, Audience.CLIENT, address, cause, None, facts)
            for address in (() if kind in chosen.muted else chosen.contacts)
        ]
    return new


def _addresses(audience: Audience, email: str | None, settings: NoticeSettings) -> tuple[str, ...]:
    if audience is Audience.CLIENT:
        return settings.contacts
    return (email,) if email else ()
