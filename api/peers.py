"""Who is at the other end, if proxies stand between."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence

from flask import Request

from orchestrator.settings import Network


def client_address(request: Request, trusted: Sequence[Network]) -> str | None:
    """The address that the outermost of our own proxies has seen; None where nobody knows.

    Each proxy appends whom it has seen to `X-Forwarded-For`. What stands left of that was said by
    the client, who may say anything.
    """
    nearest = request.remote_addr
    for address in _outwards(request):
        nearest = address
        if not any(ipaddress.ip_address(address) in network for network in trusted):
            break
    return nearest


def _outwards(request: Request) -> Iterator[str]:
    """The addresses on the way to the client, as far as they are addresses."""
    forwarded = request.headers.get("X-Forwarded-For", "").split(",")
    for hop in (request.remote_addr or "", *reversed(forwarded)):
        try:
            yield str(ipaddress.ip_address(hop.strip()))
        except ValueError:
            return
