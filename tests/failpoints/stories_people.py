"""Stories of people: clients who log in, money that comes in, and every act of the staff."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rewards.clients import service as clients
from rewards.clients.model import NewCredential
from rewards.clients.sessions import Session
from rewards.core.errors import Unauthorized
from rewards.orders.fulfilment import ApproveAsk
from rewards.staff import service as people
from rewards.staff.model import NewStaff, Role
from rewards.vendors.purchases import BUY_JOB
from tests.failpoints.points import Side
from tests.failpoints.story import MINOR, Step, Story
from tests.failpoints.town import Town, served
from tests.shop import STAFF

PASSWORD = "a long and quiet password"


class LoggedIn(Story):
    """Login, refresh, logout. A refresh token whose answer was lost is used up: log in again."""

    async def begin(self) -> None:
        self.client_id = await self.shop.client()
        self.username = f"buyer-{self.client_id}"
        parts = self.town.other.parts
        new = await clients.prepare_login(parts.passwords, self.client_id, self.username, PASSWORD)
        async with parts.db.transaction() as tx:
            await clients.add_login(tx, new, self.town.clock.now())

    def steps(self) -> Sequence[Step]:
        return [self.login, self.refresh, self.logout]

    async def login(self) -> None:
        self.session: Session = await self.town.mine.parts.sessions.login(
            self.username, PASSWORD, None
        )

    async def refresh(self) -> None:
        try:
            self.session = await self.town.mine.parts.sessions.refresh(
                self.session.refresh_token, None
            )
        except Unauthorized:
            assert self.again
            await self.login()

    async def logout(self) -> None:
        await self.town.mine.parts.sessions.logout(self.client_id)

    async def check(self) -> None:
        for _ in range(2):
            try:
                await self.town.other.parts.sessions.refresh(self.session.refresh_token, None)
            except Unauthorized:
                continue
            raise AssertionError("a token lives on after its logout")


class ToppedUp(Story):
    """Money under a reference is booked once, however often it is asked."""

    async def begin(self) -> None:
        self.client_id = await self.shop.client(minor=MINOR)
        held = await self.shop.wallets(self.client_id)
        self.path = f"/wallets/{held['USD'].id}"

    def steps(self) -> Sequence[Step]:
        return [self.top_up, self.adjust]

    async def top_up(self) -> None:
        body = {"amount": "10.00", "reference": "R-1"}
        await self.town.staff("finance", "POST", self.path + "/top-up", body)

    async def adjust(self) -> None:
        body = {"amount": "1.00", "direction": "DEBIT", "reference": "R-2", "note": "a slip"}
        await self.town.staff("finance", "POST", self.path + "/adjust", body)

    async def check(self) -> None:
        assert await self.shop.balance(self.client_id) == MINOR + 1_000 - 100


Facts = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fact:
    """Stands in a body for what is known only then, as it is."""

    name: str


@dataclass(frozen=True, slots=True)
class Act:
    """One request of a person, whose whole effect is one transaction."""

    method: str
    path: str
    body: Facts | None = None
    prepare: Callable[[Town, Facts], Awaitable[Facts]] | None = None
    # What it may be told the second time.
    again: tuple[int, ...] = (400, 401, 404, 409)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


async def login(town: Town, facts: Facts) -> Facts:
    parts = town.other.parts
    name = f"login-{facts['client']}"
    new = await clients.prepare_login(parts.passwords, facts["client"], name, PASSWORD)
    async with parts.db.transaction() as tx:
        made = await clients.add_login(tx, new, town.clock.now())
    return {"login": made.id}


async def credential(town: Town, facts: Facts) -> Facts:
    parts = town.other.parts
    async with parts.db.transaction() as tx:
        [issued] = await clients.issue_credentials(
            tx, parts.vault, town.settings, [NewCredential(facts["client"])], town.clock.now()
        )
    return {"credential": issued.id}


async def colleague(town: Town, facts: Facts) -> Facts:
    parts = town.other.parts
    new = NewStaff(f"colleague-{facts['client']}", Role.VIEWER, PASSWORD)
    digests = await parts.passwords.digests([PASSWORD])
    async with parts.db.transaction() as tx:
        [made] = await people.create_staff(tx, [new], digests, town.clock.now())
    assert not isinstance(made, Exception)
    await town.sign_in(made.id)
    return {"colleague": made.id, "name": new.username, "caller": made.id}


async def stranger(town: Town, facts: Facts) -> Facts:
    """Somebody whose account the administrator changes."""
    return {**await colleague(town, facts), "caller": town.people["admin"]}


async def dead_job(town: Town, _facts: Facts) -> Facts:
    number = await town.value(
        "INSERT INTO pgqueuer (priority, entrypoint, status, execute_after)"
        " VALUES (0, 'orders.stuck', 'failed', now() + interval '1 day') RETURNING id"
    )
    return {"job": number}


async def held_rate(town: Town, _facts: Facts) -> Facts:
    number = await town.value(
        "INSERT INTO fx_rates_held (source, target, rate, spread_percent, channel, origin,"
        " quoted_at, held_at, charged_before)"
        " VALUES ('USD', 'INR', 100, 0, 'PROVIDER', 'x', now(), now(), 83) RETURNING id"
    )
    return {"held": number}


async def order(town: Town, facts: Facts) -> Facts:
    shop = town.shop
    product = shop.parts.catalog.product(facts["product"])
    assert product is not None
    await shop.stock(product, 1)
    placed = await shop.place_one(shop.ask(facts["client"], product))
    return {"order": placed.order.id}


async def waiting_order(town: Town, facts: Facts) -> Facts:
    shop = town.shop
    product = shop.parts.catalog.product(facts["product"])
    assert product is not None
    placed = await shop.place_one(shop.ask(facts["client"], product))
    return {"order": placed.order.id}


async def unknown_outcome(town: Town, facts: Facts) -> Facts:
    """A vendor order that was sent, never answered, and is read back no more: a person's case."""
    shop = town.shop
    product = shop.parts.catalog.product(facts["product"])
    assert product is not None
    await town.offer(product)
    placed = await shop.place_one(shop.ask(facts["client"], product))
    ask = ApproveAsk(placed.order.id, STAFF, "asked by the client", agreed=True)
    await town.other.bought.fulfilment.approve([ask])
    await town.value("DELETE FROM pgqueuer WHERE entrypoint = $1", BUY_JOB)
    number = await town.value(
        "UPDATE vendor_orders SET state = 'UNKNOWN', calls = 1, sent_at = now(), case_at = now(),"
        " window_ends_at = now(), next_at = now() + interval '900 days'"
        " WHERE subject_id = $1 RETURNING id",
        placed.order.id,
    )
    return {"vendor_order": number}


