"""Who is at the other end, if proxies stand between."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from flask import Request

from orchestrator.settings import Network


def client_address(request: Request, trusted: Sequence[Network]) -> str | None:
    """The address that the outermost of our own proxies has seen; None where nobody knows.

    Each proxy appends whom it has seen to `X-Forwarded-For`. What stands left of that was said by
    the client, who may say anything.
    """
    found = request.remote_addr
    forwarded = request.headers.get("X-Forwarded-For", "").split(",")
    for hop in (found or "", *reversed(forwarded)):
        try:
            address = ipaddress.ip_address(hop.strip())
        except ValueError:
            break
        found = str(address)
        if not any(address in network for network in trusted):
            break
    return found
