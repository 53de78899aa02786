"""Machines without business: settings, database, jobs, cryptography, HTTP edge, logs."""
