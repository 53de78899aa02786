"""`python -m rewards.entry` is the `rewards` command."""

from rewards.entry.cli import main

main()
