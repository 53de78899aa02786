"""Starship Rewards: sells digital vouchers to companies over an HTTP API."""
