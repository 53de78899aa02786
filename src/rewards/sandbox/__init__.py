"""Demo data for trying everything on one machine."""
