"""Claim links: what an end user opens instead of being sent a code, and the page behind it."""
