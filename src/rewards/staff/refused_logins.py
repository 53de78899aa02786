"""Keeps in the trail whom the door of staff refused, as often as somebody can read (ADR 0026)."""

from datetime import datetime
from enum import StrEnum

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.clients.limits import Limiter
from rewards.clients.windows import Window
from rewards.core.actor import Actor
from rewards.core.errors import TooManyRequests
from rewards.infra.db import Database, Tx
from rewards.staff.model import Login

# One a minute of an account and an address, and so many of an account, whoever guesses where. All
# names that nobody has count as one account.
EACH_WINDOWS = (Window(1, 60),)
ALL_WINDOWS = (Window(10, 60),)
EACH, ALL = "staff-refused-address", "staff-refused"
NOBODY = 0


class Why(StrEnum):
    PASSWORD = "PASSWORD"  # noqa: S105 - what was wrong, not what it was
    CODE = "CODE"  # the password was right
    DEACTIVATED = "DEACTIVATED"
    UNKNOWN_NAME = "UNKNOWN_NAME"


async def keep(
    db: Database, limiter: Limiter, found: Login, origin: Actor, at: datetime, *, code: bool
) -> None:
    """Write a row for a refused login, unless enough tell of it already.

    `origin` is from where, by nobody we know; `code`: what was wrong is the code. A name that
    nobody has is not written down, for it may be a password typed in the wrong place; it takes the
    same statements, so that time tells nobody which names there are.
    """
    number = found.staff.id if found.staff else NOBODY
    try:
        await limiter.spend(EACH, f"{number} {origin.address}", EACH_WINDOWS)
        await limiter.spend(ALL, str(number), ALL_WINDOWS)
    except TooManyRequests:
        return
    subject = "staff" if found.staff else "sign_in"
    facts = {"refused": _why(found, code=code)}
    fact = AuditFact(origin, None, "staff.login_refused", subject, number, facts)

    async def work(tx: Tx) -> None:
        await audit.record(tx, [fact], at)

    await db.run(work)


def _why(found: Login, *, code: bool) -> Why:
    if found.staff is None:
        return Why.UNKNOWN_NAME
    if not found.staff.active:
        return Why.DEACTIVATED
    return Why.CODE if code else Why.PASSWORD
