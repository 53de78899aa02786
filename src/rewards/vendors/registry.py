"""Every adapter there is, by the name an account's `adapter` column carries."""

from collections.abc import Mapping
from types import MappingProxyType

from rewards.vendors.adapters import (
    bamboo,
    ezpin,
    pinelabs,
    pull_kinds,
    reloadly_airtime,
    reloadly_giftcards,
    sandbox,
)
from rewards.vendors.port import AdapterKind

_KINDS = (
    sandbox.KIND,
    bamboo.KIND,
    ezpin.KIND,
    pinelabs.KIND,
    reloadly_giftcards.KIND,
    reloadly_airtime.KIND,
    *pull_kinds.KINDS,
)

ADAPTERS: Mapping[str, AdapterKind] = MappingProxyType({kind.name: kind for kind in _KINDS})
