"""What must hold in the ledger: one SELECT for each rule, answering the rows that break it.

`rewards doctor` and the tests run them. I1 to I5 are reliability's invariants, and among them the
five checks of pgledger: chain, zero sum, version = number of entries, two entries for each
transfer, versions without a gap. The first column names the row.
"""

from collections.abc import Mapping
from types import MappingProxyType

CURRENCIES_SUM_TO_ZERO = """
SELECT currency AS subject, sum(amount_minor) AS sum_minor
FROM ledger_entries
GROUP BY currency
HAVING sum(amount_minor) <> 0
"""

BALANCE_IS_THE_SUM_OF_ENTRIES = """
SELECT w.id AS subject, w.balance_minor, coalesce(e.sum_minor, 0) AS sum_minor
FROM wallets AS w
LEFT JOIN (
    SELECT account_id, sum(amount_minor) AS sum_minor
    FROM ledger_entries WHERE account_id > 0 GROUP BY account_id
) AS e ON e.account_id = w.id
WHERE w.balance_minor <> coalesce(e.sum_minor, 0)
"""

VERSION_COUNTS_ENTRIES = """
SELECT w.id AS subject, w.version, coalesce(e.entries, 0) AS entries, e.first, e.last
FROM wallets AS w
LEFT JOIN (
    SELECT account_id, count(*) AS entries, min(version) AS first, max(version) AS last
    FROM ledger_entries WHERE account_id > 0 GROUP BY account_id
) AS e ON e.account_id = w.id
WHERE w.version <> coalesce(e.entries, 0) OR e.first <> 1 OR e.last <> e.entries
"""

CHAIN_IS_UNBROKEN = """
SELECT transfer_id AS subject, account_id, version, before_minor, amount_minor, balance_minor
FROM (
    SELECT *, coalesce(lag(balance_minor) OVER chain, 0) AS before_minor,
        coalesce(lag(version) OVER chain, 0) AS version_before,
        coalesce(lag(transfer_id) OVER chain, 0) AS transfer_before
    FROM ledger_entries WHERE account_id > 0
    WINDOW chain AS (PARTITION BY account_id ORDER BY version)
) AS e
WHERE before_minor + amount_minor <> balance_minor OR version <> version_before + 1
    OR transfer_id <= transfer_before
"""

WALLET_ENDS_WHERE_ITS_CHAIN_DOES = """
SELECT w.id AS subject, w.balance_minor, w.version, e.balance_minor AS chain_minor
FROM wallets AS w
LEFT JOIN ledger_entries AS e ON e.account_id = w.id AND e.version = w.version
WHERE w.balance_minor <> coalesce(e.balance_minor, 0)
"""

FLOOR_HOLDS = """
SELECT id AS subject, type, balance_minor, credit_limit_minor
FROM wallets
WHERE balance_minor < -credit_limit_minor OR (type = 'PREPAID' AND credit_limit_minor <> 0)
"""

# A credit limit may be lowered later, but nobody prepaid was ever below zero.
PREPAID_WAS_NEVER_BELOW_ZERO = """
SELECT e.transfer_id AS subject, e.account_id, e.balance_minor
FROM ledger_entries AS e
JOIN wallets AS w ON w.id = e.account_id
WHERE e.balance_minor < 0 AND w.type = 'PREPAID'
"""

TRANSFER_HAS_TWO_ENTRIES = """
SELECT t.id AS subject, count(e.transfer_id) AS entries, sum(e.amount_minor) AS sum_minor
FROM ledger_transfers AS t
LEFT JOIN ledger_entries AS e ON e.transfer_id = t.id
GROUP BY t.id
HAVING count(e.transfer_id) <> 2 OR sum(e.amount_minor) <> 0 OR min(e.currency) <> max(e.currency)
    OR count(*) FILTER (WHERE e.account_id = t.wallet_id AND e.amount_minor = t.amount_minor) <> 1
"""

ENTRY_HAS_ITS_TRANSFER = """
SELECT e.transfer_id AS subject, e.account_id
FROM ledger_entries AS e
WHERE NOT EXISTS (SELECT FROM ledger_transfers AS t WHERE t.id = e.transfer_id)
"""

# The hot tables carry no foreign keys; this is what they would have said.
ENTRY_HAS_ITS_ACCOUNT = """
SELECT e.transfer_id AS subject, e.account_id, e.currency
FROM ledger_entries AS e
LEFT JOIN wallets AS w ON w.id = e.account_id
LEFT JOIN system_accounts AS a ON a.id = e.account_id
WHERE coalesce(w.currency, a.currency) IS DISTINCT FROM e.currency
"""

TRANSFER_MEETS_ITS_OTHER_SIDE = """
SELECT t.id AS subject, t.kind, a.kind AS other_side
FROM ledger_transfers AS t
JOIN ledger_entries AS e ON e.transfer_id = t.id AND e.account_id < 0
JOIN system_accounts AS a ON a.id = e.account_id
WHERE a.kind <> CASE t.kind
    WHEN 'TOPUP' THEN 'FUNDING' WHEN 'ADJUSTMENT' THEN 'ADJUSTMENTS' ELSE 'SALES' END
"""

TRANSFER_NAMES_THE_OWNER = """
SELECT t.id AS subject, t.wallet_id, t.client_id, w.client_id AS owner_id
FROM ledger_transfers AS t
LEFT JOIN wallets AS w ON w.id = t.wallet_id
WHERE w.client_id IS DISTINCT FROM t.client_id
"""

LOW_SINCE_FITS_THE_BALANCE = """
SELECT id AS subject, balance_minor, low_balance_minor, low_since
FROM wallets
WHERE (low_since IS NOT NULL) <> coalesce(balance_minor < low_balance_minor, false)
"""

CHECKS: Mapping[str, str] = MappingProxyType(
    {
        "i1_entries_of_a_currency_sum_to_zero": CURRENCIES_SUM_TO_ZERO,
        "i2_balance_is_the_sum_of_its_entries": BALANCE_IS_THE_SUM_OF_ENTRIES,
        "i3_version_counts_entries": VERSION_COUNTS_ENTRIES,
        "i3_chain_is_unbroken": CHAIN_IS_UNBROKEN,
        "i3_wallet_ends_where_its_chain_does": WALLET_ENDS_WHERE_ITS_CHAIN_DOES,
        "i4_no_balance_below_its_floor": FLOOR_HOLDS,
        "i4_prepaid_was_never_below_zero": PREPAID_WAS_NEVER_BELOW_ZERO,
        "i5_transfer_has_two_entries_that_sum_to_zero": TRANSFER_HAS_TWO_ENTRIES,
        "i5_entry_has_its_transfer": ENTRY_HAS_ITS_TRANSFER,
        "i5_transfer_meets_its_other_side": TRANSFER_MEETS_ITS_OTHER_SIDE,
        "i5_entry_has_its_account": ENTRY_HAS_ITS_ACCOUNT,
        "wallet_of_a_transfer_is_its_clients": TRANSFER_NAMES_THE_OWNER,
        "wallet_low_since_fits_its_balance": LOW_SINCE_FITS_THE_BALANCE,
    }
)
