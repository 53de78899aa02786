"""The figures a process keeps of itself: counted where things happen, told at `/metrics`.

A figure is declared once, where the module that counts it is read, as job names are. Labels are
few and ours: states, operations, templates of routes; never a client, an id of a row, or a secret.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

import prometheus_client
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder

Child = TypeVar("Child")
Look = Callable[[], None]

PREFIX = "rewards_"
# A label that nobody bounded must not fill the memory; what is beyond counts under one name.
CHILDREN_MAX = 2_000
OTHER = "other"
# Upper ends, in seconds, of what is answered while somebody waits, and of what happens behind.
SOON_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
LATER_S = (0.1, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1_800.0, 7_200.0, 86_400.0)

# Series that only say since when the others count would be half of all.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
_looks: list[Look] = []


class _Family(Generic[Child]):
    """The children of one figure by their labels: finding a known one is one look-up."""

    def __init__(self, make: Callable[[Sequence[str]], Child], labels: Sequence[str]) -> None:
        self._make = make
        self._labels = len(labels)
        self._children: dict[tuple[str, ...], Child] = {}

    def __getitem__(self, values: tuple[str, ...]) -> Child:
        child = self._children.get(values)
        if child is None:
            assert len(values) == self._labels
            if len(self._children) >= CHILDREN_MAX:
                values = (OTHER,) * self._labels
            child = self._children[values] = self._make(values)
        return child


class Counter:
    """Only ever grows. `add` costs a microsecond."""

    def __init__(self, name: str, told: str, *labels: str) -> None:
        family = prometheus_client.Counter(PREFIX + name, told, labels, registry=REGISTRY)
        self._family: _Family[prometheus_client.Counter] = _Family(
            lambda values: family.labels(*values) if values else family, labels
        )

    def add(self, *values: str, amount: float = 1) -> None:
        self._family[values].inc(amount)


class Histogram:
    """How often a value fell below each of `ends`; its count is how often there was one."""

    def __init__(self, name: str, told: str, *labels: str, ends: Sequence[float] = SOON_S) -> None:
        family = prometheus_client.Histogram(
            PREFIX + name, told, labels, buckets=ends, registry=REGISTRY
        )
        self._family: _Family[prometheus_client.Histogram] = _Family(
            lambda values: family.labels(*values) if values else family, labels
        )

    def observe(self, value: float, *values: str) -> None:
        self._family[values].observe(value)


class Gauge:
    """What is so at this moment."""

    def __init__(self, name: str, told: str, *labels: str) -> None:
        self._labelled = bool(labels)
        self._family = prometheus_client.Gauge(PREFIX + name, told, labels, registry=REGISTRY)

    def set(self, value: float, *values: str) -> None:
        (self._family.labels(*values) if self._labelled else self._family).set(value)

    def replace(self, found: Mapping[tuple[str, ...], float]) -> None:
        """These and no others from now on; none at all where nobody knows."""
        assert self._labelled
        self._family.clear()
        for values, value in found.items():
            self._family.labels(*values).set(value)


def looks(look: Look) -> Look:
    """Have this called, to set gauges, whenever somebody reads the figures; it must be quick."""
    _looks.append(look)
    return look


async def exposition(accept: str) -> tuple[bytes, str]:
    """All figures of this process as text, and its content type, as a scraper accepts it.

    Written in a thread: thousands of lines take as long as many orders.
    """
    for look in _looks:
        look()
    encode, content_type = choose_encoder(accept)
    return await asyncio.to_thread(encode, REGISTRY), content_type


def names() -> set[str]:
    """The name of every series that this process may tell, as a query would name it."""
    found: set[str] = set()
    for family in REGISTRY.collect():
        found.add(family.name)
        found |= {sample.name for sample in family.samples}
        if family.type == "counter":
            found.add(f"{family.name}_total")
        if family.type == "histogram":
            found |= {f"{family.name}_{part}" for part in ("bucket", "count", "sum")}
    return found


def value(name: str, **labels: str) -> float:
    """What a series says now; 0 for one that nobody counted yet."""
    return REGISTRY.get_sample_value(PREFIX + name, labels) or 0.0
