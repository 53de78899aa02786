"""The operators' pages at `/console`: they show and do what the staff API does, no more."""
