"""What staff do with reconciliation: look at runs and drift, and explain a drift."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.core.actor import Actor
from rewards.core.errors import Refusal
from rewards.infra.db import Tx
from rewards.reconciliation import sql
from rewards.reconciliation.model import (
    Drift,
    DriftExplained,
    DriftFilter,
    DriftNotFound,
    DriftState,
    Run,
)


async def list_runs(
    tx: Tx, day: date | None = None, *, before_id: int | None = None, limit: int
) -> list[Run]:
    """Runs, newest first; the next page begins before the last one's id."""
    return await sql.list_runs(tx, day, before_id, limit)


async def list_drifts(
    tx: Tx, narrow: DriftFilter, *, before_id: int | None = None, limit: int
) -> list[Drift]:
    """Drift that fits, newest first; the next page begins before the last one's id."""
    return await sql.list_drifts(tx, narrow, before_id, limit)


async def count_open(tx: Tx) -> dict[int | None, int]:
    """Drift that nobody has explained, by vendor; None: our own books."""
    return await sql.count_open(tx)


async def explain(
    tx: Tx, drift_ids: Sequence[int], actor: Actor, staff_id: int, note: str, at: datetime
) -> list[Drift | Refusal]:
    """A person says why each of these is as it is; it repairs nothing (spec.md §8).

    Refused: unknown drift (404), one that somebody explained already (409).
    """
    answers: list[Drift | Refusal] = []
    for drift_id in drift_ids:
        drift = await sql.lock_drift(tx, drift_id)
        if drift is None:
            answers.append(DriftNotFound())
        elif drift.state is DriftState.EXPLAINED:
            answers.append(DriftExplained())
        else:
            await sql.explain_drift(tx, drift_id, staff_id, at, note)
            answers.append(
                replace(
                    drift,
                    state=DriftState.EXPLAINED,
                    explained_by=staff_id,
                    explained_at=at,
                    note=note,
                )
            )
    explained = [answer for answer in answers if isinstance(answer, Drift)]
    await audit.record(tx, [_fact(drift, actor) for drift in explained], at)
    return answers


def _fact(drift: Drift, actor: Actor) -> AuditFact:
    found = drift.finding
    return AuditFact(
        actor=actor,
        client_id=None,
        action="reconciliation.drift_explained",
        subject_kind="drift",
        subject_id=drift.id,
        facts={
            "kind": found.kind,
            "subject_kind": found.subject_kind,
            "subject": found.subject,
            "ours": dict(found.ours),
            "theirs": dict(found.theirs),
        },
        reason=drift.note,
    )
