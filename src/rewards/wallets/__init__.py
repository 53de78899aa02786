"""The double-entry ledger of clients' money."""
