"""Buying ahead: what staff order from vendors for our own stock, and what they should."""
