"""What of a unit's fields may be shown to tell it again, and no more; pure."""

from collections.abc import Mapping

MASK = "••••"
TAIL = 4
# Of a shorter one the tail would be too much of it.
LENGTH_MIN = 8


def masked(value: str) -> str:
    """The last four characters behind a mask; of a short value nothing."""
    return MASK + (value[-TAIL:] if len(value) >= LENGTH_MIN else "")


def masked_fields(fields: Mapping[str, str]) -> dict[str, str]:
    """Each field of a unit, masked; a PIN is a secret of four characters, and shows nothing."""
    return {name: masked(value) for name, value in fields.items()}
