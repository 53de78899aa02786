"""Composition roots: the API process, the worker, the command line."""
