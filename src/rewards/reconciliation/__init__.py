"""Compares orders, units, ledger and vendors' books day by day, and states what came in and out."""
