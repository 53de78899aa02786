"""Voucher units: sealing, import, pool, pump, allocation."""
