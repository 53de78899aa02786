"""The story of an order as one line of time; pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from rewards.core.currency import exponent_of
from rewards.core.money import to_decimal
from rewards.staff.story import Story


class Told(StrEnum):
    """What kind of thing a moment is about."""

    ACT = "ACT"
    MONEY = "MONEY"
    APPROVAL = "APPROVAL"
    VENDOR_ORDER = "VENDOR_ORDER"
    EXCHANGE = "EXCHANGE"
    EVENT = "EVENT"
    DELIVERY = "DELIVERY"
    MAIL = "MAIL"
    LINK = "LINK"
    AUDIT = "AUDIT"
    NOTE = "NOTE"


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened: what, by whom where somebody did it, and the particulars."""

    at: datetime
    told: Told
    what: str
    facts: Mapping[str, object]
    actor: str | None = None
    actor_id: int | None = None
    reason: str | None = None


def moments(story: Story, *, audits: bool) -> list[Moment]:
    """All of it, oldest first. `audits`: with the facts and addresses of the trail's rows."""
    found = [
        *_acts(story),
        *_money(story),
        *_approvals(story),
        *_vendors(story),
        *_events(story),
        *_mails(story),
        *_links(story),
        *_trail(story, audits=audits),
        *_notes(story),
    ]
    # What happened in one transaction stays in the order of the kinds above.
    return sorted(found, key=lambda moment: moment.at)


def _acts(story: Story) -> Iterator[Moment]:
    for step in story.steps:
        facts = {"seq": step.seq, "path": step.path}
        yield Moment(
            *(step.at, Told.ACT, step.path[-1], facts, step.actor_kind, step.actor_id, step.reason)
        )


def _money(story: Story) -> Iterator[Moment]:
    for line in story.money:
        places = exponent_of(line.currency)
        facts = {
            "transaction_id": line.id,
            "wallet_id": line.wallet_id,
            "amount": to_decimal(line.amount_minor, places),
            "balance_after": to_decimal(line.balance_minor, places),
            "currency": line.currency,
        }
        yield Moment(line.created_at, Told.MONEY, line.kind, facts, reason=line.note)


def _approvals(story: Story) -> Iterator[Moment]:
    for one in story.approvals:
        facts = {"approval_id": one.id, "kind": one.kind, "expires_at": one.expires_at}
        asked = ("STAFF", one.requested_by, one.reason)
        yield Moment(one.requested_at, Told.APPROVAL, "REQUESTED", facts, *asked)
        if one.decided_at is not None:
            said = "REJECTED" if one.state == "REJECTED" else "APPROVED"
            decided = ("STAFF", one.decided_by, one.note)
            yield Moment(one.decided_at, Told.APPROVAL, said, facts, *decided)
        if one.carried_out_at is not None:
            yield Moment(one.carried_out_at, Told.APPROVAL, "CARRIED_OUT", facts)


def _vendors(story: Story) -> Iterator[Moment]:
    for bought in story.purchases:
        facts: dict[str, object] = {
            "vendor_order_id": bought.id,
            "vendor_id": bought.vendor_id,
            "key": bought.key,
            "vendor_ref": bought.vendor_ref,
            "sku": bought.line.sku,
            "quantity": bought.line.quantity,
            "received": bought.received,
            "quarantined": bought.quarantined,
            "state": bought.state,
            "why": bought.reason,
        }
        asker = ("STAFF" if bought.asked_by else "SYSTEM", bought.asked_by)
        yield Moment(bought.created_at, Told.VENDOR_ORDER, "COMMITTED", facts, *asker)
        if bought.sent_at is not None:
            yield Moment(bought.sent_at, Told.VENDOR_ORDER, "SENT", facts)
        if bought.case_at is not None:
            yield Moment(bought.case_at, Told.VENDOR_ORDER, "CASE", facts)
        if bought.settled_at is not None:
            at, said = bought.settled_at, bought.message
            yield Moment(at, Told.VENDOR_ORDER, bought.state, facts, reason=said)
    for kept in story.exchanges:
        said_then = kept.exchange
        facts = {
            "exchange_id": kept.id,
            "vendor_order_id": said_then.purchase_id,
            "method": said_then.method,
            "path": said_then.path,
            "status": said_then.status,
            "took_ms": said_then.took_ms,
        }
        yield Moment(kept.at, Told.EXCHANGE, said_then.call, facts, reason=said_then.problem)


def _events(story: Story) -> Iterator[Moment]:
    seen = set()
    for told in story.told:
        if told.event_id not in seen:
            seen.add(told.event_id)
            facts: dict[str, object] = {"event_id": told.event_id}
            yield Moment(told.created_at, Told.EVENT, told.event_type, facts)
        if told.status is not None:
            facts = {
                "delivery_id": told.delivery_id,
                "event_id": told.event_id,
                "event": told.event_type,
                "webhook_id": told.endpoint_id,
                "webhook": told.endpoint,
                "attempts": told.attempts,
                "status_code": told.last_status_code,
            }
            at = told.finished_at or told.created_at
            yield Moment(at, Told.DELIVERY, told.status, facts, reason=told.last_error)


def _mails(story: Story) -> Iterator[Moment]:
    for mail in story.mails:
        facts = {
            "notice_id": mail.id,
            "kind": mail.kind,
            "audience": mail.audience,
            "address": mail.masked,
            "attempts": mail.attempts,
        }
        at = mail.finished_at or mail.created_at
        yield Moment(at, Told.MAIL, mail.state, facts, reason=mail.reason)


def _links(story: Story) -> Iterator[Moment]:
    for link in story.links:
        facts = {"position": link.position, "claim_before": link.claim_before}
        yield Moment(link.created_at, Told.LINK, "MADE", facts)
        if link.claimed_at is not None:
            yield Moment(link.claimed_at, Told.LINK, "CLAIMED", facts, "HOLDER")
        if link.ended_at is not None:
            yield Moment(link.ended_at, Told.LINK, "ENDED", facts)


def _trail(story: Story, *, audits: bool) -> Iterator[Moment]:
    for entry in story.trail:
        fact, actor = entry.fact, entry.fact.actor
        facts: dict[str, object] = {"audit_id": entry.id}
        if audits:
            facts |= {**fact.facts, "address": actor.address, "request_id": actor.request_id}
        who = (actor.kind, actor.id, fact.reason)
        yield Moment(entry.at, Told.AUDIT, fact.action, facts, *who)


def _notes(story: Story) -> Iterator[Moment]:
    for note in story.notes:
        facts = {"note_id": note.id, "author": note.username, "text": note.text}
        yield Moment(note.created_at, Told.NOTE, "NOTED", facts, "STAFF", note.staff_id)
