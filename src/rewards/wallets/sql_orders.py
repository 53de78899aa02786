"""Reads what one order moved on its wallet."""

from rewards.infra.db import Tx
from rewards.wallets.model import Transaction
from rewards.wallets.sql import LINE, line_of

# The debit and the refunds have an index each.
OF_ORDER = f"""{LINE}
FROM (
    SELECT * FROM ledger_transfers WHERE order_id = $1 AND kind = 'ORDER'
    UNION ALL
    SELECT * FROM ledger_transfers WHERE order_id = $1 AND kind = 'REFUND'
) AS t
JOIN ledger_entries AS e ON e.transfer_id = t.id AND e.account_id = t.wallet_id
ORDER BY t.id LIMIT $2
"""


async def of_order(tx: Tx, order_id: int, limit: int) -> list[Transaction]:
    """Oldest first."""
    return [line_of(row) for row in await tx.fetch(OF_ORDER, order_id, limit)]
