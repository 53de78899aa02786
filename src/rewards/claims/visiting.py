"""What a visitor with a token may see, and the one act that counts: asking for the voucher."""

from dataclasses import dataclass, field
from datetime import datetime

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.catalog import service as catalog
from rewards.catalog.model import Wording
from rewards.claims import sql
from rewards.claims.model import TOKEN, Link, TriesSpent, WrongPassword, digest_of
from rewards.core.actor import Actor
from rewards.core.clock import Clock
from rewards.core.errors import Refusal
from rewards.infra.crypto import Vault
from rewards.infra.db import Database, Tx
from rewards.infra.passwords import Passwords
from rewards.inventory import service as inventory
from rewards.inventory.model import StoredUnit
from rewards.orders import claiming
from rewards.orders.claiming import Claimable, ClaimAsk
from rewards.orders.model import Order
from rewards.orders.model_links import LinkGone


@dataclass(frozen=True, slots=True)
class Visit:
    """A link that fits, and what may be said of it before anybody asks for the voucher."""

    link: Link
    order: Order
    wording: Wording
    password_hash: str | None = field(repr=False)

    @property
    def protected(self) -> bool:
        return self.password_hash is not None


@dataclass(frozen=True, slots=True)
class Revealed:
    """The voucher for the eyes of whoever holds the link. `first`: it was claimed just now."""

    visit: Visit
    fields: dict[str, str] = field(repr=False)
    expires_at: datetime | None
    claimed_at: datetime
    first: bool


class Claims:
    """The claim page's dealings with links, orders and stock. One a process."""

    def __init__(self, db: Database, vault: Vault, passwords: Passwords, clock: Clock) -> None:
        self._db = db
        self._vault = vault
        self._passwords = passwords
        self._clock = clock

    async def look(self, token: str) -> Visit:
        """What the token leads to. Changes nothing, and opens nothing.

        Raises LinkGone alike for a token that never was, whose time is over, that was replaced, or
        whose voucher was taken back or has expired.
        """
        if not TOKEN.fullmatch(token):
            raise LinkGone
        async with self._db.connection() as connection:
            return await self._visit(connection, digest_of(token))

    async def _visit(self, tx: Tx, digest: bytes) -> Visit:
        at = self._clock.now()
        link = await sql.find(tx, digest)
        if link is None or not link.fits(at):
            raise LinkGone
        found = await claiming.look(tx, link.order_id, link.position)
        if found is None or not found.open or not await _alive(tx, found, at):
            raise LinkGone
        [wording] = await catalog.wordings(tx, [found.order.product_revision_id])
        assert wording is not None, "wordings are never deleted"
        return Visit(link, found.order, wording, found.password_hash)

    async def reveal(self, token: str, password: str, actor: Actor) -> Revealed:
        """The voucher behind the token; the first time it counts as claimed (spec.md §7).

        Every time leaves an audit row, and whoever comes again is shown it again. Raises LinkGone;
        for a PROTECTED link WrongPassword, or TriesSpent after TRIES_MAX of them in TRIES_PER.
        """
        visit = await self.look(token)
        if visit.protected:
            await self._check(visit, password)

        async def work(tx: Tx) -> tuple[Revealed, StoredUnit]:
            return await self._claim(tx, visit, actor)

        revealed, unit = await self._db.run(work)
        [fields] = await inventory.open_units(self._vault, [unit])
        revealed.fields.update(fields)
        return revealed

    async def _check(self, visit: Visit, password: str) -> None:
        """Counted first and committed: a digest takes long, and many may be tried meanwhile."""
        async with self._db.transaction() as tx:
            may = await sql.spend_try(tx, visit.link.id, self._clock.now())
        if not may:
            raise TriesSpent
        if not await self._passwords.matches(visit.password_hash, password):
            raise WrongPassword

    async def _claim(self, tx: Tx, visit: Visit, actor: Actor) -> tuple[Revealed, StoredUnit]:
        link, order = visit.link, visit.order
        ask = ClaimAsk(link.order_id, link.position, actor)
        [claimed] = await claiming.claim(tx, [ask], self._clock.now())
        if isinstance(claimed, Refusal):
            raise claimed
        # The order is locked: nobody replaces the link now, or lets it lapse.
        claimed_at = await sql.use(tx, link.id, claimed.at)
        [unit] = await inventory.read_units(tx, [claimed.item.unit_id or 0])
        if claimed_at is None or unit is None or _over(unit, claimed.at):
            raise LinkGone
        await audit.record(tx, [_fact(actor, order, link)], claimed.at)
        return Revealed(visit, {}, unit.expires_at, claimed_at, claimed.first), unit


async def _alive(tx: Tx, found: Claimable, at: datetime) -> bool:
    [unit] = await inventory.read_units(tx, [found.item.unit_id or 0])
    return unit is not None and not _over(unit, at)


def _over(unit: StoredUnit, at: datetime) -> bool:
    return unit.expires_at is not None and unit.expires_at <= at


def _fact(actor: Actor, order: Order, link: Link) -> AuditFact:
    """One row of the trail: somebody was shown the voucher behind a link (spec.md §4)."""
    return AuditFact(
        actor=actor,
        client_id=order.client_id,
        action="claim.voucher_revealed",
        subject_kind="order",
        subject_id=order.id,
        facts={"link_id": link.id, "position": link.position},
        reason=None,
    )
