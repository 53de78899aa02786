"""Measurements on the running thing, as ratios: `python -m benchmarks [case…]`."""
