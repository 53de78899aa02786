"""Lays out the demo data once; a second start finds it and changes nothing but lost secrets."""

import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from rewards.catalog import service as catalog
from rewards.catalog.model import ShelfKey
from rewards.clients import service as clients
from rewards.clients.model import NewClient, NewCredential
from rewards.core.clock import Clock, SystemClock
from rewards.core.currency import exponent_of
from rewards.core.errors import Refusal
from rewards.core.money import to_minor
from rewards.core.page import PageAsk
from rewards.infra.crypto import Vault
from rewards.infra.db import Database, Tx
from rewards.infra.passwords import Passwords
from rewards.infra.settings import Settings
from rewards.infra.targets import Targets
from rewards.inventory import service as inventory
from rewards.inventory.model import BatchSource, NewUnit, UnitState
from rewards.notices import service as notices
from rewards.notices.model import NoticeSettings
from rewards.orders.mint import minted_fields
from rewards.pricing import service as pricing
from rewards.pricing.model_rates import NewRate
from rewards.sandbox import vendors, webhooks
from rewards.sandbox.card import known_secrets
from rewards.sandbox.products import PRODUCTS, stocked_amounts_minor
from rewards.staff import service as staff
from rewards.staff.model import NewStaff, Role
from rewards.wallets import service as wallets
from rewards.wallets.model import NewWallet, TopUp

# Simulators call back without TLS, which only this machine may be asked.
LOOPBACK = ("127.0.0.1", "::1", "localhost")
CLIENT_NAME = "Sandbox Client"
CLIENT_CONTACT = "operations@client.example"
ROLES = (Role.ADMIN, Role.OPERATIONS, Role.FINANCE, Role.SUPPORT)
BALANCES = {"USD": Decimal(250_000), "EUR": Decimal(100_000), "INR": Decimal(5_000_000)}
# US dollars for one unit.
RATES = (
    ("EUR", "1.0842"),
    ("GBP", "1.2706"),
    ("INR", "0.01193"),
    ("JPY", "0.00667"),
    ("KWD", "3.2541"),
)
CONVERSION_FEE_PERCENT = Decimal("1.5")
UNIT_LIFE = timedelta(days=540)
PASSWORD_CHARS = 24
PASSWORD_ALPHABET = string.ascii_letters + string.digits


async def seed(
    dsn: str,
    settings: Settings,
    clock: Clock | None = None,
    simulators: Mapping[str, str] | None = None,
    webhook_url: str = "",
) -> dict[str, Any]:
    """Client, staff, catalogue, money and stock, unless they are there already.

    Returns what `sandbox.json` tells besides addresses: `client`, `staff`, `wallets`. Secrets are
    made once and read back from that file; when it was lost, new ones are made. `simulators` are
    the addresses of vendors' stand-ins by adapter; with them the answer tells of `vendors` too.
    Events go to `webhook_url`, if there is one; then it tells of `webhook_sink`.
    """
    clock = clock or SystemClock()
    db = await Database.connect(dsn, settings)
    try:
        maker = _Maker(await Vault.open_database(db, settings), settings, clock.now())
        async with db.transaction() as tx:
            card = await _laid_out(tx, maker)
            if simulators:
                card |= await maker.connect(tx, simulators)
            if webhook_url:
                card |= await maker.tell(tx, webhook_url)
            return card
    finally:
        await db.close()


async def _laid_out(tx: Tx, maker: "_Maker") -> dict[str, Any]:
    client_id = await _sandbox_client(tx)
    if client_id is None:
        return await maker.lay_out(tx)
    known = known_secrets(maker.settings.home)
    # The data is there and its secrets are not: a second set joins the first.
    return known or await maker.let_in(tx, client_id, suffix="-" + secrets.token_hex(2))


async def _sandbox_client(tx: Tx) -> int | None:
    found = await clients.list_clients(tx, PageAsk(1, 1), name=CLIENT_NAME)
    return found.items[0].id if found.items else None