async def drift(town: Town, facts: Facts) -> Facts:
    """Two books that disagree about something of long ago."""
    number = await town.value(
        "WITH run AS (INSERT INTO reconciliation_runs"
        " (day, vendor_id, state, phase, next_at, started_at, ended_at)"
        " VALUES ('2000-01-01', $1, 'DONE', 'UNITS', now(), now(), now()) RETURNING id)"
        " INSERT INTO drifts (run_id, day, kind, subject_kind, subject, ours, theirs, found_at)"
        " SELECT id, '2000-01-01', 'UNKNOWN_TO_US', 'order', $1::text, '{}', '{}', now() FROM run"
        " RETURNING id",
        facts["client"],
    )
    return {"drift": number}


async def given_up(town: Town, facts: Facts) -> Facts:
    """A mail that its server refused."""
    number = await town.value(
        "INSERT INTO notices (client_id, kind, audience, address, cause, facts, message_id, state,"
        " next_at, reason, created_at, finished_at)"
        " VALUES ($1, 'LOW_BALANCE', 'CLIENT', 'ops@client.example', $2,"
        """ '{"wallet_id": "1", "currency": "USD", "balance": "1.00", "threshold": "2.00"}',"""
        " $2, 'FAILED', now(), 'REFUSED', now(), now()) RETURNING id",
        *(facts["client"], f"cause of {facts['client']}"),
    )
    return {"notice": number}


async def saved_search(town: Town, facts: Facts) -> Facts:
    number = await town.value(
        "INSERT INTO saved_searches (staff_id, name, query, shared, created_at)"
        ' VALUES ($1, $2, \'{"status": "PENDING"}\', false, now()) RETURNING id',
        *(facts["caller"], f"of {facts['client']}"),
    )
    return {"saved": number}


async def alert(town: Town, facts: Facts) -> Facts:
    """Something that is wrong."""
    number = await town.value(
        "INSERT INTO alerts (kind, subject, level, facts, raised_at, seen_at)"
        " VALUES ('DRIFT_FOUND', $1, 1, '{}', now(), now()) RETURNING id",
        f"client {facts['client']}",
    )
    return {"alert": number}


