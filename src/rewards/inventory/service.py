"""What other slices may call on the inventory; each function is documented where it is written."""

from rewards.inventory.hints import PoolHints
from rewards.inventory.pool import PoolReader, allocate, depth, product_depth
from rewards.inventory.units import (
    add_units,
    block,
    complete,
    deliver,
    fingerprint,
    open_units,
    read_units,
    release,
    revoke,
    unblock,
)

__all__ = [
    "PoolHints",
    "PoolReader",
    "add_units",
    "allocate",
    "block",
    "complete",
    "deliver",
    "depth",
    "fingerprint",
    "open_units",
    "product_depth",
    "read_units",
    "release",
    "revoke",
    "unblock",
]
