"""A client's own people: what they see and set of their team, keys, limits and mail."""
