"""What this process is set to, for people to read: each setting with its words and its variable.

The words are the comment above the setting in `infra/settings.py`: said once, read here.
"""

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from pydantic import SecretStr

from rewards.infra.settings import Settings

FIELD = re.compile(r"    ([a-z][a-z0-9_]*): ")


@dataclass(frozen=True, slots=True)
class Told:
    """One setting. Of a secret only whether it is set, never a letter."""

    name: str
    variable: str
    description: str
    value: object
    default: object
    secret: bool
    is_set: bool


def told(settings: Settings) -> list[Told]:
    """Every setting, in the order of the file."""
    prefix = str(settings.model_config.get("env_prefix", ""))
    words = descriptions()
    return [
        _told(name, f"{prefix}{name}".upper(), words[name], getattr(settings, name), field.default)
        for name, field in type(settings).model_fields.items()
    ]


def _told(name: str, variable: str, words: str, value: object, default: object) -> Told:
    if isinstance(value, SecretStr):
        is_set = bool(value.get_secret_value())
        return Told(name, variable, words, None, None, secret=True, is_set=is_set)
    changed = value != default
    return Told(name, variable, words, _plain(value), _plain(default), secret=False, is_set=changed)


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


@cache
def descriptions() -> Mapping[str, str]:
    """The comment that stands above each setting, or above the block that it is in."""
    found: dict[str, str] = {}
    words: list[str] = []
    open_comment = False
    for line in inspect.getsource(Settings).splitlines():
        text = line.strip()
        if text.startswith("#"):
            words = [*words, text[2:]] if open_comment else [text[2:]]
        elif not text:
            words = []
        elif field := FIELD.match(line):
            found[field[1]] = " ".join(words)
        open_comment = text.startswith("#")
    return MappingProxyType(found)
