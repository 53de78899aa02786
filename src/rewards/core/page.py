"""Pages of a list: what was asked, what there is, and where the next one starts."""

from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
PAGE_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class PageAsk:
    number: int
    size: int

    @property
    def offset(self) -> int:
        return (self.number - 1) * self.size


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    items: list[Item]
    ask: PageAsk
    total: int

    @property
    def pages(self) -> int:
        return -(-self.total // self.ask.size)
