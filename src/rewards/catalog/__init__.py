"""Products, denominations and reference data."""
