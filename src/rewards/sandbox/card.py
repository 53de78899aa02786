"""`sandbox.json`: where the sandbox answers and the secrets to try it with."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CARD_FILE = "sandbox.json"
# While a start is under way the last card lies here: who waits for CARD_FILE waits for the new one.
LAST_FILE = "sandbox.last.json"
SECRET_PARTS = ("client", "staff", "wallets")


def put_aside(home: Path) -> None:
    """Take the card of an earlier start away; its secrets are still read by `known_secrets`."""
    card = home / CARD_FILE
    if card.exists():
        card.replace(home / LAST_FILE)


def known_secrets(home: Path) -> dict[str, Any] | None:
    """What an earlier start wrote down, without its addresses; None when it is lost or spoilt."""
    try:
        card = json.loads((home / LAST_FILE).read_text())
    except (OSError, ValueError):
        return None
    if not isinstance(card, dict) or any(part not in card for part in SECRET_PARTS):
        return None
    return {part: card[part] for part in SECRET_PARTS}


def write_card(home: Path, card: Mapping[str, object]) -> None:
    """Readable by its owner from the first byte, and never half-written."""
    draft = home / f"{CARD_FILE}.new"
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(card, file, indent=2)
        file.write("\n")
    draft.replace(home / CARD_FILE)
    (home / LAST_FILE).unlink(missing_ok=True)
