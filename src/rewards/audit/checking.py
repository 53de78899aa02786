"""Says whether an exported file is the trail as it was sealed, with nothing but the public key."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from hmac import compare_digest

from rewards.audit.model_chain import DIGEST_BYTES, seal_digest, signature_fits, signed
from rewards.audit.model_export import (
    VERSION,
    EntryLine,
    GoneLine,
    Heading,
    Line,
    NoExport,
    SealLine,
)

PROBLEMS_MAX = 20
# Of one seal; many times what one may have.
ENTRIES_MAX = 100_000


class Enough(Exception):
    """What else is wrong need not be said."""


@dataclass
class Check:
    """A walk along the file. What it holds at once are the digests of one seal's entries."""

    public_key: str
    problems: list[str] = field(default_factory=list)
    heading: Heading | None = None
    entries: int = 0
    seals: int = 0
    _before: bytes = b""
    _sequence: int = 0
    _position: int | None = None
    _digests: bytearray = field(default_factory=bytearray)

    def run(self, lines: Iterable[Line]) -> list[str]:
        """What is wrong, a sentence each, the first first; nothing for a file that is unbroken."""
        try:
            for line in lines:
                self._look(line)
            self._end()
        except NoExport as bad:
            self.problems.append(str(bad))
        except Enough:
            self.problems.append("and maybe more")
        except ValueError:
            self.problems.append("something that should be a digest is none")
        return self.problems

    def _wrong(self, sentence: str) -> None:
        self.problems.append(sentence)
        if len(self.problems) == PROBLEMS_MAX:
            raise Enough

    def _look(self, line: Line) -> None:
        if self.heading is None:
            self._begin(line)
        elif isinstance(line, SealLine):
            self._seal(line)
        elif isinstance(line, EntryLine | GoneLine):
            self._entry(line)
        else:
            self._wrong("a second heading")

    def _begin(self, line: Line) -> None:
        if not isinstance(line, Heading) or line.version != VERSION:
            raise NoExport("this is no export of an audit trail that is known here")
        self.heading = line
        if line.public_key != self.public_key:
            self._wrong("it names another public key than the one given")
        if not signature_fits(line.message, bytes.fromhex(line.signature), self.public_key):
            self._wrong("the heading is not signed with this key, or was changed")
        self._before = bytes.fromhex(line.before)
        self._sequence = line.first_sequence

    def _entry(self, line: EntryLine | GoneLine) -> None:
        place = f"entry {line.id} at position {line.position}"
        if self._position is not None and line.position != self._position + 1:
            self._wrong(f"{place} stands behind position {self._position}")
        if isinstance(line, GoneLine):
            self._wrong(f"{place} had been deleted")
        elif not line.sound:
            self._wrong(f"{place} is not what was sealed")
        self._position = line.position
        self.entries += 1
        self._digests += bytes.fromhex(line.digest)
        if len(self._digests) > ENTRIES_MAX * DIGEST_BYTES:
            raise NoExport("more entries than a seal may have")

    def _seal(self, line: SealLine) -> None:
        seal = line.seal
        if line.sequence != self._sequence:
            self._wrong(f"seal {line.sequence} stands where {self._sequence} should")
        count = len(self._digests) // DIGEST_BYTES
        if count != line.last_position - line.first_position + 1 or (
            count and self._position != line.last_position
        ):
            self._wrong(f"seal {line.sequence} is of other entries than the {count} above it")
        elif not compare_digest(seal_digest(self._before, seal, bytes(self._digests)), seal.digest):
            self._wrong(f"seal {line.sequence} does not follow from what is before it")
        if not signed(seal.digest, seal.signature, self.public_key):
            self._wrong(f"seal {line.sequence} is not signed with this key")
        self._before, self._sequence = seal.digest, line.sequence + 1
        self._position = line.last_position
        self._digests.clear()
        self.seals += 1

    def _end(self) -> None:
        if self.heading is None:
            raise NoExport("this is no export of an audit trail: it is empty")
        if self._digests:
            self._wrong("entries at the end that no seal takes in")
        last = self.heading.last_sequence
        if last and self._sequence != last + 1:
            self._wrong(f"it ends with seal {self._sequence - 1}, and should with {last}")
        elif self._before.hex() != self.heading.last:
            self._wrong("its last seal is another one than the heading says")
