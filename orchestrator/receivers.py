"""Which addresses webhooks may go to. Whoever names one must not reach, through us, what only we
can reach.

Python's own `is_global` is not enough: to it multicast, 6to4 and NAT64 of 127.0.0.1 are global.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

from orchestrator.errors import InvalidRequest

LONGEST_URL = 2048
Address = IPv4Address | IPv6Address

_VISIBLE = re.compile(r"[!-~]+\Z")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\.?\Z")
_BLOCKED_V4 = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carriers' NAT
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # what a virtual machine of Azure asks for its secrets
        "169.254.0.0/16",  # link-local; other clouds' secrets
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
# Within 2000::/3; all that lies outside is refused as a whole: loopback, unspecified, IPv4 in
# whatever disguise, NAT64, unique local, link-local, site-local, multicast.
_GLOBAL_V6 = ip_network("2000::/3")
_BLOCKED_V6 = tuple(
    ip_network(network)
    for network in (
        "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 address in disguise
        "3fff::/20",  # documentation
    )
)


def is_public(address: Address) -> bool:
    """Whether this is an address of the internet at large."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _BLOCKED_V4)
    return address in _GLOBAL_V6 and not any(address in network for network in _BLOCKED_V6)


def is_permitted(address: Address, *, scheme: str, allow_local: bool) -> bool:
    """Whether a message may go there: in the clear only within this machine, and that only if
    `allow_local`.
    """
    if allow_local and address.is_loopback:
        return True
    return scheme == "https" and is_public(address)


def check_url(url: str, *, param: str, allow_local: bool) -> str:
    """The address, if a webhook may ever go there. Host names are judged when they are resolved.

    Raises:
        InvalidRequest: it is no https address (or, if `allow_local`, http to this machine); names
            `param`.
    """
    expected = "must be an https:// address of a public host, without user or password"
    if allow_local:
        expected += "; http:// to this machine is allowed here, too"
    if not 1 <= len(url) <= LONGEST_URL:
        raise InvalidRequest(f"{param} must have 1 to {LONGEST_URL} characters.", param=param)
    parts = _parts(url)
    if parts is None or parts.scheme not in {"http", "https"}:
        raise InvalidRequest(f"{param} {expected}.", param=param)
    host = parts.hostname or ""
    address = _literal(host)
    if address is not None:
        allowed = is_permitted(address, scheme=parts.scheme, allow_local=allow_local)
    else:
        local = host == "localhost"
        allowed = _HOST.match(host) is not None and (
            allow_local if local else parts.scheme == "https"
        )
    if not allowed:
        raise InvalidRequest(f"{param} {expected}.", param=param)
    return url


def _parts(url: str) -> SplitResult | None:
    """The parts of an address that every reader splits alike; None for others."""
    if not _VISIBLE.match(url) or "\\" in url or "#" in url:
        return None
    try:
        parts = urlsplit(url)
        usable = parts.hostname and not set("@%") & set(parts.netloc) and parts.port != 0
    except ValueError:
        return None
    return parts if usable else None


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
