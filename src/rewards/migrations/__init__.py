"""Numbered SQL files, forward only."""
