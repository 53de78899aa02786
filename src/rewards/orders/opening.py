"""Opens the codes of units as an order shows them; whoever asks has left the row of the trail."""

from collections.abc import Sequence

from rewards.infra.crypto import Vault
from rewards.inventory import service as inventory
from rewards.inventory.model import StoredUnit, Taken
from rewards.orders.view import VoucherOut, voucher


async def opened(vault: Vault, units: Sequence[Taken | StoredUnit]) -> list[VoucherOut]:
    """The voucher of each unit, in order; no connection is held. Raises as `open_units` does."""
    fields = await inventory.open_units(vault, units)
    return [voucher(each, unit.expires_at) for unit, each in zip(units, fields, strict=True)]
