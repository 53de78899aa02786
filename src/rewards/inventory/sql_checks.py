"""What must always hold of units, shelf and batches: queries that answer only what breaks it."""

from collections.abc import Mapping
from types import MappingProxyType

SHELF_ROW_IS_AN_AVAILABLE_UNIT = """
SELECT s.unit_id AS subject, u.state
FROM shelf AS s LEFT JOIN units AS u ON u.id = s.unit_id
WHERE u.state IS DISTINCT FROM 'AVAILABLE'
"""

AVAILABLE_UNIT_IS_ON_THE_SHELF = """
SELECT u.id AS subject
FROM units AS u LEFT JOIN shelf AS s ON s.unit_id = u.id
WHERE u.state = 'AVAILABLE' AND s.unit_id IS NULL
"""

SHELF_ROW_COPIES_ITS_UNIT = """
SELECT s.unit_id AS subject
FROM shelf AS s JOIN units AS u ON u.id = s.unit_id
WHERE (s.product_id, s.denomination_minor, s.currency, s.expires_at)
    <> (u.product_id, u.denomination_minor, u.currency, u.expires_at)
"""

BLOCKED_UNIT_SAYS_WHY = """
SELECT coalesce(u.id, b.unit_id) AS subject, u.state, b.reason
FROM (SELECT id, state FROM units WHERE state = 'BLOCKED') AS u
FULL JOIN blocked_units AS b ON b.unit_id = u.id
WHERE u.id IS NULL OR b.unit_id IS NULL
"""

BLOCKED_UNIT_COPIES_ITS_UNIT = """
SELECT b.unit_id AS subject
FROM blocked_units AS b JOIN units AS u ON u.id = b.unit_id
WHERE (b.product_id, b.denomination_minor, b.currency)
    <> (u.product_id, u.denomination_minor, u.currency)
"""

# Blocking a batch takes its units off one chunk after the other, an hour is more than it needs. A
# loaded unit that has expired is no breach: allocation passes over it and the next pump sweeps it.
BLOCKED_BATCH_HAS_NOTHING_FOR_SALE = """
SELECT s.unit_id AS subject, b.id AS batch_id, b.status
FROM batches AS b JOIN units AS u ON u.batch_id = b.id JOIN shelf AS s ON s.unit_id = u.id
WHERE b.status <> 'OPEN' AND s.loaded AND b.status_at < now() - interval '1 hour'
"""

WRITTEN_OFF_UNIT_IS_REVOKED = """
SELECT w.unit_id AS subject, u.state
FROM units_written_off AS w LEFT JOIN units AS u ON u.id = w.unit_id
WHERE u.state IS DISTINCT FROM 'REVOKED'
"""

CODE_IS_IN_STOCK_ONCE = """
SELECT min(id) AS subject, product_id, count(*) AS units
FROM units GROUP BY product_id, fingerprint HAVING count(*) > 1
"""

UNIT_HAS_ITS_BATCH = """
SELECT u.id AS subject, u.batch_id
FROM units AS u LEFT JOIN batches AS b ON b.id = u.batch_id
WHERE b.id IS NULL
"""

# Other sources keep no counts: see open_batch.
BATCH_COUNTS_ITS_UNITS = """
SELECT b.id AS subject, b.loaded, coalesce(u.units, 0) AS units
FROM batches AS b
LEFT JOIN (SELECT batch_id, count(*) AS units FROM units GROUP BY batch_id) AS u
    ON u.batch_id = b.id
WHERE b.source = 'FILE' AND b.loaded <> coalesce(u.units, 0)
"""

BATCH_ACCOUNTS_FOR_EVERY_ROW = """
SELECT b.id AS subject, b.rows_read, b.loaded, b.duplicate, b.invalid
FROM batches AS b
LEFT JOIN (
    SELECT batch_id, count(*) FILTER (WHERE outcome = 'DUPLICATE') AS duplicate,
        count(*) FILTER (WHERE outcome = 'INVALID') AS invalid
    FROM batch_rejects GROUP BY batch_id
) AS r ON r.batch_id = b.id
WHERE b.rows_read <> b.loaded + b.duplicate + b.invalid
    OR b.duplicate <> coalesce(r.duplicate, 0) OR b.invalid <> coalesce(r.invalid, 0)
"""

# The format byte, then the id of a data key, as infra/crypto.py writes them.
UNIT_IS_SEALED_WITH_A_KNOWN_KEY = """
SELECT u.id AS subject
FROM units AS u
WHERE length(u.sealed) < 33 OR get_byte(u.sealed, 0) <> 1 OR NOT EXISTS (
    SELECT FROM data_keys AS k
    WHERE k.purpose = 'units' AND substring(u.sealed FROM 2 FOR 4) = int4send(k.id)
)
"""

CHECKS: Mapping[str, str] = MappingProxyType(
    {
        "i9_shelf_row_is_an_available_unit": SHELF_ROW_IS_AN_AVAILABLE_UNIT,
        "i9_available_unit_is_on_the_shelf": AVAILABLE_UNIT_IS_ON_THE_SHELF,
        "i10_shelf_row_copies_its_unit": SHELF_ROW_COPIES_ITS_UNIT,
        "i11_blocked_unit_says_why": BLOCKED_UNIT_SAYS_WHY,
        "i11_blocked_unit_copies_its_unit": BLOCKED_UNIT_COPIES_ITS_UNIT,
        "i11_blocked_batch_has_nothing_for_sale": BLOCKED_BATCH_HAS_NOTHING_FOR_SALE,
        "i11_written_off_unit_is_revoked": WRITTEN_OFF_UNIT_IS_REVOKED,
        "i12_code_is_in_stock_once": CODE_IS_IN_STOCK_ONCE,
        "i13_unit_has_its_batch": UNIT_HAS_ITS_BATCH,
        "i13_batch_counts_its_units": BATCH_COUNTS_ITS_UNITS,
        "i13_batch_accounts_for_every_row": BATCH_ACCOUNTS_FOR_EVERY_ROW,
        "i14_unit_is_sealed_with_a_known_key": UNIT_IS_SEALED_WITH_A_KNOWN_KEY,
    }
)
