"""Exchange rates: set by setup, by staff, from files and providers; held ones decided by people."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import asyncpg

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.core.actor import Actor
from rewards.core.errors import InvalidField
from rewards.core.money import plain
from rewards.core.page import Page, PageAsk
from rewards.infra.changes import announce
from rewards.infra.db import Tx
from rewards.infra.settings import Settings
from rewards.pricing import sql_rates
from rewards.pricing.model import CHANGES_TOPIC, EVERYTHING
from rewards.pricing.model_rates import (
    Ages,
    Channel,
    HeldRate,
    HeldRateDecided,
    HeldRateNotFound,
    HeldState,
    Loaded,
    NewRate,
    Outcome,
    RateRow,
)
from rewards.pricing.offers import decide, waits_already
from rewards.pricing.rates import Rates
from rewards.pricing.rules import check_rate

ACTIONS = {
    HeldState.CONFIRMED: "fx_rate.confirmed",
    HeldState.DISMISSED: "fx_rate.dismissed",
}


def ages_of(settings: Settings) -> Ages:
    """How old a rate of each channel may be."""
    hours = {
        Channel.SETUP: 0,
        Channel.FILE: settings.fx_file_hours_max,
        Channel.STAFF: settings.fx_staff_hours_max,
        Channel.PROVIDER: settings.fx_provider_hours_max,
    }
    return {channel: timedelta(hours=most) if most else None for channel, most in hours.items()}


async def set_rates(tx: Tx, rates: Sequence[NewRate], at: datetime) -> None:
    """Put rates in force, each in one direction; of a pair named twice the later one holds.

    For first data: nothing is compared and nothing audited. Raises InvalidField for an unknown
    currency (`exists`), a currency with itself (`pair`), a rate that is not positive or does not
    fit 12 digits before and after the point, and one of a later time than now (`future`).
    """
    for each in rates:
        check_rate(each, at)
    if rates:
        await sql_rates.lock(tx)
        await _put(tx, rates, at)


async def offer_rates(
    tx: Tx,
    offers: Sequence[NewRate],
    actor: Actor,
    at: datetime,
    settings: Settings,
    *,
    reason: str | None = None,
    confirmed: bool = False,
) -> list[Loaded]:
    """What became of each offered rate, in order; each pair once (`pricing/offers.py` decides).

    Held ones wait in place of whatever of their pair waited before, and what is applied ends the
    waiting of its pair. One audit row for each that was applied or newly held. Raises InvalidField
    as `set_rates` does, and then nothing changes.
    """
    pairs = [offer.pair for offer in offers]
    assert len(set(pairs)) == len(pairs), "each pair once"
    for offer in offers:
        check_rate(offer, at)
    await sql_rates.lock(tx)
    rows = await sql_rates.read_rates(tx)
    decisions = decide(
        offers,
        {row.pair: row for row in rows},
        Rates(rows, ages_of(settings)),
        settings.fx_jump_percent_max,
        at,
        confirmed=confirmed,
    )
    waiting = await sql_rates.last_held(tx, pairs)
    loaded: dict[tuple[str, str], Loaded] = {}
    for offer, decision in zip(offers, decisions, strict=True):
        twin = waiting.get(offer.pair)
        known = decision.outcome is Outcome.HELD and waits_already(offer, twin)
        loaded[offer.pair] = Loaded(offer, decision, twin.id if twin and known else None)
    new = [each for each in loaded.values() if each.id is None]
    applied = [each.rate for each in new if each.outcome is Outcome.APPLIED]
    held = [each for each in new if each.outcome is Outcome.HELD]
    await sql_rates.supersede_held(tx, [*(rate.pair for rate in applied), *_pairs(held)], at)
    ids = dict(zip(_pairs(held), await _hold(tx, held, at), strict=True))
    if applied:
        ids |= dict(zip((r.pair for r in applied), await _put(tx, applied, at), strict=True))
    answers = [
        Loaded(each.rate, each.decision, ids.get(pair, each.id)) for pair, each in loaded.items()
    ]
    changed = [each for each in answers if each.rate.pair in ids]
    await audit.record(tx, [_offer_fact(each, actor, reason) for each in changed], at)
    return answers


def _pairs(loaded: Sequence[Loaded]) -> list[tuple[str, str]]:
    return [each.rate.pair for each in loaded]


async def _hold(tx: Tx, held: Sequence[Loaded], at: datetime) -> list[int]:
    if not held:
        return []
    return await sql_rates.insert_held(
        tx, [(each.rate, each.decision.charged_before) for each in held], at
    )


async def _put(tx: Tx, rates: Sequence[NewRate], at: datetime) -> list[int]:
    try:
        ids = await sql_rates.insert_rates(tx, rates, at)
    except asyncpg.ForeignKeyViolationError as missing:
        label = "Source" if missing.constraint_name == "fx_rates_source_fk" else "Target"
        raise InvalidField(label, "exists") from missing
    await announce(tx, CHANGES_TOPIC, [EVERYTHING])
    return ids


def _offer_fact(loaded: Loaded, actor: Actor, reason: str | None) -> AuditFact:
    assert loaded.id is not None
    held = loaded.outcome is Outcome.HELD
    kind = "fx_rate_held" if held else "fx_rate"
    facts = {"charged_before": _text(loaded.decision.charged_before), **_told(loaded.rate)}
    action = "fx_rate.held" if held else "fx_rate.set"
    return AuditFact(actor, None, action, kind, loaded.id, facts, reason)


def _told(rate: NewRate) -> Mapping[str, object]:
    return {
        "source": rate.source,
        "target": rate.target,
        "rate": _text(rate.rate),
        "spread_percent": _text(rate.spread_percent),
        "channel": rate.channel,
        "origin": rate.origin,
        "quoted_at": rate.quoted_at.isoformat(),
    }


def _text(number: Decimal | None) -> str | None:
    return None if number is None else f"{plain(number):f}"


async def decide_held(
    tx: Tx, held_id: int, state: HeldState, actor: Actor, reason: str, at: datetime
) -> HeldRate:
    """Confirm (it is in force from now on) or dismiss an open held rate; one audit row.

    Raises HeldRateNotFound, and HeldRateDecided when it is not open any more.
    """
    await sql_rates.lock(tx)
    decided = await sql_rates.decide_held(tx, held_id, state, at)
    if decided is None:
        known = await sql_rates.read_held(tx, held_id)
        raise HeldRateNotFound if known is None else HeldRateDecided(known.state)
    facts: dict[str, object] = {"charged_before": _text(decided.charged_before)}
    if state is HeldState.CONFIRMED:
        [facts["rate_id"]] = await _put(tx, [decided.rate], at)
    facts |= _told(decided.rate)
    fact = AuditFact(actor, None, ACTIONS[state], "fx_rate_held", held_id, facts, reason)
    await audit.record(tx, [fact], at)
    return decided


async def current(tx: Tx, ask: PageAsk) -> Page[RateRow]:
    """The rate in force of each pair, by source and target, a page of them.

    Of all pairs there are few enough that every process holds them in memory.
    """
    rows = sorted(await sql_rates.read_rates(tx), key=lambda row: row.pair)
    return Page(rows[ask.offset : ask.offset + ask.size], ask, len(rows))


async def history(tx: Tx, source: str, target: str, before_id: int, limit: int) -> list[RateRow]:
    """What was ever set for this direction of a pair, the newest first."""
    return await sql_rates.read_history(tx, source, target, before_id, limit)


async def held_rates(tx: Tx, state: HeldState | None, before_id: int, limit: int) -> list[HeldRate]:
    """Held rates of one state, or (None) of all, the newest first."""
    return await sql_rates.list_held(tx, state, before_id, limit)
