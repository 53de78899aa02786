"""Realtime products in the sandbox: its vendor mints the codes that the pool lacks."""

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from rewards.catalog.model import Product, ShelfKey
from rewards.infra.crypto import Vault
from rewards.infra.db import Tx
from rewards.inventory import service as inventory
from rewards.inventory.model import NewUnit, Taken

LIFE = timedelta(days=365)
DIGITS = {"card_number": 16, "pin_code": 4, "pin": 4}
CODE_BYTES = 9


class Mint:
    """Makes units for one order, inside its transaction; no network is involved.

    Only where `enabled` (the sandbox) and only for products that are realtime and flagged
    ALLOW_AUTO_VENDOR_FULFILL (spec.md D1, §4): everywhere else a miss stays a miss.
    """

    def __init__(self, vault: Vault, batch_id: int | None) -> None:
        self._vault = vault
        self._batch_id = batch_id

    def covers(self, product: Product) -> bool:
        return self._batch_id is not None and product.minted

    async def mint(
        self, tx: Tx, product: Product, shelf: ShelfKey, quantity: int, at: datetime
    ) -> list[Taken]:
        """`quantity` new units, already DELIVERED, to be bound to an order by the caller."""
        assert self._batch_id is not None
        expires_at = (at + LIFE).replace(microsecond=0)
        new = [
            NewUnit(
                shelf=shelf, fields=minted_fields(product.voucher_fields), expires_at=expires_at
            )
            for _ in range(quantity)
        ]
        minted = await inventory.mint(tx, self._vault, self._batch_id, new, at)
        taken = [unit for unit in minted if isinstance(unit, Taken)]
        assert len(taken) == quantity, "minted codes are random and never repeat"
        return taken


def minted_fields(voucher_fields: Iterable[str]) -> dict[str, str]:
    """Random text for each field a product's vouchers have; worth nothing anywhere."""
    return {field: _field(field) for field in voucher_fields}


def _field(field: str) -> str:
    if field in DIGITS:
        return "".join(secrets.choice("0123456789") for _ in range(DIGITS[field]))
    if field == "claim_url":
        return f"https://sandbox.invalid/redeem/{secrets.token_urlsafe(18)}"
    return "SBX-" + secrets.token_hex(CODE_BYTES).upper()
