"""Which addresses of others we send to: the URLs a client may name, the networks we never enter."""

import re
from dataclasses import dataclass
from ipaddress import IPv6Network, ip_address, ip_network
from typing import NamedTuple
from urllib.parse import urlsplit

from rewards.core.errors import InvalidField
from rewards.infra.address import Network, within
from rewards.infra.settings import Settings

URL_CHARS_MAX = 2_048
# Printable ASCII and no spelling that two parsers read differently: no user, fragment, backslash,
# blank or control character. Names beyond ASCII come in their `xn--` form.
URL = re.compile(
    r"(?P<scheme>[a-zA-Z]+)://(?P<host>\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9.-]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?:[/?][!$-;=?-\[\]_a-z~%]*)?"
)
LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
NAME_CHARS_MAX = 253
# A last label of digits, or like 0x7f, makes a name a number for some resolvers.
NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")
# Names that mean this machine or this network by agreement, whatever a resolver says.
INSIDE = ("localhost", "local", "internal", "intranet", "lan", "home", "corp", "home.arpa")

HTTPS_PORT = 443
HTTP_PORT = 80
PORT_MAX = 65_535
# Below it live services that are no web servers; above it these too.
PRIVILEGED_PORTS = 1_024
SERVICE_PORTS = frozenset(
    (
        *(1080, 1433, 1521, 1883, 2049, 2181, 2375, 2376, 2379, 2380, 3128, 3306, 3389, 4222),
        *(5060, 5061, 5432, 5433, 5672, 5900, 5984, 6000, 6379, 6380, 6432, 6443, 6667, 7000),
        *(7001, 8086, 8500, 9042, 9092, 9100, 9200, 9300, 10250, 10255, 11211, 15672, 27017),
    )
)

# Python's `is_global` lets NAT64 and 6to4 spellings of 127.0.0.1 pass, so the list is written out:
# what is not the public Internet (IANA's special-purpose registries), and every way to write an
# IPv4 address inside an IPv6 one.
FORBIDDEN = tuple(
    ip_network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24"),
        *("192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15"),
        *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        *("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48"),
        *("100::/64", "100:0:0:1::/64", "2001::/23", "2001:db8::/32", "2002::/16"),
        *("2620:4f:8000::/48", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10"),
        "ff00::/8",
    )
)
# What of it the setting for local use opens: this machine and private networks.
LOCAL = tuple(
    ip_network(text)
    for text in (
        *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7"),
    )
)
# Metadata services of clouds, which give keys away; never, not even locally.
METADATA = (IPv6Network("fd00:ec2::/32"),)


class Target(NamedTuple):
    """A URL taken apart: what is asked, and where."""

    scheme: str
    host: str
    port: int


# What to give instead of what was refused.
WANTED = {
    "url": "an absolute URL without user, fragment or spaces",
    "https": "an https:// URL",
    "port": "443, or one from 1024 on that no other service is known for",
    "target": "the name or address of a machine on the public internet",
}


def _refused(field: str, rule: str) -> InvalidField:
    return InvalidField(field, rule, details={"wanted": WANTED[rule]})


@dataclass(frozen=True, slots=True)
class Targets:
    """What we may send to (spec.md §7). `ours`: host and port at which we are reached ourselves.

    `local` opens loopback and private networks and plain HTTP: for the sandbox, and for whoever
    runs this for services of his own network only.
    """

    local: bool = False
    ours: frozenset[tuple[str, int]] = frozenset()
    # What `local` opens.
    opened: tuple[Network, ...] = LOCAL

    @classmethod
    def from_settings(cls, settings: Settings) -> "Targets":
        parts = urlsplit(settings.public_url)
        port = parts.port or (HTTPS_PORT if parts.scheme == "https" else HTTP_PORT)
        ours = frozenset({((parts.hostname or "").rstrip("."), port)})
        return cls(settings.webhook_local, ours)

    def check(self, field: str, url: str) -> Target:
        """The URL taken apart, as one that may be sent to as far as its text tells.

        Raises InvalidField for `field`, with what is wanted instead in `details`: `max`; `url` for
        what is no plain URL; `https`; `port`; `target` for an address or name of no public machine,
        and for our own. What a name resolves to is looked at whenever a connection is made
        (`admits`), because it changes.
        """
        if len(url) > URL_CHARS_MAX:
            raise InvalidField(field, "max")
        found = URL.fullmatch(url)
        if found is None:
            raise _refused(field, "url")
        scheme, host = found["scheme"].lower(), found["host"].lower()
        if scheme != "https" and not (self.local and scheme == "http"):
            raise _refused(field, "https")
        number = int(found["port"] or (HTTPS_PORT if scheme == "https" else HTTP_PORT))
        if not self._port_admitted(number):
            raise _refused(field, "port")
        if not self._host_admitted(host) or self._is_ours(host, number):
            raise _refused(field, "target")
        return Target(scheme, host, number)

    def admits(self, address: str) -> bool:
        """Whether a connection may be made to this address, numeric as a resolver gives it."""
        try:
            number = ip_address(address)
        except ValueError:
            return False
        if getattr(number, "scope_id", None) is not None or within(number, METADATA):
            return False
        if self.local and within(number, self.opened):
            return True
        return not within(number, FORBIDDEN)

    def _port_admitted(self, port: int) -> bool:
        if port in (HTTPS_PORT, HTTP_PORT):
            return self.local or port == HTTPS_PORT
        return PRIVILEGED_PORTS <= port <= PORT_MAX and port not in SERVICE_PORTS

    def _host_admitted(self, host: str) -> bool:
        if host.startswith("["):
            return self.admits(host[1:-1])
        labels = host.split(".")
        if NUMERIC.fullmatch(labels[-1]):
            # Only the plain form; 0177.0.0.1 and 127.1 are numbers to some and names to others.
            return self.admits(host)
        if len(host) > NAME_CHARS_MAX or not all(map(LABEL.fullmatch, labels)):
            return False
        return self.local or (len(labels) > 1 and not _is_inside(host))

    def _is_ours(self, host: str, port: int) -> bool:
        """Locally everything is on one machine, and only the very port is us."""
        return any(
            host.strip("[]") == name and (port == own or not self.local) for name, own in self.ours
        )


def _is_inside(host: str) -> bool:
    return any(host == name or host.endswith("." + name) for name in INSIDE)
