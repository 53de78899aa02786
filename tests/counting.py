"""Counts the statements a piece of code sends."""

from collections.abc import Iterator
from contextlib import contextmanager

from rewards.infra.db import Tx

# What the driver asks once for each connection and type is not ours.
DRIVER = ("current_setting('jit')", "typeinfo_tree", "set_config('jit'", "SET jit")


@contextmanager
def statements(tx: Tx) -> Iterator[list[str]]:
    """The statements sent through `tx` inside the block, in order."""
    seen: list[str] = []

    def note(sent: object) -> None:
        if not any(word in sent.query for word in DRIVER):  # type: ignore[attr-defined]
            seen.append(sent.query)  # type: ignore[attr-defined]

    tx.add_query_logger(note)
    try:
        yield seen
    finally:
        tx.remove_query_logger(note)