def _password() -> str:
    return "".join(secrets.choice(PASSWORD_ALPHABET) for _ in range(PASSWORD_CHARS))


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes demo data inside one transaction, so that a killed start leaves nothing half-done."""

    vault: Vault
    settings: Settings
    now: datetime

    async def lay_out(self, tx: Tx) -> dict[str, Any]:
        await catalog.seed_reference(tx)
        await catalog.add_products(tx, [stocked.product for stocked in PRODUCTS], self.now)
        await pricing.set_rates(
            tx,
            [NewRate(code, "USD", Decimal(rate), "sandbox", self.now) for code, rate in RATES],
            self.now,
        )
        new = NewClient(name=CLIENT_NAME, conversion_fee_percent=CONVERSION_FEE_PERCENT)
        [client] = await clients.create(tx, [new], self.now)
        await notices.set_settings(
            tx, NoticeSettings(client.id, contacts=(CLIENT_CONTACT,)), self.now
        )
        await self._fund(tx, client.id)
        await self._stock(tx)
        return await self.let_in(tx, client.id)

    async def connect(self, tx: Tx, simulators: Mapping[str, str]) -> dict[str, Any]:
        """An account with each simulator, which may listen elsewhere than at the last start."""
        base = self.settings.public_url
        loopback = urlsplit(base).hostname in LOOPBACK
        made = await vendors.lay_out(tx, self.vault, simulators, base if loopback else "", self.now)
        told = {
            name: {"id": vendor_id, "simulator_url": simulators[name]}
            for name, vendor_id in made.items()
        }
        return {"vendors": told}

    async def tell(self, tx: Tx, url: str) -> dict[str, Any]:
        """The client's webhook, which brings all events to this URL."""
        client_id = await _sandbox_client(tx)
        assert client_id is not None, "it was just laid out"
        targets = Targets.from_settings(self.settings)
        made = await webhooks.register(tx, self.vault, targets, client_id, url, self.now)
        return {"webhook_sink": {"url": url, **made}}

    async def let_in(self, tx: Tx, client_id: int, suffix: str = "") -> dict[str, Any]:
        """Fresh secrets for the client and one person of each role."""
        passwords = Passwords()
        username, password = f"sandbox{suffix}", _password()
        login = await clients.prepare_login(passwords, client_id, username, password)
        await clients.add_login(tx, login, self.now)
        [issued] = await clients.issue_credentials(
            tx, self.vault, self.settings, [NewCredential(client_id)], self.now
        )
        people = {role.value: (f"{role}{suffix}", _password()) for role in ROLES}
        asks = [NewStaff(name, Role(role), word) for role, (name, word) in people.items()]
        digests = await passwords.digests([ask.password for ask in asks])
        for answer in await staff.create_staff(tx, asks, digests, self.now):
            if isinstance(answer, Refusal):
                raise answer
        passwords.close()
        purses = await wallets.list_for_client(tx, client_id)
        return {
            "client": {
                "client_id": client_id,
                "username": username,
                "password": password,
                "api_key": issued.api_key,
                "api_secret": issued.api_secret,
                "signing_secret": issued.signing_secret,
            },
            "staff": {
                role: {"username": name, "password": word} for role, (name, word) in people.items()
            },
            "wallets": {wallet.currency: wallet.id for wallet in purses},
        }

    async def _fund(self, tx: Tx, client_id: int) -> None:
        new = [NewWallet(client_id=client_id, currency=code) for code in BALANCES]
        purses = await wallets.open_wallets(tx, new, self.now)
        top_ups = []
        for wallet in purses:
            amount_minor = to_minor(BALANCES[wallet.currency], exponent_of(wallet.currency))
            assert amount_minor is not None
            top_ups.append(TopUp(wallet.id, amount_minor, "sandbox-opening", "Opening balance"))
        await wallets.top_up(tx, top_ups, self.now)

    async def _stock(self, tx: Tx) -> None:
        batch_id = await inventory.open_batch(
            tx, BatchSource.SANDBOX, "Sandbox opening stock", self.now
        )
        expires_at = (self.now + UNIT_LIFE).replace(hour=23, minute=59, second=59, microsecond=0)
        for stocked in PRODUCTS:
            product = stocked.product
            new = [
                NewUnit(
                    shelf=ShelfKey(product.id or 0, amount_minor, product.currency),
                    fields=minted_fields(product.voucher_fields),
                    expires_at=expires_at,
                )
                for amount_minor in stocked_amounts_minor(product)
                for _ in range(stocked.units)
            ]
            if new:
                # Loaded at once: the sandbox starts warm.
                await inventory.add_units(
                    tx, self.vault, batch_id, new, UnitState.AVAILABLE, self.now, loaded=True
                )
