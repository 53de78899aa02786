"""The people who run it: roles, approvals, admin API."""
