"""Builds an adapter from what an account says; an account that no adapter takes is refused."""

from collections.abc import Mapping
from typing import cast

import aiohttp

from rewards.core.errors import InvalidField
from rewards.vendors.account import completed
from rewards.vendors.port import AdapterKind, Vendor
from rewards.vendors.throttle import Breaker, Throttle
from rewards.vendors.wire import Exchange, Limits, Recorder, Wire


def build(
    kind: AdapterKind,
    config: Mapping[str, str],
    secrets: Mapping[str, str],
    session: aiohttp.ClientSession,
    recorder: Recorder,
    throttle: Throttle,
    limits: Limits,
    name: str = "",
) -> Vendor:
    """The adapter with a wire of its own. Raises ValueError for settings it cannot work with.

    `name` is what figures call the vendor.
    """
    values = completed(kind.config, config)
    wire = Wire(
        *(session, values["base_url"], recorder),
        safe=kind.safe,
        throttle=throttle,
        breaker=Breaker(),
        limits=limits,
        name=name,
    )
    return kind.build(values, completed(kind.secrets, secrets), wire)


def check_build(kind: AdapterKind, config: Mapping[str, str], secrets: Mapping[str, str]) -> None:
    """Raises `Invalid Config: build` where the adapter says that it cannot work with these.

    Its words, which quote no secret, are in the details.
    """
    # Building does no I/O: nobody ever asks this session for anything.
    nobody = cast("aiohttp.ClientSession", None)
    try:
        build(kind, config, secrets, nobody, _Nowhere(), Throttle({}), Limits())
    except ValueError as problem:
        raise InvalidField("Config", "build", details={"why": str(problem)}) from None


class _Nowhere:
    async def record(self, exchange: Exchange) -> None:
        raise AssertionError("nothing was said")
