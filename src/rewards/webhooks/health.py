"""Since when an endpoint fails, and when that disables it; whoever must know is told once."""

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import urlsplit

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.core.actor import SYSTEM
from rewards.infra.changes import announce
from rewards.infra.db import Tx
from rewards.webhooks import service, sql_health
from rewards.webhooks.model import DisabledReason, Event, EventType
from rewards.webhooks.model_endpoints import CHANGES_TOPIC
from rewards.webhooks.model_sending import FAILING_MAX
from rewards.webhooks.sql_health import Sick
from rewards.webhooks.sql_sending import Told


async def note(tx: Tx, told: Sequence[Told], at: datetime) -> None:
    """What the last attempt at each endpoint says of it, in the transaction that records them.

    Disabled is what answered 410, and what for five days had nothing but failures (spec.md §7); a
    day of them is told too. Each is an event for the client, from which a mail may follow, and
    happens once: an endpoint that is disabled already, or was told of, is passed over.
    """
    last = {one.endpoint_id: one.outcome for one in told if not one.outcome.ours}
    succeeded = sorted(each for each, outcome in last.items() if outcome.delivered)
    failed = sorted(last.keys() - set(succeeded))
    gone = sorted({one.endpoint_id for one in told if one.outcome.gone})
    await sql_health.note_success(tx, succeeded)
    if failed or gone:
        await sql_health.note_failure(tx, failed)
        disabled = await sql_health.disable(tx, gone, DisabledReason.GONE, at)
        disabled += await sql_health.disable(
            tx, failed, DisabledReason.FAILING, at, failing_for=FAILING_MAX
        )
        await _tell_disabled(tx, disabled, at)
        failing = await sql_health.mark_failing(tx, failed)
        await service.emit(tx, [_event(EventType.WEBHOOK_FAILING, each) for each in failing], at)


async def disable_unsigned(tx: Tx, endpoint_ids: Sequence[int], at: datetime) -> None:
    """Disable what nothing can sign for: the credential that should is revoked."""
    if endpoint_ids:
        reason = DisabledReason.CREDENTIAL_REVOKED
        await _tell_disabled(tx, await sql_health.disable(tx, endpoint_ids, reason, at), at)


async def _tell_disabled(tx: Tx, disabled: Sequence[Sick], at: datetime) -> None:
    if not disabled:
        return
    facts = [
        AuditFact(
            *(SYSTEM, each.client_id, "webhook.disabled", "webhook", each.endpoint_id),
            {"reason": each.reason},
        )
        for each in disabled
    ]
    await audit.record(tx, facts, at)
    await announce(tx, CHANGES_TOPIC, [each.endpoint_id for each in disabled])
    await service.emit(tx, [_event(EventType.WEBHOOK_DISABLED, each) for each in disabled], at)


def _event(kind: EventType, sick: Sick) -> Event:
    """Of the URL only the host: paths and queries of others may hold what is secret to them."""
    data: dict[str, object] = {
        "webhook_id": sick.endpoint_id,
        "name": sick.name,
        "host": urlsplit(sick.url).hostname,
        "reason": sick.reason,
        "failing_since": sick.failing_since and sick.failing_since.isoformat(),
    }
    return Event(sick.client_id, kind, None, data)
