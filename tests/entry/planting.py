"""What a breach is that a check of the doctor must find."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plant:
    """A breach: what to write, and the row that the check must name."""

    sql: str
    # A SELECT of the subject, or the subject itself.
    subject: int | str