CLIENT = "/clients/{client}"
ACTS = (
    Act("POST", "/clients", {"name": "Newcomer"}),
    Act("PATCH", CLIENT, {"name": "Renamed"}),
    Act("POST", CLIENT + "/credentials", {}),
    Act("POST", CLIENT + "/credentials/{credential}/revoke", None, credential),
    Act("POST", CLIENT + "/credentials/{credential}/rotate-signing-secret", None, credential),
    Act("POST", CLIENT + "/logins", {"username": "user-{client}", "password": PASSWORD}),
    Act("PATCH", CLIENT + "/logins/{login}", {"password": PASSWORD + " 2"}, login),
    Act("POST", CLIENT + "/wallets", {"currency": "USD"}),
    Act("PATCH", "/wallets/{wallet}", {"reason": "asked", "status": "FROZEN"}),
    Act(
        "POST",
        "/products",
        {
            "name": "Newcomer",
            "category_id": 1,
            "country": "US",
            "currency": "USD",
            "delivery_type": "URL",
            "voucher_fields": ["claim_url"],
            "denominations": [{"min_value": 25}],
        },
    ),
    Act("PATCH", "/products/{product}", {"name": "Another name"}),
    Act("PATCH", "/products/{product}/pricing", {"handling_fee": "1", "reason": "agreed"}),
    Act("POST", "/categories", {"name": "For {client}"}),
    Act("PUT", "/products/{product}/visibility/{client}", {"visible": False}),
    Act("PUT", "/products/{product}/discounts/{client}", {"percent": "3"}),
    Act(
        "POST",
        "/vendors",
        {
            "name": "vendor-{client}",
            "adapter": "sandbox",
            "config": {"base_url": "https://vendor.example"},
            "secrets": {"api_key": "the-key-of-another-vendor"},
        },
    ),
    Act("PATCH", "/vendors/{vendor}", {"config": {"callback_url": None}, "name": "acme-{client}"}),
    Act("POST", "/vendors/{vendor}/sync", None),
    Act("PUT", "/vendors/{vendor}/products/{product}", {"sku": "AMZ"}),
    Act("POST", "/fx-rates", {"source": "USD", "target": "KWD", "rate": "0.3", "reason": "today"}),
    Act("POST", "/fx-rates/held/{held}/dismiss", {"reason": "a slip"}, held_rate),
    Act("POST", "/staff", {"username": "new-{client}", "role": "VIEWER", "password": PASSWORD}),
    Act("PATCH", "/staff/{colleague}", {"active": False}, stranger),
    Act("POST", "/jobs/{job}/revive", None, dead_job),
    Act("POST", "/notices/{notice}/resend", {"reason": "asked for"}, given_up),
    Act("PUT", CLIENT + "/notice-settings", {"language": "ar", "contacts": ["a@b.example"]}),
    Act("POST", "/alerts/{alert}/acknowledge", {"note": "seen to"}, alert),
    Act("GET", "/orders/{order}", None, order),
    Act("POST", "/orders/{order}/notes", {"text": "their desk was called"}, order),
    Act("POST", "/orders/{order}/reveal", {"position": 1, "reason": "asked for"}, order),
    Act("POST", "/orders/retry", {"order_ids": [Fact("order")], "reason": "try"}, waiting_order),
    Act("POST", "/orders/cancel", {"order_ids": [Fact("order")], "reason": "no"}, waiting_order),
    Act("POST", "/saved-searches", {"name": "for {client}", "query": {"client_id": "{client}"}}),
    Act("DELETE", "/saved-searches/{saved}", None, saved_search),
    Act("GET", "/audit/export?from=9000-01-01", None),
    Act("POST", "/reconciliation/drifts/{drift}/explain", {"reason": "a slip"}, drift),
    Act(
        "POST",
        "/vendor-orders/{vendor_order}/verdict",
        {"verdict": "NOT_PLACED", "reason": "told by telephone"},
        unknown_outcome,
    ),
    Act("POST", "/admin/auth/login", {"username": "{name}", "password": PASSWORD}, colleague),
    Act("POST", "/admin/auth/logout", None, colleague),
)


class Acted(Story):
    """One act: done whole or not at all, and done again or refused cleanly."""

    act: Act
    # How many rows it adds to which table when nothing strikes.
    clean: dict[str, int]

    async def begin(self) -> None:
        self.client_id = await self.shop.client(minor=MINOR)
        product = await self.town.product()
        held = await self.shop.wallets(self.client_id)
        self.facts: Facts = {
            "client": self.client_id,
            "product": product.id,
            "wallet": held["USD"].id,
            "vendor": self.town.vendor_id,
            "caller": self.town.people["admin"],
        }
        if self.act.prepare:
            self.facts |= await self.act.prepare(self.town, self.facts)
        self.before = await self.town.counts()

    def steps(self) -> Sequence[Step]:
        return [self.do]

    async def do(self) -> None:
        path = self.act.path.format_map(self.facts)
        path = path if path.startswith("/admin") else "/admin/api/v1" + path
        answer = await self.town.mine.http.request(
            *(self.act.method, path),
            json=filled(self.act.body, self.facts),
            headers=self.town.token(self.facts["caller"]),
        )
        served(answer, self.act.again if self.again else ())

    async def check(self) -> None:
        """Twice what it does once only where it was done and asked for again."""
        after = await self.town.counts()
        grown = {name: more for name in after if (more := after[name] - self.before[name])}
        if self.strike is None:
            type(self).clean = grown
        elif self.strike.side is Side.BEFORE:
            assert grown == self.clean
        else:
            assert grown.keys() == self.clean.keys()
            twice = {name: sorted((more, 2 * more)) for name, more in self.clean.items()}
            assert all(less <= grown[name] <= most for name, (less, most) in twice.items())


def filled(body: Any, facts: Facts) -> Any:
    if isinstance(body, Fact):
        return facts[body.name]
    if isinstance(body, list):
        return [filled(value, facts) for value in body]
    if isinstance(body, dict):
        return {name: filled(value, facts) for name, value in body.items()}
    return body.format_map(facts) if isinstance(body, str) else body


def story_of(act: Act) -> type[Acted]:
    return type(str(act), (Acted,), {"act": act})


PEOPLE_STORIES = (LoggedIn, ToppedUp, *map(story_of, ACTS))
