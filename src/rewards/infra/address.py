"""Where a request came from: the socket's peer, or what a trusted proxy says."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import TypeAlias

from litestar.types import Scope

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

ADDRESS_CHARS_MAX = 64
HOPS_MAX = 20
# What a trusted-proxy setting calls the peer of a Unix socket, which has no address.
UNIX = "unix"


@lru_cache(maxsize=4096)
def parse_address(text: str) -> Address | None:
    """An address, or None. A v4 address in v6 clothes (::ffff:192.0.2.1) is the v4 address."""
    if len(text) > ADDRESS_CHARS_MAX:
        return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return None
        return address.ipv4_mapped or address
    return address


def text_of(address: Address | None) -> str | None:
    """As rows of history keep it."""
    return None if address is None else str(address)


def origin_of(address: Address | None) -> str:
    """Whom a count of attempts is for: whoever has one v6 address has the 2^64 around it."""
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, 64), strict=False))
    return str(address)


def within(address: Address | None, networks: Iterable[Network]) -> bool:
    """Whether the address lies in one of the networks; never for an unknown address."""
    if address is None:
        return False
    return any(network.version == address.version and address in network for network in networks)


class Proxies:
    """The peers whose X-Forwarded-For is believed (setting `trusted_proxies`).

    Entries are addresses, CIDR ranges, or "unix" for the peer of a Unix socket. Raises ValueError
    for anything else, when the process starts.
    """

    def __init__(self, trusted: Sequence[str]) -> None:
        self._unix = UNIX in trusted
        self._networks = tuple(ip_network(text) for text in trusted if text != UNIX)

    def address(self, scope: Scope) -> Address | None:
        """The caller's address; None when it has none that can be believed.

        Read from the right, the first hop that is not a trusted proxy of ours is the caller:
        what stands left of it, anybody may have written.
        """
        client = scope.get("client")
        peer = parse_address(client[0]) if client else None
        trusted = within(peer, self._networks) if client else self._unix
        if not trusted:
            return peer
        for hop in _hops(scope):
            address = parse_address(hop)
            if address is None:
                return None
            if not within(address, self._networks):
                return address
            peer = address
        return peer


def _hops(scope: Scope) -> list[str]:
    """X-Forwarded-For from the nearest hop to the farthest, over all headers of that name."""
    lines = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
    if not lines:
        return []
    text = b",".join(lines).decode("latin-1")
    return [hop.strip() for hop in reversed(text.rsplit(",", HOPS_MAX)) if hop.strip()]
