"""What other slices may call on the inventory; each function is documented where it is written."""

from rewards.inventory.batches import (
    batch_units,
    block_batch,
    count_units,
    list_batches,
    open_batch,
    reseal,
    set_batch_status,
    sold_from,
    unblock_batch,
)
from rewards.inventory.hints import PoolHints
from rewards.inventory.intake import (
    fail_dead_imports,
    open_import,
    read_batch,
    read_rejects,
    run_import,
)
from rewards.inventory.pool import PoolReader, allocate, depth, depths, product_depth
from rewards.inventory.pump import depth_report, pump
from rewards.inventory.units import (
    add_units,
    block,
    complete,
    deliver,
    fingerprint,
    mint,
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
    "batch_units",
    "block",
    "block_batch",
    "complete",
    "count_units",
    "deliver",
    "depth",
    "depth_report",
    "depths",
    "fail_dead_imports",
    "fingerprint",
    "list_batches",
    "mint",
    "open_batch",
    "open_import",
    "open_units",
    "product_depth",
    "pump",
    "read_batch",
    "read_rejects",
    "read_units",
    "release",
    "reseal",
    "revoke",
    "run_import",
    "set_batch_status",
    "sold_from",
    "unblock",
    "unblock_batch",
]
