"""The words of mails: one file of messages a language, with the plurals of that language; pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType

import msgspec

FALLBACK = "en"
FOLDER = resources.files("rewards.notices") / "messages"

# A sentence, or one for each plural category that the language has (Unicode CLDR).
Message = str | dict[str, str]


def _english(count: int) -> str:
    return "one" if count == 1 else "other"


def _arabic(count: int) -> str:
    """Nothing is counted as zero here: that would be a mail about nothing."""
    if count in (1, 2):
        return ("one", "two")[count - 1]
    rest = count % 100
    if 3 <= rest <= 10:
        return "few"
    return "many" if rest >= 11 else "other"


PLURALS: Mapping[str, Callable[[int], str]] = MappingProxyType({"en": _english, "ar": _arabic})


@dataclass(frozen=True, slots=True)
class Words:
    """The messages of one language."""

    language: str
    messages: Mapping[str, Message]

    @property
    def direction(self) -> str:
        return self.say("direction")

    def say(self, key: str, count: int = 1, **filled: object) -> str:
        """The message with its blanks filled; `count` chooses the plural, and fills `{count}`."""
        message = self.messages[key]
        if isinstance(message, dict):
            message = message[PLURALS[self.language](count)]
        return message.format(count=count, **filled)


def _read(language: str) -> Words:
    raw = (FOLDER / f"{language}.json").read_bytes()
    return Words(language, msgspec.json.decode(raw, type=dict[str, Message]))


LANGUAGES: Mapping[str, Words] = MappingProxyType(
    {language: _read(language) for language in PLURALS}
)


def words_of(language: str) -> Words:
    """The words of `ar-EG`, else of `ar`, else English."""
    base = language.lower().replace("_", "-").partition("-")[0]
    return LANGUAGES.get(base, LANGUAGES[FALLBACK])
