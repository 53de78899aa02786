"""The order life cycle: placing, filling, refunds, queries."""
